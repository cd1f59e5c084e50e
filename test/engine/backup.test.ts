/** The whole loop of a site with snac: a backup, its drill, and a restore after everything else was lost. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backedSite } from '../support/backed-site.ts';
import { docker, environment, tool, wipe } from '../support/site.ts';

const { site, parent, repository, sheet, run, setUp, notes, filesIn, volumes, restic } = backedSite(
  'backup',
  112,
);
beforeAll(setUp);
afterAll(() => {
  spawnSync('docker', ['rm', '--force', 'test-backup-used']);
  spawnSync('docker', ['rmi', '--force', 'test-backup/used:1', 'test-backup/named:1', 'test-backup/mine:1']);
  site.remove();
});

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
    /^Backup +(?:now|\d+ min ago), [\d.]+ [KM]B; no drill yet; no recovery sheet\n(?:.*\n)* +! There is no recovery sheet yet/m,
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

test('the sheet replaces an older one, and no other file', async () => {
  expect((await run(['backup', 'sheet', sheet])).code).toBe(0);
  expect(readFileSync(sheet, 'utf8')).toContain(repository);
  expect((await run(['backup', 'sheet', sheet])).code).toBe(0);
  const other = join(parent, 'other');
  writeFileSync(other, 'mine\n');
  const refused = await run(['backup', 'sheet', other]);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('not the recovery sheet')]);
  expect(readFileSync(other, 'utf8')).toBe('mine\n');
  expect((await run(['status'])).stdout).toMatch(/^Backup .*; recovery sheet (?:now|\d+ min ago)$/m);
});

test('a time chooses the newest backup of then', async () => {
  const none = await run(['restore', '--at', '2020-01-01']);
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('has no backup 2020-01-01')]);
  const today = await run(['restore', '--at', new Date().toISOString().slice(0, 10)]);
  expect([today.code, today.stderr]).toEqual([3, expect.stringContaining('was not confirmed')]);
});

/** An image of one file. */
function image(tag: string): { readonly id: string; readonly exists: () => boolean } {
  const folder = mkdtempSync(join(parent, 'image-'));
  writeFileSync(join(folder, 'name'), tag);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY name /\n');
  docker('build', '--quiet', '--tag', tag, folder);
  const id = docker('image', 'inspect', '--format', '{{.Id}}', tag);
  return { id, exists: () => docker('image', 'ls', '--all', '--quiet', '--no-trunc').includes(id) };
}

test('a clean-up removes images of old versions, and shows the sizes', async () => {
  const names = ['old', 'used', 'named'].map((name) => `test-backup/${name}:1`);
  const [old, used, named] = names.map(image) as [
    ReturnType<typeof image>,
    ReturnType<typeof image>,
    ReturnType<typeof image>,
  ];
  docker('tag', named.id, 'test-backup/mine:1');
  docker('create', '--name', 'test-backup-used', used.id, '/name');
  const generation = join(site.folder, '.fedi/generations/0000');
  mkdirSync(generation, { recursive: true });
  writeFileSync(join(generation, 'fedi.yaml'), site.read('fedi.yaml'));
  writeFileSync(
    join(generation, 'images.lock.yaml'),
    names
      .map((tag, i) => `i${i}: { tag: '${tag}', id: '${[old, used, named][i]?.id}', source: built }\n`)
      .join(''),
  );
  // The version before this one; its images are kept.
  const before = join(site.folder, '.fedi/generations/0001/images.lock.yaml');
  const lock = readFileSync(before, 'utf8');
  writeFileSync(before, `${lock}i0: { tag: 'test-backup/before:1', id: 'sha256:0', source: built }\n`);
  const shown = await run(['cleanup', '--dry-run']);
  expect([shown.code, shown.stderr]).toEqual([0, expect.stringMatching(/uses: 1 would be removed/)]);
  expect(old.exists()).toBe(true);
  const cleaned = await run(['cleanup', '--json']);
  expect(cleaned.code, cleaned.stderr).toBe(0);
  expect(cleaned.events.find(({ event }) => event === 'cleanup')).toMatchObject({
    dryRun: false,
    volumes: { snac_data: [expect.any(Number), expect.any(Number)] },
  });
  expect([old.exists(), used.exists(), named.exists()]).toEqual([false, true, true]);
  expect(site.read('.fedi/metrics').trim().split('\n')).toHaveLength(2);
  expect(notes()).toContain('written before the backup');
  rmSync(generation, { recursive: true });
  writeFileSync(before, lock);
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

test('an interrupted drill leaves nothing either', async () => {
  const before = volumes();
  const record = site.read('.fedi/backups.json');
  let drilled: string[] = [];
  const stopped = await run(['backup', 'drill', '--json'], {
    onEvent: (event, child) => {
      if (event['id'] !== 'drill.files' || event['state'] !== 'start') return;
      drilled = volumes();
      child.kill('SIGINT');
    },
  });
  expect([stopped.code, stopped.stderr]).toEqual([130, expect.stringContaining('The site was not changed.')]);
  expect(drilled).toContain(`${site.name}_drill`);
  expect([volumes(), site.read('.fedi/backups.json')]).toEqual([before, record]);
});

test('needs a password, of the site itself or of a file', async () => {
  const own = await run(['restore']);
  expect([own.code, own.stderr]).toEqual([3, expect.stringContaining('was not confirmed')]);
  const elsewhere = await tool(['restore', '--dir', join(parent, 'nothing')], { env: environment() });
  expect([elsewhere.code, elsewhere.stderr]).toEqual([2, expect.stringContaining('recovery sheet')]);
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
