/** Backups of Mastodon and Pixelfed: databases in containers and external ones, drills that fail, kills. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { needImages } from '../support/acme.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, environment, testSite, tool, wipe } from '../support/site.ts';
import type { Run, RunOptions, TestSite } from '../support/site.ts';

needImages('restic', 'mariadb');
const PATIENCE_MS = 30 * 60_000;
const IMAGE = 'fedi-setup/restic:trixie';

/** Two apps in one site, with a repository and a recovery sheet beside it. */
function siteWithBoth(name: string, address: number, more: NodeJS.ProcessEnv = {}) {
  const site = testSite(name, address);
  const parent = join(site.folder, '..');
  const repository = join(parent, 'repository');
  const sheet = join(parent, 'sheet.yaml');
  const env: NodeJS.ProcessEnv = {
    ...site.env,
    ...mastodonAnswers(`m.${site.domain}`),
    ...pixelfedAnswers(`p.${site.domain}`),
    FEDI_APPS: 'mastodon,pixelfed',
    FEDI_BACKUP_TO: repository,
    ...more,
  };
  const quiet = environment({
    FEDI_IMAGES_RESTIC: IMAGE,
    FEDI_IMAGES_POSTGRES: 'fedi-setup/postgres:trixie',
  });
  const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
    tool([...argv, '--dir', site.folder], { env: quiet, ...options });
  return { site, repository, sheet, env, run };
}

/** Everything of the host is lost but the repository and the sheet. */
function lose(site: TestSite): void {
  wipe(site.name);
  rmSync(site.folder, { recursive: true, force: true });
}

/** What must be the same after a restore: accounts, passwords and posts, as hashes. */
function contentOf(site: TestSite): string[] {
  const { mastodon_db: postgres = 'none', pixelfed_db: mariadb = 'none' } = site.containers();
  const sql = (query: string): string =>
    docker(...`exec ${postgres} psql -h 127.0.0.1 -U mastodon -d mastodon -tAc`.split(' '), query);
  const my = (query: string): string =>
    docker(
      'exec',
      mariadb,
      'sh',
      '-c',
      'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -h 127.0.0.1 -u "$MARIADB_USER" -NBe "$0" "$MARIADB_DATABASE"',
      query,
    );
  return [
    sql("select md5(string_agg(concat(id, username, private_key), ',' order by id)) from accounts"),
    sql("select md5(string_agg(encrypted_password, ',' order by id)) from users"),
    sql("select md5(string_agg(concat(id, text), ',' order by id)) from statuses where text like 'kept%'"),
    my('select md5(group_concat(concat(id, username, private_key) order by id)) from profiles'),
    my('select md5(group_concat(concat(id, password) order by id)) from users'),
    my('select count(*) from places'),
  ];
}

