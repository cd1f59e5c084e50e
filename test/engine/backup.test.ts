/** The whole loop of a site with snac: a backup, its drill, and a restore after everything else was lost. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backedSite } from '../support/backed-site.ts';
import { docker, wipe } from '../support/site.ts';

const { site, parent, repository, sheet, run, setUp, notes, filesIn, volumes, restic } = backedSite(
  'backup',
  112,
);
beforeAll(setUp);
afterAll(() => site.remove());

test('is complete, encrypted and checked; the recovery sheet is missing', async () => {
  const made = await run(['backup']);
  expect(made.code, made.stderr).toBe(0);
  expect(made.stderr).toMatch(/✔ Backup to .*\n✔ Check of .*\n/);
  expect(made.stderr).toContain('Write the recovery sheet');
  const list = restic('ls', 'latest');
  for (const path of [
    'site/secrets.json',
    'site/fedi.yaml',
    'site/images.lock.yaml',
    'volumes/snac_data/.fedi-setup.json',
    'volumes/snac_data/user/anna/key.json',
    'volumes/caddy_data/caddy',
    'stage/manifest.json',
  ])
    expect(list).toContain(`/set/${path}`);
  expect(list).not.toMatch(/\.fedi\/lock|\.fedi\/ssh\/ssh-key/);
  expect(volumes()).not.toContain(`${site.name}_backup`);
  expect((await run(['status'])).stdout).toMatch(
    /backups: the newest is less than an hour old\n(?: +! .*\n)* +! There is no recovery sheet yet/,
  );
});

test('data are not removed while nothing else has the password', async () => {
  for (const argv of [['uninstall', '--data'], ['reset']]) {
    const refused = await run([...argv, '--confirm', site.name]);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('Write the recovery sheet first'),
    ]);
  }
  expect(volumes()).toContain(`${site.name}_snac_data`);
});

test('the sheet is written once, for its owner only', async () => {
  expect((await run(['backup', 'sheet', sheet])).code).toBe(0);
  expect(readFileSync(sheet, 'utf8')).toContain(repository);
  const again = await run(['backup', 'sheet', sheet]);
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('already exists')]);
  expect((await run(['status'])).stdout).not.toContain('recovery sheet');
});

test('a drill restores it without a network, uses its keys, and leaves nothing', async () => {
  const before = volumes();
  const drilled = await run(['backup', 'drill']);
  expect(drilled.code, drilled.stderr).toBe(0);
  expect(drilled.stderr).toMatch(/✔ Configuration and secrets: match the data of snac/);
  expect(drilled.stderr).toMatch(/✔ Files: \d+ restored, each with the right checksum/);
  expect(drilled.stderr).toMatch(/✔ Signing keys of snac: 1 works/);
  expect(volumes()).toEqual(before);
  expect((await run(['backup', 'verify'])).code).toBe(0);
});

test('needs a password, and says what it is for', async () => {
  const refused = await run(['restore']);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('recovery sheet')]);
  writeFileSync(join(parent, 'wrong'), 'not-the-password\n');
  const wrong = await run(['restore', '--from', repository, '--password-file', join(parent, 'wrong')]);
  expect([wrong.code, wrong.stderr]).toEqual([
    3,
    expect.stringContaining('The password in that file does not open'),
  ]);
});

test('an empty host: the same secrets, files, keys and account', async () => {
  const [secrets, yaml] = [site.read('secrets.json'), site.read('fedi.yaml')];
  const key = filesIn('snac_data')
    .split('\n')
    .filter((line) => line.includes('user/anna/key.json'));
  expect(key).toHaveLength(2);
  wipe(site.name);
  rmSync(site.folder, { recursive: true });
  const restored = await run(['restore', '--password-file', sheet, '--json']);
  expect(restored.code, restored.stderr).toBe(0);
  expect(restored.events.at(-1)).toMatchObject({ event: 'end', proven: true });
  expect(restored.events.filter(({ event }) => event === 'admin')).toEqual([]);
  expect([site.read('secrets.json'), site.read('fedi.yaml')]).toEqual([secrets, yaml]);
  expect(filesIn('snac_data').split('\n')).toEqual(expect.arrayContaining(key));
  expect(notes()).toContain('written before the backup');
  expect((await run(['backup'])).code).toBe(0);
});

test('no backup without the data: it would replace the good ones', async () => {
  const before = restic('snapshots', '--json');
  for (const id of Object.values(site.containers())) docker('rm', '--force', id);
  docker('volume', 'rm', `${site.name}_snac_data`);
  const refused = await run(['backup']);
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('The data of snac are gone')]);
  expect(restic('snapshots', '--json')).toBe(before);
});

test('killed in the middle: nothing starts until it is run again', async () => {
  const killed = await run(['restore', '--password-file', sheet, '--confirm', site.name, '--json'], {
    onEvent: (event, child) => {
      if (event['id'] === 'volumes' && event['state'] === 'start') child.kill('SIGKILL');
    },
  });
  expect(killed.signal).toBe('SIGKILL');
  // Nor by `docker compose up`.
  expect(existsSync(join(site.folder, 'compose.yaml'))).toBe(false);
  expect((await run(['status'])).stdout).toContain('A restore was interrupted');
  for (const argv of [['apply'], ['start'], ['backup']]) {
    const refused = await run(argv);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('A restore of this site was interrupted.'),
    ]);
  }
  const again = await run(['restore', '--password-file', sheet, '--confirm', site.name]);
  expect(again.code, again.stderr).toBe(0);
  expect(notes()).toContain('written before the backup');
});
