/** The access log of a real Caddy: what is in it and what never is, shortened addresses, rotation, and fail2ban’s filter on it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages } from '../support/acme.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import { tempFolder } from '../support/temp.ts';

const PATIENCE_MS = 8 * 60_000;
const site = testSite('tunaccess', 179);
const volume = `${site.name}_caddy_logs`;
const id = (service: string): string => site.containers()[service] ?? 'none';

interface Line {
  readonly request: Readonly<Record<string, unknown>> & { readonly uri: string; readonly client_ip: string };
  readonly status: number;
}

const logText = (): string => docker('exec', id('caddy'), 'cat', '/logs/snac.log');
const lines = (): Line[] =>
  logText()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);

function visit(path: string, method = 'GET'): Promise<number> {
  const headers = {
    Host: site.domain,
    Authorization: 'Bearer canary-bearer',
    Cookie: 'session=canary-cookie',
    Referer: 'https://far.example/?token=canary-referrer',
    'Sec-WebSocket-Protocol': 'canary-protocol',
  };
  return new Promise((resolve, reject) => {
    const options = {
      host: site.bind,
      servername: site.domain,
      path,
      method,
      headers,
      rejectUnauthorized: false,
    };
    request(options, (reply) => reply.resume().on('end', () => resolve(reply.statusCode ?? 0)))
      .on('error', reject)
      .end();
  });
}

/** Until a request is in the log. */
const logged = (uri: string): Promise<unknown> =>
  expect.poll(() => lines().some((line) => line.request.uri === uri), { timeout: 30_000 }).toBe(true);

const apply = (value: string): Promise<unknown> =>
  tool(['apply', '--snac-access-log', value, '--dir', site.folder, '--json'], { env: environment() }).then(
    ({ code, stderr }) => expect(code, stderr).toBe(0),
  );

afterAll(() => site.remove());
beforeAll(async () => {
  needImages('fail2ban');
  const { code, stderr } = await site.apply([]);
  expect(code, stderr).toBe(0);
}, PATIENCE_MS);

describe.sequential('the access log', { timeout: PATIENCE_MS }, () => {
  test('by default there is none', () => {
    expect(docker('volume', 'ls', '--quiet', '--filter', `name=${volume}`)).toBe('');
    expect(site.read('compose.yaml')).not.toContain('caddy_logs');
  });

  test('short: requests without secrets', async () => {
    await apply('short');
    for (const path of [
      '/oauth/authorize?code=canary-code&state=canary-state&access_token=canary-token',
      '/oauth/authorize%3Fcode=canary-encoded',
      '/password/reset/canary-reset?email=canary%40example.org',
      '/i/confirm-email/canary-one/canary-two',
      '/invite/canary-invitation',
      '/the-last-one?password=canary-password',
    ])
      await visit(path);
    await logged('/the-last-one');
    expect(logText()).not.toContain('canary');
    const uris = lines().map((line) => line.request.uri);
    expect(uris).toEqual(expect.arrayContaining(['/oauth/authorize', '/password/reset/', '/invite/', '/i/confirm-email/'])); // prettier-ignore
    for (const line of lines())
      expect(Object.keys(line.request)).toEqual(['remote_ip', 'client_ip', 'proto', 'method', 'host', 'uri']);
    // Neither in what the container prints.
    expect(docker('logs', id('caddy'))).not.toContain('canary');
  });

  test('short: addresses are shortened', async () => {
    // The container has no IPv6; the mask for it is in the golden sites.
    const resolved = `${site.domain}:443:127.0.0.1`;
    docker('exec', id('caddy'), 'curl', '-sk', '-o', '/dev/null', '--resolve', resolved, `https://${site.domain}/from-four`); // prettier-ignore
    await logged('/from-four');
    const found = lines().find((line) => line.request.uri === '/from-four');
    expect(found?.request.client_ip).toBe('127.0.0.0');
    for (const { request: seen } of lines()) expect(seen['remote_ip']).toMatch(/\.0$/);
  });

  test('full: whole addresses, and fail2ban’s filter finds log-ins in real lines', async () => {
    await apply('full');
    expect(await visit('/nobody/admin')).toBeGreaterThan(399);
    for (const path of [
      '/oauth/x-snac-login',
      '/login',
      '/auth/sign_in',
      '/auth/sign_in?x="client_ip":"198.51.100.1"',
    ])
      await visit(path, 'POST');
    await visit('/auth/sign_in');
    await visit('/full-is-over');
    await logged('/full-is-over');
    const last = lines().slice(-7);
    for (const { request: seen } of last) expect(seen['client_ip']).not.toMatch(/\.0$/);
    const folder = tempFolder();
    const guide = readFileSync(
      fileURLToPath(new URL('../../docs/guides/access-log.md', import.meta.url)),
      'utf8',
    );
    writeFileSync(join(folder, 'fedi.conf'), /```ini\n(\[Definition\][\s\S]+?)```/.exec(guide)?.[1] ?? '');
    writeFileSync(join(folder, 'x.log'), `${logText().split('\n').filter(Boolean).slice(-7).join('\n')}\n`);
    const seen = execFileSync(
      'docker',
      ['run', '--rm', '--network=none', `--volume=${folder}:/t:ro`, 'fedi-setup/fail2ban:trixie', 'fail2ban-regex', '-v', '/t/x.log', '/t/fedi.conf'], // prettier-ignore
      { encoding: 'utf8' },
    );
    // Four attempts by POST, of which the address is that of the visitor, and snac’s own page if it answered 401.
    expect(seen).toMatch(/\[7\] "ts":\{EPOCH\}/);
    expect(seen).toMatch(/Lines: 7 lines, 0 ignored, [45] matched/);
    expect(seen).not.toContain('198.51.100.1 ');
  });

  test('rotated files are bounded', async () => {
    const path = join(site.folder, 'caddy/access/snac.caddy');
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(/roll_size 10MiB\n\t\troll_keep 5\n\t\troll_keep_for 168h/);
    writeFileSync(path, text.replace('10MiB', '1MiB').replace('roll_keep 5', 'roll_keep 2'));
    docker('restart', id('caddy'));
    await expect.poll(() => visit('/up').catch(() => 0), { timeout: 60_000 }).toBeGreaterThan(0);
    const long = `/${'a'.repeat(6000)}`;
    const files = (): string[] => docker('exec', id('caddy'), 'ls', '/logs').split('\n');
    // Six megabytes: without a limit there would be six files.
    for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 50 }, () => visit(long)));
    await expect
      .poll(() => files().filter((name) => name.endsWith('.gz')).length, { timeout: 60_000 })
      .toBe(2);
    await expect.poll(() => files().length, { timeout: 60_000 }).toBe(3);
    writeFileSync(path, text);
  });

  test('the volume: not in a backup; doctor accepts the containers; uninstall --data removes it', async () => {
    docker('restart', id('caddy'));
    await expect.poll(() => visit('/up').catch(() => 0), { timeout: 60_000 }).toBeGreaterThan(0);
    const run = await tool(['doctor', '--dir', site.folder], { env: environment() });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).not.toContain('violates the policy');
    await apply('off');
    expect(site.read('compose.yaml')).not.toContain('caddy_logs');
    expect(docker('volume', 'ls', '--quiet', '--filter', `name=${volume}`)).toBe(volume);
    await tool(['uninstall', '--data', '--confirm', site.name, '--dir', site.folder], { env: environment() });
    expect(docker('volume', 'ls', '--quiet', '--filter', `name=${volume}`)).toBe('');
  });
});
