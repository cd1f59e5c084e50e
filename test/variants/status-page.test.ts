/** The status page of a site with Mastodon and snac, through the front: while an app is down, in maintenance mode, without a timer. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { removeMaintenance, writeMaintenance } from '../../wizard/apply/upgrading.ts';
import { reloadCaddy } from '../../wizard/docker/caddy.ts';
import { connect } from '../../wizard/docker/docker.ts';
import { runtimeOf } from '../../wizard/docker/runtime.ts';
import { LIMITS, client } from '../../wizard/prove/http.ts';
import type { Reply } from '../../wizard/prove/http.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 20 * 60_000;
const site = testSite('page', 198);
const MASTODON = `m.${site.domain}`;
const PAGE = '/.fedi-setup/status';
const parent = dirname(site.folder);
/** A stand-in for crontab: that of this machine is not touched. */
const programs = join(parent, 'programs');
const jobs = join(parent, 'crontab');
const PATH = `${programs}:${process.env['PATH']}`;
const env = {
  ...site.env,
  ...mastodonAnswers(MASTODON),
  FEDI_APPS: 'snac,mastodon',
  FEDI_STATUS_PAGE: 'on',
  FEDI_STATUS_NOTICE: 'On Sunday: a new disk',
  PATH,
};

const run = (...argv: string[]): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment({ PATH }) });
const id = (service: string): string => site.containers()[service] ?? 'none';
const get = (name: string, path = PAGE): Promise<Reply> =>
  client(site.bind, site.read('trust/root.crt'))(`https://${name}${path}`);
/** The page as people read it. */
async function page(name = MASTODON): Promise<string> {
  const reply = await get(name);
  expect([reply.status, String(reply.headers['content-type'])]).toEqual([200, 'text/html; charset=utf-8']);
  return reply
    .text()
    .replace(/^[\s\S]*<body>/, '')
    .replaceAll(/<svg[\s\S]*?<\/svg>/g, '')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ');
}
async function check(): Promise<string> {
  const { code, stderr } = await run('maintain', 'check');
  expect(code, stderr).toBe(0);
  return stderr;
}
const doctor = async (): Promise<string[]> =>
  (await run('doctor', '--json')).events
    .filter(({ event, id: check }) => event === 'finding' && check === 'statuspage')
    .map(({ what }) => String(what));
const reload = async (): Promise<void> => {
  const { code, stderr } = await reloadCaddy(runtimeOf(await connect(), site.name));
  expect(code, stderr).toBe(0);
};
const healthy = (service: string): Promise<void> =>
  vi.waitFor(
    () => expect(docker('inspect', '--format', '{{.State.Health.Status}}', id(service))).toBe('healthy'),
    { timeout: 120_000, interval: 500 },
  );

beforeAll(async () => {
  mkdirSync(programs);
  writeFileSync(
    join(programs, 'crontab'),
    `#!/bin/sh\ncase $1 in\n-l) cat ${jobs} ;;\n-r) rm ${jobs} ;;\n*) cat >${jobs} ;;\nesac\n`,
    { mode: 0o755 },
  );
  writeFileSync(jobs, '1 2 * * * another job\n');
  const first = await site.apply([], { env });
  expect(first.code, first.stderr).toBe(0);
}, PATIENCE_MS);
afterAll(() => site.remove());

