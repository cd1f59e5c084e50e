/** Backups of a site with snac: the schedule, commands, wrong and lost repositories, and restores over a live site. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { backedSite } from '../support/backed-site.ts';
import { docker, environment } from '../support/site.ts';

const { site, parent, repository, sheet, image, restic, run, setUp, notes, note, filesIn } = backedSite(
  'backup-more',
  115,
);
beforeAll(async () => {
  await setUp();
  expect((await run(['backup'])).code).toBe(0);
  expect((await run(['backup', 'sheet', sheet])).code).toBe(0);
});
afterAll(() => site.remove());

test('more backups of an unchanged site need hardly more space', async () => {
  const size = (): number =>
    Number(
      docker('run', '--rm', '--volume', `${repository}:/r`, '--entrypoint', 'du', image, '-sk', '/r').split(
        '\t',
      )[0],
    );
  const before = size();
  for (let i = 0; i < 2; i++) expect((await run(['backup'])).code).toBe(0);
  // Two snapshots: a few metadata objects each.
  expect(size()).toBeLessThan(before * 1.5);
  const list = await run(['backup', 'list', '--json']);
  expect(list.events).toHaveLength(3);
  for (const event of list.events) expect(event).toMatchObject({ event: 'snapshot', repository });
});

test('of a day, all backups are kept for two days; later the last, and the first of all', async () => {
  const times = async (): Promise<unknown[]> =>
    (await run(['backup', 'list', '--json'])).events.map(({ at }) => String(at).slice(0, 13));
  const { events } = await run(['backup', 'list', '--json']);
  for (const [i, { id }] of events.entries())
    restic('rewrite', '--forget', '--new-time', `2020-01-01 1${i}:00:00`, String(id));
  expect(await times()).toEqual(['2020-01-01T10', '2020-01-01T11', '2020-01-01T12']);
  for (let i = 0; i < 2; i++) expect((await run(['backup'])).code).toBe(0);
  const today = expect.stringMatching(/^20(?!20)/);
  expect(await times()).toEqual(['2020-01-01T10', '2020-01-01T12', today, today]);
});

test('maintain backs up when it is due, and is started by a timer', async () => {
  const made = async (): Promise<number> => {
    const { code, stderr, events } = await run(['maintain', '--json']);
    expect(code, stderr).toBe(0);
    return events.filter(({ event, ok }) => event === 'backup' && ok === true).length;
  };
  expect(await made()).toBe(0);
  const record = join(site.folder, '.fedi/backups.json');
  writeFileSync(record, site.read('.fedi/backups.json').replace(/("last": {\s+"at": ")2\d{3}/, '$12020'));
  expect(await made()).toBe(1);
  expect(site.read('.fedi/maintain.log')).toMatch(/^\S+Z checks ok\n(.*\n)*\S+Z backup ok$/m);

  // A stand-in for crontab: that of this machine is not touched.
  const programs = join(parent, 'programs');
  mkdirSync(programs);
  writeFileSync(
    join(programs, 'crontab'),
    `#!/bin/sh\nif [ "$1" = -l ]; then cat ${parent}/crontab; else cat >${parent}/crontab; fi\n`,
    { mode: 0o755 },
  );
  writeFileSync(join(parent, 'crontab'), '1 2 * * * another job\n');
  const env = environment({ FEDI_IMAGES_RESTIC: image, PATH: `${programs}:${process.env['PATH']}` });
  if (existsSync('/run/systemd/system')) return;
  for (let i = 0; i < 2; i++) expect((await run(['maintain', 'install'], { env })).code).toBe(0);
  const [other, ours = '', ...more] = readFileSync(join(parent, 'crontab'), 'utf8').split('\n');
  expect([other, more]).toEqual(['1 2 * * * another job', ['']]);
  // What cron runs: a copy, without this checkout.
  const started = spawnSync('sh', ['-c', ours.split(' ').slice(5).join(' ').replace('>/dev/null 2>&1', '')], {
    encoding: 'utf8',
    env: { HOME: process.env['HOME'] },
  });
  expect(started.status, started.stderr).toBe(0);
  expect((await run(['maintain', 'remove'], { env })).code).toBe(0);
  expect(readFileSync(join(parent, 'crontab'), 'utf8')).toBe('1 2 * * * another job\n');
  expect(existsSync(join(site.folder, '.fedi/tool'))).toBe(false);
}, 120_000);

test.each([
  ['inside the site', () => join(site.folder, 'backups'), /is in, or contains, the site directory/],
  ['around the site', () => parent, /is in, or contains, the site directory/],
])('a directory %s is refused', async (_, to, words) => {
  const refused = await run(['backup', '--to', to()]);
  expect(refused.code).toBe(3);
  expect(refused.stderr).toMatch(words);
  expect(existsSync(join(site.folder, 'backups'))).toBe(false);
});

test('commands before and after: a failed one says so', async () => {
  const yaml = site.read('fedi.yaml');
  const path = join(site.folder, 'fedi.yaml');
  const log = join(parent, 'commands');
  const withCommands = (before: string): void =>
    writeFileSync(
      path,
      yaml.replace(/^backup:\n/m, `backup:\n  before: "${before}"\n  after: "echo $FEDI_BACKUP >>${log}"\n`),
    );
  withCommands(`pwd >>${log}`);
  expect((await run(['backup'])).code).toBe(0);
  expect(readFileSync(log, 'utf8')).toBe(`${site.folder}\ncomplete\n`);
  withCommands('echo no snapshot; exit 3');
  const failed = await run(['backup']);
  writeFileSync(path, yaml);
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/failed with exit code 3: .*\n.*No backup was made\.[^]*no snapshot/);
});

test('a repository of another site is refused, and stays as it is', async () => {
  const other = join(parent, 'other');
  mkdirSync(other);
  docker(
    ...`run --rm --network none --volume ${other}:/r --env RESTIC_REPOSITORY=/r --env RESTIC_PASSWORD=other --entrypoint restic ${image} init`.split(
      ' ',
    ),
  );
  const refused = await run(['backup', '--to', other]);
  expect(refused.code).toBe(3);
  expect(refused.stderr).toContain(`The password does not open the backups in ${other}.`);
});

test('a lost disk is not replaced by a new repository; the site runs on', async () => {
  const away = `${repository}-away`;
  renameSync(repository, away);
  const gone = await run(['backup']);
  expect(gone.code).toBe(3);
  expect(gone.stderr).toContain(`No backups were found in ${repository}, but there were some.`);
  expect(existsSync(repository)).toBe(false);
  expect((await run(['status'])).stdout).toContain('The last backup');
  renameSync(away, repository);
  expect((await run(['backup'])).code).toBe(0);
});

test('over the live site only with its name; nothing changes without it', async () => {
  const [before, containers] = [filesIn('snac_data'), site.containers()];
  const refused = await run(['restore', '--password-file', sheet]);
  expect(refused.code).toBe(3);
  expect(refused.stderr).toContain(`--confirm ${site.name}`);
  expect([filesIn('snac_data'), site.containers()]).toEqual([before, containers]);
});

test('one app goes back to the backup, and is proven', async () => {
  note('written after the backup');
  expect(notes()).toContain('written after the backup');
  const caddy = site.containers()['caddy'];
  const restored = await run(['restore', '--password-file', sheet, '--app', 'snac', '--confirm', site.name]);
  expect(restored.code, restored.stderr).toBe(0);
  expect(notes()).toContain('written before the backup');
  expect(notes()).not.toContain('written after the backup');
  expect(site.containers()['caddy']).toBe(caddy);
});

test('of two repositories, the one with the newest backup is restored', async () => {
  const other = join(parent, 'second');
  note('only in the second repository');
  expect((await run(['backup', '--to', other])).code).toBe(0);
  const both = join(parent, 'both.yaml');
  expect((await run(['backup', 'sheet', both])).code).toBe(0);
  const restored = await run(['restore', '--password-file', both, '--app', 'snac', '--confirm', site.name]);
  expect(restored.code, restored.stderr).toBe(0);
  expect(notes()).toContain('only in the second repository');
});

test('a site that was stopped to move it starts only after `backup resume`', async () => {
  const moved = await run(['backup', '--stop']);
  expect(moved.code, moved.stderr).toBe(0);
  for (const argv of [
    ['apply'],
    ['start'],
    ['backup'],
    ['prove'],
    ['maintain'],
    ['maintain', 'install'],
    ['restore', '--confirm', site.name],
  ]) {
    const refused = await run(argv);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('was stopped to move it')]);
  }
  expect((await run(['backup', 'resume'])).code).toBe(0);
  const back = await run(['apply']);
  expect(back.code, back.stderr).toBe(0);
});

test('a disk that is read-only: refused at once', async () => {
  const disk = join(parent, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', disk]);
  try {
    expect((await run(['backup', '--to', join(disk, 'a')])).code).toBe(0);
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const refused = await run(['backup', '--to', join(disk, 'a')]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('read-only file system')]);
  } finally {
    execFileSync('umount', [disk]);
  }
}, 120_000);
