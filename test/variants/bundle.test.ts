/** `doctor bundle` of a running site: what real containers print, and no secret of it in the file. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { docker, environment, logsOf, testSite, tool } from '../support/site.ts';

const PATIENCE_MS = 5 * 60_000;
const site = testSite('tunbundle', 178, 'canary-domain.fedi.test');
const MAIL_PASSWORD = `canary-mail'"$HOME\\ é`;
const env = {
  ...site.env,
  FEDI_SNAC_ADMIN: 'canaryname',
  FEDI_SNAC_EMAIL: 'canary-email@canary-mail.test',
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: 'smtp.canary-host.test',
  FEDI_MAIL_USER: 'canary-user@canary-mail.test',
  FEDI_MAIL_PASSWORD: MAIL_PASSWORD,
};
const path = join(site.folder, 'support.txt');
let text = '';
const id = (service: string): string => site.containers()[service] ?? 'none';

afterAll(() => site.remove());
beforeAll(async () => {
  // No such mail server: the proof of the mail fails.
  // There is no such mail server.
  expect((await site.apply(['--skip-check', 'mail'], { env })).code).toBe(5);
}, PATIENCE_MS);

describe.sequential('doctor bundle', { timeout: PATIENCE_MS }, () => {
  test('containers that print secrets', async () => {
    const { secrets } = JSON.parse(site.read('secrets.json')) as {
      secrets: Record<string, { value: string }>;
    };
    const printed = Object.values(secrets)
      .flatMap(({ value }) => [
        value,
        JSON.stringify({ value }),
        encodeURIComponent(value),
        Buffer.from(`user:${value}`).toString('base64'),
      ])
      .concat(
        'user canary-other@far.example from 203.0.113.9',
        'handle @canaryother@far.example',
        '"uri":"/oauth/authorize?access_token=canary-token&code=canary-code"',
        'Authorization: Bearer canary-bearer',
      );
    for (const line of printed)
      docker('exec', '--env', `LINE=${line}`, id('snac'), 'sh', '-c', 'printf "%s\\n" "$LINE" >/proc/1/fd/1');
    // The canaries are where they are looked for.
    expect(logsOf(id('snac'))).toContain(MAIL_PASSWORD);
    expect(logsOf(id('snac'))).toContain('canary-token');
  });

  test('none of them is in the file', async () => {
    const run = await tool(['doctor', 'bundle', path, '--dir', site.folder], { env: environment() });
    expect([run.code, run.stdout], run.stderr).toEqual([0, '']);
    expect(run.stderr).toContain('Read it before you send it');
    text = readFileSync(path, 'utf8');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(text.split('\n').filter((line) => /canary|203\.0\.113/i.test(line))).toEqual([]);
    const { secrets } = JSON.parse(site.read('secrets.json')) as {
      secrets: Record<string, { value: string }>;
    };
    for (const { value } of Object.values(secrets))
      for (const line of value.split('\n').filter((one) => one.length > 8)) {
        expect(text).not.toContain(line);
        expect(text).not.toContain(encodeURIComponent(line));
        expect(text).not.toContain(Buffer.from(`user:${line}`).toString('base64').slice(8, -4));
      }
  });

  test('what helps is in it', () => {
    for (const part of ['\n-- snac\n', 'snac: running (healthy)', '✖ snac mail', 'apps.snac.domain: (set)'])
      expect(text).toContain(part);
    expect(text).toMatch(/^caddy: fedi-setup\/caddy:trixie sha256:[0-9a-f]{64} \(loaded\)$/m);
    expect(text).toMatch(/^https:\/\/<apps\.snac\.domain> \{$/m);
    expect(text).toMatch(/^generation 1: 20/m);
    expect(text).toMatch(/"uri":"\/oauth\/authorize\?<query>"/);
  });

  test('on standard output too, and never over another file', async () => {
    const { stdout, code } = await tool(['doctor', 'bundle', '-', '--dir', site.folder], {
      env: environment(),
    });
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toMatch(/^Support file of fedi-setup, /);
    expect(stdout).not.toMatch(/canary/i);
    writeFileSync(path, 'mine');
    const refused = await tool(['doctor', 'bundle', path, '--dir', site.folder], { env: environment() });
    expect([refused.code, readFileSync(path, 'utf8')]).toEqual([2, 'mine']);
  });
});
