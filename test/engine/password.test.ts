/** A chosen admin password: set in the app, never printed, and in no command line. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const site = testSite('password', 34);
afterAll(() => site.remove());

const CHOSEN = `it's "böse" $HOME \\ %s 12`;

const logsIn = (text: string): boolean => {
  const stored = (
    JSON.parse(docker('exec', site.containers()['snac'] as string, 'cat', '/data/user/anna/user.json')) as {
      passwd: string;
    }
  ).passwd;
  const [nonce = ''] = stored.split(':');
  // The same check as snac's.
  return (
    stored ===
    `${nonce}:${docker('run', '--rm', '--network=none', '--entrypoint', 'sh', site.env['FEDI_IMAGES_SNAC'] as string, '-c', `printf %s "$1" | sha1sum`, 'sh', `${nonce}:anna:${text}`).slice(0, 40)}`
  );
};

describe.sequential('a chosen password', () => {
  test('is set by the first run, and used by its receipt to log in', async () => {
    const run = await site.apply([], { env: { ...site.env, FEDI_SNAC_PASSWORD: CHOSEN } });
    expect(run.code, run.stderr).toBe(0);
    expect(run.events).toContainEqual(
      expect.objectContaining({ event: 'step', id: 'snac.chosen', state: 'done' }),
    );
    expect(run.events).toContainEqual(expect.objectContaining({ event: 'proof', id: 'login', ok: true }));
    expect(logsIn(CHOSEN)).toBe(true);
    expect(logsIn('another')).toBe(false);
    // A chosen password is not shown.
    expect(run.events.some(({ event }) => event === 'admin')).toBe(false);
    expect(run.stdout + run.stderr).not.toContain('böse');
    expect(site.read('fedi.yaml')).not.toContain('böse');
  });

  test('the next run has nothing to do', async () => {
    const again = await tool(['apply', '--dir', site.folder], { env: site.env });
    expect([again.code, again.stderr]).toEqual([0, 'Nothing to change.\n']);
  });

  test('a different one later does not replace the password in the app', async () => {
    const run = await site.apply(['--email', 'berta@fedi.test'], {
      env: { ...site.env, FEDI_SNAC_PASSWORD: 'quite another one' },
    });
    expect(run.code, run.stderr).toBe(0);
    expect(run.events).toContainEqual(expect.objectContaining({ id: 'snac.chosen', state: 'already' }));
    expect(logsIn(CHOSEN)).toBe(true);
  });
});

describe.sequential('a rotated secret', () => {
  const rotate = (...more: string[]): Promise<Run> =>
    tool(['secrets', 'rotate', 'site.key', '--confirm', 'site.key', '--dir', site.folder, ...more], {
      env: site.env,
    });
  const key = (): string =>
    (JSON.parse(site.read('secrets.json')) as { secrets: Record<string, { value: string }> }).secrets[
      'site.key'
    ]?.value ?? '';

  test('a refused run creates none', async () => {
    const before = key();
    appendFileSync(join(site.folder, 'compose.yaml'), '# mine\n');
    const run = await rotate();
    expect([run.code, run.stderr]).toEqual([3, expect.stringContaining('Nothing was changed.')]);
    expect(key()).toBe(before);
  });

  test('a successful run recreates the containers', async () => {
    const [before, containers] = [key(), site.containers()];
    const run = await rotate('--edited', 'replace');
    expect(run.code, run.stderr).toBe(0);
    expect(key()).not.toBe(before);
    // After a successful proof the old key is deleted.
    expect(site.read('secrets.json')).not.toContain(before);
    expect(run.stdout + run.stderr).not.toContain(key());
    expect(site.containers()['snac']).not.toBe(containers['snac']);
    const again = await tool(['apply', '--dir', site.folder], { env: site.env });
    expect([again.code, again.stderr]).toEqual([0, 'Nothing to change.\n']);
  });
});