describe.sequential('the status page', { timeout: PATIENCE_MS }, () => {
  test('is there after the first run, on each domain, and shows what was announced', async () => {
    for (const name of [MASTODON, site.domain]) {
      const text = await page(name);
      expect(text).toContain('snac and Mastodon work');
      expect(text).toMatch(/Checked (?:a moment|\d minutes) ago, at \d+ \w+ \d{4}, \d\d:\d\d UTC/);
      expect(text).toContain('Announcement On Sunday: a new disk');
      expect(text).toMatch(/Mastodon ✔ Works m\.page\.fedi\.test , version 4\./);
    }
  });

  test('allows no scripts and no frames, and is not cached or indexed', async () => {
    const { headers } = await get(site.domain);
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect([headers['cache-control'], headers['x-robots-tag'], headers['x-content-type-options']]).toEqual([
      'no-store',
      'noindex',
      'nosniff',
    ]);
  });

  test('Caddy gets the page and nothing else, read-only', () => {
    const mounts = JSON.parse(docker('inspect', '--format', '{{json .Mounts}}', id('caddy'))) as {
      Source: string;
      Destination: string;
      RW: boolean;
    }[];
    expect(mounts.find(({ Destination }) => Destination === '/srv/status-page')).toMatchObject({
      Source: join(site.folder, '.fedi/status-page'),
      RW: false,
    });
    expect(docker('exec', id('caddy'), 'ls', '-A', '/srv/status-page')).toBe('index.html');
  });

  test('doctor says that nothing keeps it up to date, until maintain install', async () => {
    expect(await doctor()).toEqual(['Nothing keeps the status page up to date.']);
    if (existsSync('/run/systemd/system')) return;
    const { code, stderr } = await run('maintain', 'install');
    expect(code, stderr).toBe(0);
    const lines = readFileSync(jobs, 'utf8').trim().split('\n');
    expect(lines).toHaveLength(3);
    expect(await doctor()).toEqual([]);
    // What cron runs: a copy, without this checkout. It takes less than a second of the processor.
    const before = statSync(join(site.folder, '.fedi/status-page/index.html')).mtimeMs;
    const { status, stderr: printed } = spawnSync(
      'bash',
      ['-c', `time ${lines[2]!.split(' ').slice(5).join(' ').replace('>/dev/null 2>&1', '')}`],
      { encoding: 'utf8', env: { TIMEFORMAT: 'cpu %U %S' } },
    );
    expect(status, printed).toBe(0);
    expect(statSync(join(site.folder, '.fedi/status-page/index.html')).mtimeMs).toBeGreaterThan(before);
    process.stderr.write(`A check: ${/cpu .*/.exec(printed)?.[0] ?? printed}\n`);
  });

  test('an app is down: the page says so, also on its own domain, and the error page links to it', async () => {
    docker('stop', id('mastodon_web'));
    expect(await check()).toMatch(/mastodon: down \(WebFinger: /);
    const text = await page();
    expect(text).toContain('Mastodon does not answer');
    expect(text).toContain('Mastodon ✖ Does not answer');
    expect(text).toContain('snac ✔ Works');
    // Caddy waits 20 s for an app that may just be restarting.
    const patient = { ...LIMITS, idleMs: 60_000, wholeMs: 60_000 };
    const error = await client(site.bind, site.read('trust/root.crt'), undefined, patient)(`https://${MASTODON}/about`); // prettier-ignore
    expect([error.status, error.text()]).toEqual([502, expect.stringContaining(`<a href="${PAGE}">`)]);
    expect(site.read('.fedi/maintain.log')).toMatch(/Z check mastodon: down \(WebFinger: .*\n$/);
  });

  test('and recovers', async () => {
    docker('start', id('mastodon_web'));
    await healthy('mastodon_web');
    await check();
    const text = await page();
    expect(text).toContain('snac and Mastodon work');
    expect(text).toMatch(/1 day with failures.* did not answer for \d+ minutes/);
    expect(site.read('.fedi/maintain.log')).toMatch(/Z check mastodon: up\n$/);
  });

  test('pages open, but no worker runs: it works partly', async () => {
    docker('stop', id('mastodon_sidekiq'));
    await check();
    const text = await page();
    expect(text).toContain('Mastodon works partly');
    expect(text).not.toContain('sidekiq');
    docker('start', id('mastodon_sidekiq'));
    await healthy('mastodon_sidekiq');
  });

  test('maintenance mode: everything is closed but the page', async () => {
    await writeMaintenance(site.folder, 'mastodon', 'token', [MASTODON], true);
    await reload();
    await check();
    expect((await get(MASTODON, '/')).status).toBe(503);
    expect(await page()).toContain('Maintenance of Mastodon');
    await removeMaintenance(site.folder);
    await reload();
    await check();
    expect(await page()).toContain('snac and Mastodon work');
  });

  test('a check waits for no other run', async () => {
    const held = spawn('flock', ['-x', join(site.folder, '.fedi'), 'sh', '-c', 'echo held; read end'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => held.stdout.once('data', resolve));
    expect(await check()).toContain('mastodon: up');
    held.stdin.end();
  });

  test('old results say that they are old, without a script', async () => {
    const path = join(site.folder, '.fedi/status-page/index.html');
    const seconds = Math.floor(Date.now() / 1000) - 3 * 3600;
    writeFileSync(path, readFileSync(path, 'utf8').replace(/(int64\) )\d+/, `$1${seconds}`));
    const text = await page();
    expect(text).toContain('Unknown: the last check was 3 hours ago');
    expect(text).not.toContain('work ');
  });

  test('doctor finds a page that is not served; a check writes it again', async () => {
    rmSync(join(site.folder, '.fedi/status-page/index.html'));
    expect((await get(site.domain)).status).toBe(404);
    expect(await doctor()).toContain('Caddy answers requests for the status page with 404.');
    await check();
    expect(await doctor()).not.toContain('Caddy answers requests for the status page with 404.');
  });

  test('status shows it', async () => {
    expect((await run('status')).stdout).toMatch(
      /^Status page {3}https:\/\/page\.fedi\.test\/\.fedi-setup\/status, checked now$/m,
    );
  });

  test('switched off, nothing is left of it, and the timer stops', async () => {
    const off = await site.apply([], { env: { ...env, FEDI_STATUS_PAGE: 'off' } });
    expect(off.code, off.stderr).toBe(0);
    // What snac and Mastodon answer themselves.
    for (const name of [MASTODON, site.domain]) expect((await get(name)).text()).not.toContain('Status of');
    for (const name of ['status-page', 'uptime.json'])
      expect(existsSync(join(site.folder, '.fedi', name))).toBe(false);
    expect(docker('inspect', '--format', '{{json .Mounts}}', id('caddy'))).not.toContain('status-page');
    expect(site.read('compose.yaml') + site.read('caddy/Caddyfile')).not.toMatch(/status.page/);
    expect(await check()).toContain('This site has no status page.');
    if (existsSync('/run/systemd/system')) return;
    expect(readFileSync(jobs, 'utf8').trim().split('\n')).toHaveLength(2);
    expect(readFileSync(jobs, 'utf8')).not.toContain("'check'");
  });

  test('switched on again, it begins with an empty history; uninstall leaves nothing', async () => {
    const on = await site.apply([], { env });
    expect(on.code, on.stderr).toBe(0);
    expect(await page()).not.toContain('did not answer');
    if (!existsSync('/run/systemd/system')) expect(readFileSync(jobs, 'utf8')).toContain("'check'");
    const gone = await run('uninstall', '--data', '--confirm', site.name);
    expect(gone.code, gone.stderr).toBe(0);
    expect(existsSync(site.folder)).toBe(false);
    expect(readFileSync(jobs, 'utf8')).toBe('1 2 * * * another job\n');
  });
});
