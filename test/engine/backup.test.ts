/** Backups of a site with snac in a directory: made, listed, drilled, and restored after everything else was lost. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages } from '../support/acme.ts';
import { docker, environment, testSite, tool, wipe } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

needImages('restic');
const site = testSite('backup', 112);
const parent = join(site.folder, '..');
const repository = join(parent, 'repository');
const sheet = join(parent, 'sheet.yaml');
afterAll(() => site.remove());

const RESTIC = { FEDI_IMAGES_RESTIC: site.env['FEDI_IMAGES_RESTIC'] };
const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment(RESTIC), ...options });

/** Path → hash, owner and mode of every file in a volume. */
const filesIn = (volume: string): string =>
  docker(
    ...`run --rm --network none --volume ${site.name}_${volume}:/v:ro --entrypoint sh ${RESTIC.FEDI_IMAGES_RESTIC} -c`.split(
      ' ',
    ),
    'cd /v && find . -type f ! -path "*/log/*" -exec sha256sum {} + -exec stat -c "%n %u:%g %a" {} + | sort',
  );

/** The volumes of the site. */
const volumes = (): string[] =>
  docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`)
    .split('\n')
    .toSorted();

/** Runs restic on the repository, as its owner would without fedi-setup. */
const restic = (...argv: string[]): string =>
  docker(
    ...`run --rm --network none --volume ${repository}:/r --env RESTIC_REPOSITORY=/r --entrypoint restic`.split(
      ' ',
    ),
    '--env',
    `RESTIC_PASSWORD=${password()}`,
    String(RESTIC.FEDI_IMAGES_RESTIC),
    '--no-cache',
    ...argv,
  );
const password = (): string => {
  const { secrets } = JSON.parse(site.read('secrets.json')) as { secrets: Record<string, { value: string }> };
  return secrets['backup.password']?.value ?? '';
};

beforeAll(async () => {
  const first = await site.apply(['--backup-to', repository]);
  expect(first.code, first.stderr).toBe(0);
  docker(
    'exec',
    site.containers()['snac'] as string,
    'snac',
    'note',
    '/data',
    'anna',
    'written before the backup',
  );
});

describe.sequential('backup', () => {
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
      /backups: the newest is less than an hour old\n +! The recovery sheet was never written/,
    );
  });

  test('more backups of an unchanged site need hardly more space', async () => {
    const size = (): number =>
      Number(
        docker(
          'run',
          '--rm',
          '--volume',
          `${repository}:/r`,
          '--entrypoint',
          'du',
          String(RESTIC.FEDI_IMAGES_RESTIC),
          '-sk',
          '/r',
        ).split('\t')[0],
      );
    const before = size();
    for (let i = 0; i < 2; i++) expect((await run(['backup'])).code).toBe(0);
    // Two snapshots: a few metadata objects each.
    expect(size()).toBeLessThan(before * 1.5);
    const list = await run(['backup', 'list', '--json']);
    // The first of all and the last of the day are kept.
    expect(list.events).toHaveLength(2);
    expect(list.events).toMatchObject([
      { event: 'snapshot', repository },
      { event: 'snapshot', repository },
    ]);
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
    expect(drilled.stderr).toMatch(/✔ Configuration and secrets: fit the data of snac/);
    expect(drilled.stderr).toMatch(/✔ Files: \d+ restored, each with the right checksum/);
    expect(drilled.stderr).toMatch(/✔ Keys of snac: 1 can sign/);
    expect(volumes()).toEqual(before);
    expect((await run(['backup', 'verify'])).code).toBe(0);
  });

  test('maintain backs up when it is due, and is started by a timer', async () => {
    const made = async (): Promise<number> => {
      const { code, stderr, events } = await run(['maintain', '--json']);
      expect(code, stderr).toBe(0);
      return events.filter(({ event, ok }) => event === 'backup' && ok === true).length;
    };
    expect(await made()).toBe(0);
    const record = join(site.folder, '.fedi/backups.json');
    writeFileSync(record, site.read('.fedi/backups.json').replace(/"at": "2\d{3}/, '"at": "2020'));
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
    const env = environment({ ...RESTIC, PATH: `${programs}:${process.env['PATH']}` });
    if (existsSync('/run/systemd/system')) return;
    for (let i = 0; i < 2; i++) expect((await run(['maintain', 'install'], { env })).code).toBe(0);
    const [other, ours = '', ...more] = readFileSync(join(parent, 'crontab'), 'utf8').split('\n');
    expect([other, more]).toEqual(['1 2 * * * another job', ['']]);
    // What cron runs: a copy, without this checkout.
    const started = spawnSync(
      'sh',
      ['-c', ours.split(' ').slice(5).join(' ').replace('>/dev/null 2>&1', '')],
      {
        encoding: 'utf8',
        env: { HOME: process.env['HOME'] },
      },
    );
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
        yaml.replace(
          /^backup:\n/m,
          `backup:\n  before: "${before}"\n  after: "echo $FEDI_BACKUP >>${log}"\n`,
        ),
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
      ...`run --rm --network none --volume ${other}:/r --env RESTIC_REPOSITORY=/r --env RESTIC_PASSWORD=other --entrypoint restic ${RESTIC.FEDI_IMAGES_RESTIC} init`.split(
        ' ',
      ),
    );
    const refused = await run(['backup', '--to', other]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain(`The password does not open the backups in ${other}.`);
  });

  test('a lost disk is not replaced by a new repository; the site runs on', async () => {
    const away = `${repository}-away`;
    docker(
      'run',
      '--rm',
      '--volume',
      `${parent}:/p`,
      '--entrypoint',
      'mv',
      String(RESTIC.FEDI_IMAGES_RESTIC),
      '/p/repository',
      '/p/repository-away',
    );
    const gone = await run(['backup']);
    expect(gone.code).toBe(3);
    expect(gone.stderr).toContain(`The backups in ${repository} are gone.`);
    expect(existsSync(repository)).toBe(false);
    expect((await run(['status'])).stdout).toContain('The last backup');
    docker(
      'run',
      '--rm',
      '--volume',
      `${parent}:/p`,
      '--entrypoint',
      'mv',
      String(RESTIC.FEDI_IMAGES_RESTIC),
      `/p/${away.split('/').at(-1)}`,
      '/p/repository',
    );
    expect((await run(['backup'])).code).toBe(0);
  });
});

describe.sequential('restore', () => {
  test('needs a password, and says what it is for', async () => {
    const refused = await run(['restore']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('recovery sheet')]);
    writeFileSync(join(parent, 'wrong'), 'not-the-password\n');
    const wrong = await run(['restore', '--from', repository, '--password-file', join(parent, 'wrong')]);
    expect([wrong.code, wrong.stderr]).toEqual([3, expect.stringContaining('The password does not open')]);
  });

  test('over the live site only with its name; nothing changes without it', async () => {
    const [before, containers] = [filesIn('snac_data'), site.containers()];
    const refused = await run(['restore', '--password-file', sheet]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain(`--confirm ${site.name}`);
    expect([filesIn('snac_data'), site.containers()]).toEqual([before, containers]);
  });

  test('one app goes back to the backup, and is proven', async () => {
    docker(
      'exec',
      site.containers()['snac'] as string,
      'snac',
      'note',
      '/data',
      'anna',
      'written after the backup',
    );
    expect(notes()).toContain('written after the backup');
    const caddy = site.containers()['caddy'];
    const restored = await run([
      'restore',
      '--password-file',
      sheet,
      '--app',
      'snac',
      '--confirm',
      site.name,
    ]);
    expect(restored.code, restored.stderr).toBe(0);
    expect(notes()).toContain('written before the backup');
    expect(notes()).not.toContain('written after the backup');
    expect(site.containers()['caddy']).toBe(caddy);
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

  test('killed in the middle: nothing starts until it is run again', async () => {
    const killed = await run(['restore', '--password-file', sheet, '--confirm', site.name, '--json'], {
      onEvent: (event, child) => {
        if (event['id'] === 'volumes' && event['state'] === 'start') child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
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
});

/** The texts of all notes. */
const notes = (): string =>
  docker('exec', site.containers()['snac'] as string, 'sh', '-c', 'cat /data/user/anna/public/*.json');