describe.sequential('databases in containers', { timeout: PATIENCE_MS }, () => {
  const { site, repository, sheet, env, run } = siteWithBoth('backup-apps', 113);
  let before: string[];
  let password = '';
  afterAll(() => site.remove());
  beforeAll(async () => {
    const first = await site.apply([], { env });
    expect(first.code, first.stderr).toBe(0);
    const { mastodon_db: db = '', mastodon_valkey: valkey = '' } = site.containers();
    docker(
      ...`exec ${db} psql -h 127.0.0.1 -U mastodon -d mastodon -qc`.split(' '),
      "insert into statuses (id, account_id, text, uri, created_at, updated_at) select 10 + n, (select min(id) from accounts), 'kept ' || n || E'\\n;--' || chr(8364), 'u' || n, now(), now() from generate_series(1, 5000) n",
    );
    docker(
      'exec',
      valkey,
      'sh',
      '-c',
      'REDISCLI_AUTH="$VALKEY_PASSWORD" valkey-cli set kept-in-the-backup 7',
    );
    before = contentOf(site);
  }, PATIENCE_MS);

  test('a backup and its drill', async () => {
    const made = await run(['backup']);
    expect(made.code, made.stderr).toBe(0);
    expect((await run(['backup', 'sheet', sheet])).code).toBe(0);
    const drilled = await run(['backup', 'drill']);
    expect(drilled.code, drilled.stderr).toBe(0);
    expect(drilled.stderr).toMatch(
      /✔ The database of mastodon: \d+ tables with \d{4,} rows, as in the backup/,
    );
    expect(drilled.stderr).toMatch(
      /✔ The database of pixelfed: \d+ tables with \d{4,} rows, as in the backup/,
    );
    expect(drilled.stderr).toMatch(/✔ Signing keys of Mastodon: \d+ works?/);
    expect(drilled.stderr).toMatch(/✔ Signing keys of Pixelfed: \d+ works?/);
    const { secrets } = JSON.parse(site.read('secrets.json')) as {
      secrets: Record<string, { value: string }>;
    };
    password = secrets['backup.password']?.value ?? '';
  });

  /** Adds a backup that differs from the newest one. */
  const tamper = (command: string): void => {
    docker(
      ...`run --rm --network none --volume ${repository}:/r --env RESTIC_REPOSITORY=/r --env RESTIC_PASSWORD=${password} --entrypoint sh ${IMAGE} -euc`.split(
        ' ',
      ),
      `restic --no-cache -q restore latest --target / && cd /set && ${command} && restic --no-cache -q backup --host ${site.name} --tag fedi-setup /set`,
    );
  };
  test.each([
    [
      'a lost row',
      `sed -i 's/"places": 2500/"places": 2501/' stage/manifest.json`,
      /✖ The database of pixelfed: places: 2500 instead of 2501/,
    ],
    [
      'a lost table',
      `sed -i 's/"statuses": 5000/"gone": 1, "statuses": 5000/' stage/manifest.json`,
      /✖ The database of mastodon: gone: no table instead of 1/,
    ],
    [
      'a truncated dump',
      'truncate -s 5000 stage/mastodon_db.pgdump',
      /✖ The database of mastodon: .*cannot be loaded/,
    ],
    [
      'secrets of another site',
      `sed -i '/"mastodon.encryption.salt"/,/}/s/"value": ".*"/"value": "${'x'.repeat(32)}"/' site/secrets.json`,
      /✖ Configuration and secrets: do not match the data of mastodon/,
    ],
    ['a volume that is missing', 'rm -r volumes/pixelfed_storage', /✖ Files: missing: pixelfed_storage/],
    [
      'the keys of an account',
      `sed -i 's/BEGIN RSA PRIVATE KEY/BEGIN RSA PRIVATE KEX/; s/BEGIN PRIVATE KEY/BEGIN PRIVATE KEX/' stage/pixelfed_db.sql`,
      /✖ Signing keys of Pixelfed: /,
    ],
  ])('a drill finds %s', async (_, command, words) => {
    tamper(command);
    const drilled = await run(['backup', 'drill']);
    expect(drilled.code, drilled.stderr).toBe(5);
    expect(drilled.stderr).toMatch(words);
    expect((await run(['status'])).stdout).toContain('could not restore the backup completely');
    docker(
      ...`run --rm --network none --volume ${repository}:/r --env RESTIC_REPOSITORY=/r --env RESTIC_PASSWORD=${password} --entrypoint restic ${IMAGE} --no-cache -q forget latest`.split(
        ' ',
      ),
    );
  });

  test('a database that does not run: no backup, and the repository stays as it is', async () => {
    const list = async (): Promise<unknown> => (await run(['backup', 'list', '--json'])).events;
    const snapshots = await list();
    docker('stop', site.containers()['pixelfed_db'] as string);
    const refused = await run(['backup']);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining('pixelfed_db is not running'),
    ]);
    expect((await run(['status'])).stdout).toMatch(
      /The last backup to .* failed at .*: pixelfed_db is not running/,
    );
    docker('start', site.containers()['pixelfed_db'] as string);
    expect(await list()).toEqual(snapshots);
    expect(docker('volume', 'ls', '--quiet').split('\n')).not.toContain(`${site.name}_backup`);
  });

  test.each([
    'dump.mastodon_db.pgdump',
    'dump.pixelfed_db.sql',
    `backup.${repository}`,
    `check.${repository}`,
    `prune.${repository}`,
  ])('killed at %s: the next backup is complete', async (id) => {
    const killed = await run(['backup', '--json'], {
      onEvent: (event, child) => {
        if (event['id'] === id && event['state'] === 'start') child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    const next = await run(['backup']);
    expect(next.code, next.stderr).toBe(0);
  });

  test('an empty host: the same accounts, passwords, keys, posts and queues', async () => {
    // The applied site proves itself, which adds and removes a post: only what was there before is compared.
    lose(site);
    const restored = await run(['restore', '--password-file', sheet, '--json']);
    expect(restored.code, restored.stderr).toBe(0);
    expect(restored.events.at(-1)).toMatchObject({ event: 'end', proven: true });
    expect(contentOf(site)).toEqual(before);
    const key = (): string =>
      docker(
        'exec',
        site.containers()['mastodon_valkey'] as string,
        'sh',
        '-c',
        'REDISCLI_AUTH="$VALKEY_PASSWORD" valkey-cli get kept-in-the-backup',
      );
    expect(key()).toBe('7');
    expect((await run(['apply'])).stderr).toContain('Nothing to change.');
    // One app, without its queues; the other one keeps its containers.
    const pixelfed = site.containers()['pixelfed_web'];
    const again = await run([
      'restore',
      '--password-file',
      sheet,
      '--app',
      'mastodon',
      '--queues',
      'drop',
      '--confirm',
      site.name,
    ]);
    expect(again.code, again.stderr).toBe(0);
    expect([key(), site.containers()['pixelfed_web']]).toEqual(['', pixelfed]);
    expect(contentOf(site)).toEqual(before);
  });

  test.each(['site', 'volumes', 'load.mastodon_db.pgdump', 'load.pixelfed_db.sql', 'up'])(
    'killed at %s on an empty host: the next restore is complete',
    async (id) => {
      lose(site);
      const killed = await run(['restore', '--password-file', sheet, '--json'], {
        onEvent: (event, child) => {
          if (event['id'] === id && event['state'] === 'start') child.kill('SIGKILL');
        },
      });
      expect(killed.signal, killed.stderr).toBe('SIGKILL');
      const next = await run(['restore', '--password-file', sheet, '--confirm', site.name, '--json']);
      expect(next.code, next.stderr).toBe(0);
      expect(contentOf(site)).toEqual(before);
    },
  );
});

describe.sequential('external databases', { timeout: PATIENCE_MS }, () => {
  const subnet = docker('network', 'inspect', 'bridge', '--format', '{{(index .IPAM.Config 0).Subnet}}');
  const host = subnet.replace(/\d+\/\d+$/, '1');
  const servers = ['test-backup-postgres', 'test-backup-mariadb'];
  const { site, sheet, env, run } = siteWithBoth('backup-outside', 114, {
    FEDI_MASTODON_DATABASE: 'external',
    FEDI_MASTODON_DATABASE_URL: `postgresql://fedi:secret%27%2Fword@${host}:54331/fedi`,
    FEDI_PIXELFED_DATABASE: 'external',
    FEDI_PIXELFED_DATABASE_URL: `mysql://fedi:secret%27%2Fword@${host}:33061/fedi`,
  });
  const removeServers = (): void => {
    for (const name of servers)
      if (docker('ps', '--all', '--quiet', '--filter', `name=^${name}$`) !== '')
        docker('rm', '--force', '--volumes', name);
  };
  const startServers = async (): Promise<void> => {
    removeServers();
    docker(
      ...`run --detach --name test-backup-postgres --publish ${host}:54331:5432 --env POSTGRES_USER=fedi --env`.split(
        ' ',
      ),
      "POSTGRES_PASSWORD=secret'/word",
      'fedi-setup/postgres:trixie',
    );
    docker(
      ...`run --detach --name test-backup-mariadb --publish ${host}:33061:3306 --env MARIADB_USER=fedi --env MARIADB_DATABASE=fedi --env MARIADB_RANDOM_ROOT_PASSWORD=1 --env`.split(
        ' ',
      ),
      "MARIADB_PASSWORD=secret'/word",
      ...'fedi-setup/mariadb:trixie --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci'.split(
        ' ',
      ),
    );
    await vi.waitFor(
      () => {
        docker(...'exec test-backup-postgres psql -h 127.0.0.1 -U fedi -c'.split(' '), 'select 1');
        docker(
          ...'exec test-backup-mariadb sh -c'.split(' '),
          'MYSQL_PWD="$MARIADB_PASSWORD" mariadb -h 127.0.0.1 -u fedi -e "select 1" fedi',
        );
      },
      { timeout: 120_000, interval: 300 },
    );
  };
  beforeAll(async () => {
    await startServers();
    const first = await site.apply([], { env });
    expect(first.code, first.stderr).toBe(0);
  }, PATIENCE_MS);
  afterAll(() => {
    site.remove();
    removeServers();
  });
  const users = (): string[] => [
    docker(
      ...'exec test-backup-postgres psql -h 127.0.0.1 -U fedi -tAc'.split(' '),
      'select md5(string_agg(encrypted_password, id::text)) from users',
    ),
    docker(
      ...'exec test-backup-mariadb sh -c'.split(' '),
      'MYSQL_PWD="$MARIADB_PASSWORD" mariadb -h 127.0.0.1 -u fedi -NBe "select md5(group_concat(password)) from users" fedi',
    ),
  ];

  test('are dumped over the network, drilled, and restored into empty ones only', async () => {
    const before = users();
    const made = await run(['backup']);
    expect(made.code, made.stderr).toBe(0);
    expect((await run(['backup', 'sheet', sheet])).code).toBe(0);
    const drilled = await run(['backup', 'drill']);
    expect(drilled.code, drilled.stderr).toBe(0);
    expect(drilled.stderr).toMatch(/✔ Signing keys of Pixelfed: \d+ works?/);
    lose(site);
    const refused = await run(['restore', '--password-file', sheet]);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('Your external database is not empty'),
    ]);
    expect(users()).toEqual(before);
    await startServers();
    const restored = await run(['restore', '--password-file', sheet, '--confirm', site.name, '--json']);
    expect(restored.code, restored.stderr).toBe(0);
    expect(users()).toEqual(before);
  });
});
