/** New major versions of database servers: PostgreSQL 15 → 17 under Mastodon, MariaDB 10.11 → 11.8 under Pixelfed. */
import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { SERVERS, faulty, replaced, serverImages } from '../support/database-images.ts';
import { mastodonSite, openProofs, sqlIn } from '../support/mastodon-site.ts';
import { pixelfedSite, sqlIn as pixelfedSql } from '../support/pixelfed-site.ts';
import { docker, environment, tool } from '../support/site.ts';
import type { Run, RunOptions, TestSite } from '../support/site.ts';

const PATIENCE_MS = 60 * 60_000;

interface Upgraded {
  readonly site: TestSite;
  run(argv: readonly string[], options?: RunOptions): Promise<Run>;
  upgrade(options?: RunOptions): Promise<Run>;
  /** Chooses an image of the server in fedi.yaml; undefined: the default. */
  choose(image: string | undefined): void;
  status(): Promise<number>;
  /** The volumes of the site. */
  volumes(): string[];
  setUp(old: string): Promise<void>;
}

const states = ({ events }: Run): unknown[] =>
  events.filter(({ event }) => event === 'upgrade').map(({ state, to }) => [state, to]);

function upgraded(site: TestSite, server: keyof typeof SERVERS, page: string): Upgraded {
  const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
    tool([...argv, '--dir', site.folder], { env: environment(), ...options });
  const choose = (image: string | undefined): void => {
    const lines = site
      .read('fedi.yaml')
      .split('\n')
      .filter((line) => !line.startsWith(`  ${server}: `));
    if (image !== undefined) lines.splice(lines.indexOf('images:') + 1, 0, `  ${server}: ${image}`);
    writeFileSync(join(site.folder, 'fedi.yaml'), lines.join('\n'));
  };
  return {
    site,
    run,
    choose,
    upgrade: (options = {}) => run(['upgrade', '--databases', '--json'], options),
    status: async () =>
      (await client(site.bind, site.read('trust/root.crt'))(`https://${site.domain}${page}`)).status,
    volumes: () =>
      docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`)
        .split('\n')
        // The backup before an upgrade makes it.
        .filter((name) => !name.endsWith('_backup_cache'))
        .toSorted(),
    setUp: async (old) => {
      const first = await site.apply(['--backup-to', join(site.folder, '..', 'repository')], {
        env: { ...site.env, [`FEDI_IMAGES_${server.toUpperCase()}`]: old },
      });
      expect([first.stderr, openProofs(first), first.code]).toEqual(['', [], 0]);
      // As if a new version of fedi-setup had another default.
      choose(undefined);
    },
  };
}

/** Ends a run with SIGKILL at an event of a step. */
const killAt =
  (id: string, state: string): NonNullable<RunOptions['onEvent']> =>
  (event, child) => {
    if (event['id'] === id && event['state'] === state) child.kill('SIGKILL');
  };

describe.sequential('PostgreSQL 15 → 17', { timeout: PATIENCE_MS }, () => {
  const BIN = '/usr/lib/postgresql/17/bin';
  const FAULTS = {
    '17.1': replaced(`${BIN}/pg_dump`, 'echo "could not write: No space left on device" >&2; exit 1'),
    '17.2': replaced(`${BIN}/pg_restore`, 'echo "error: could not read" >&2; exit 1'),
    '17.3': replaced(
      `${BIN}/pg_restore`,
      `${BIN}/pg_restore.real "$@" && ${BIN}/psql -qc "delete from statuses where id in (select max(id) from statuses)"`,
    ),
    '17.4': replaced(`${BIN}/initdb`, `exec ${BIN}/initdb.real "$@" --locale=C`),
    '17.5': replaced(`${BIN}/initdb`, 'echo "initdb: cannot" >&2; exit 1'),
    '17.6': replaced(
      `${BIN}/postgres`,
      `if [ "$PGDATA" ] && [ -e "$PGDATA/../loaded" ]; then exit 1; fi; case "$*" in *max_connections*) touch "$PGDATA/../loaded";; esac; exec ${BIN}/postgres.real "$@"`,
    ),
    '17.7':
      'RUN printf "%s\\n" "#!/bin/sh" "echo; echo none 100 50 50 50% /docker" >/usr/local/bin/df && chmod 0755 /usr/local/bin/df',
  };
  const majors = upgraded(mastodonSite('majors', 120), 'postgres', '/nodeinfo/2.0');
  const { site, run, upgrade, choose, volumes } = majors;
  let removeImages = (): void => undefined;

  const version = (): string => sqlIn(site, 'show server_version').split('.')[0] ?? '';
  const rows = (): string =>
    sqlIn(
      site,
      "select (select count(*) || md5(string_agg(id || text, ',' order by id)) from statuses where text like 'kept %'), (select count(*) from accounts)",
    );
  /** Everything that an upgrade that fails must leave as it was. */
  const all = async (): Promise<unknown[]> => [
    version(),
    rows(),
    volumes(),
    site.read('compose.yaml'),
    site.read('images.lock.yaml'),
    site.read('secrets.json'),
    await majors.status(),
  ];

  beforeAll(async () => {
    removeImages = serverImages('postgres', FAULTS);
    await majors.setUp(SERVERS.postgres.old);
    sqlIn(
      site,
      "insert into statuses (account_id, text, created_at, updated_at) select a.id, 'kept ' || n || ' Ünï😀', now(), now() from accounts a, generate_series(1, 5000) n where username = 'anna'",
    );
  }, PATIENCE_MS);
  afterAll(() => {
    site.remove();
    removeImages();
  });

  test('a new default changes nothing; doctor and `upgrade --check` name the upgrade', async () => {
    const before = await all();
    const applied = await run(['apply', '--json']);
    expect([applied.code, applied.events.map(({ event }) => event)]).toEqual([
      0,
      expect.arrayContaining(['unchanged']),
    ]);
    expect((await run(['plan'])).stdout).toContain('Nothing to change.');
    const words = 'the database runs on PostgreSQL 15; PostgreSQL 17 is available';
    const looked = await run(['doctor']);
    expect(looked.stdout + looked.stderr).toContain(words);
    const planned = await run(['upgrade', '--databases', '--check']);
    expect([planned.code, planned.stdout]).toEqual([0, expect.stringContaining('PostgreSQL 15 → 17')]);
    expect(await all()).toEqual(before);
  });

  test('apply refuses an image of another major version', async () => {
    const before = [await all(), site.containers()];
    choose(faulty('postgres', '17.2'));
    const refused = await run(['apply']);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('`fedi-setup upgrade --databases`'),
    ]);
    choose(undefined);
    expect([await all(), site.containers()]).toEqual(before);
  });

  test('without image lock and generations, the version is read from the data', async () => {
    const before = [await all(), site.containers()];
    const saved = join(site.folder, '..', 'saved');
    cpSync(site.folder, saved, { recursive: true });
    rmSync(join(site.folder, 'images.lock.yaml'));
    rmSync(join(site.folder, '.fedi/generations'), { recursive: true });
    const refused = await run(['apply', '--edited', 'replace']);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringMatching(
        /The data in the volume test-majors_mastodon_db are from PostgreSQL 15; .* is PostgreSQL 17\./,
      ),
    ]);
    cpSync(saved, site.folder, { recursive: true });
    expect([await all(), site.containers()]).toEqual(before);
  });

  test('refused: what a dump does not have, edited files, no space', async () => {
    const before = [await all(), site.containers()];
    sqlIn(site, 'create role reader');
    const more = await upgrade();
    expect([more.code, more.stderr]).toEqual([3, expect.stringContaining('the role reader')]);
    sqlIn(site, 'drop role reader');
    const compose = site.read('compose.yaml');
    writeFileSync(join(site.folder, 'compose.yaml'), `${compose}# mine\n`);
    const edited = await upgrade();
    expect([edited.code, edited.stderr]).toEqual([3, expect.stringContaining('You edited generated files')]);
    writeFileSync(join(site.folder, 'compose.yaml'), compose);
    choose(faulty('postgres', '17.7'));
    const full = await upgrade();
    expect([full.code, full.stderr]).toEqual([4, expect.stringMatching(/needs \d+ MB .* has 50 KB free/)]);
    choose(undefined);
    expect([await all(), site.containers()]).toEqual(before);
  });

  test.each([
    ['17.1', 'the disk is full during the dump', /No space left on device/],
    ['17.2', 'loading fails', /could not be restored: error: could not read/],
    ['17.3', 'a row is missing', /The numbers of rows in mastodon_db differ.*statuses: 5\d+ before, \d+ now/],
    ['17.4', 'another collation', /Encoding or collation in mastodon_db differ.*C\.UTF-8 before/],
    ['17.5', 'the new server does not start', /mastodon_db/],
    ['17.6', 'the new server does not start again', /mastodon_db/],
  ])('%s, %s: undone', async (tag, _what, words) => {
    const before = await all();
    choose(faulty('postgres', tag));
    const failed = await upgrade();
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringMatching(words)]);
    expect(failed.stderr).toContain('PostgreSQL 15 runs again, with the data from before, and is proven.');
    expect(states(failed)).toEqual([['undone', 'PostgreSQL 17']]);
    choose(undefined);
    expect(await all()).toEqual(before);
    expect((await run(['apply', '--json'])).events.map(({ event }) => event)).toContain('unchanged');
  });

  test.each([
    ['maintenance', 'done', 'upgrade'],
    ['old.mastodon_db', 'start', 'upgrade'],
    ['old.mastodon_db', 'done', 'upgrade'],
    ['load.mastodon_db.pgdump', 'start', 'maintain'],
    ['compare.mastodon_db.pgdump', 'done', 'upgrade'],
    ['up', 'done', 'upgrade'],
    ['undo.mastodon_db', 'start', 'upgrade'],
  ])('killed at %s (%s): `%s` restores PostgreSQL 15', async (id, state, next) => {
    const before = await all();
    if (id.startsWith('undo')) choose(faulty('postgres', '17.2'));
    const killed = await upgrade({ onEvent: killAt(id, state) });
    expect(killed.signal).toBe('SIGKILL');
    const refused = await run(['apply']);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('was interrupted')]);
    const again = await run(next === 'upgrade' ? [next, '--databases', '--json'] : [next, '--json']);
    expect([again.code, again.stderr, states(again)]).toEqual([0, '', [['undone', 'PostgreSQL 17']]]);
    choose(undefined);
    expect(await all()).toEqual(before);
  });

  test('two at once: the second is refused; the first moves all rows and keeps the old data', async () => {
    const [before, there] = [rows(), volumes()];
    const others: Promise<Run>[] = [];
    const seen: Promise<number>[] = [];
    const done = await upgrade({
      onEvent: ({ id, state }) => {
        if (state !== 'done') return;
        if (['stop', 'compare.mastodon_db.pgdump'].includes(String(id))) seen.push(majors.status());
        if (id === 'stop') others.push(upgrade(), run(['apply']));
      },
    });
    expect([done.code, done.stderr, states(done)]).toEqual([0, '', [['upgraded', 'PostgreSQL 17']]]);
    expect((await Promise.all(others)).map(({ code }) => code)).toEqual([6, 6]);
    expect(await Promise.all(seen)).toEqual([503, 503]);
    expect([version(), rows(), await majors.status()]).toEqual(['17', before, 200]);
    expect(site.read('images.lock.yaml')).toContain(SERVERS.postgres.now);
    const kept = volumes().filter((name) => !there.includes(name));
    expect(kept).toEqual([expect.stringMatching(/^test-majors_mastodon_db_pg15_\d{4}-\d\d-\d\d$/)]);
    expect(
      docker(
        'run',
        '--rm',
        '--volume',
        `${kept[0]}:/v`,
        'fedi-setup/caddy:trixie',
        'cat',
        '/v/pgdata/PG_VERSION',
      ),
    ).toBe('15');
    expect(existsSync(join(site.folder, 'caddy/maintenance'))).toBe(false);
    expect((await run(['plan'])).stdout).toContain('Nothing to change.');
    expect((await run(['upgrade', '--databases'])).stdout).toContain('No database has a newer major version');
    expect((await run(['doctor'])).stderr).toContain(`docker volume rm ${kept[0]}`);
  });

  test('the upgraded site is backed up and the backup can be restored', async () => {
    expect((await run(['backup'])).code).toBe(0);
    const drilled = await run(['backup', 'drill']);
    expect([drilled.code, drilled.stderr]).toEqual([
      0,
      expect.stringContaining('The backup can be restored'),
    ]);
  });

  test('a backup from before restores PostgreSQL 15', async () => {
    const { events } = await run(['backup', 'list', '--json']);
    const snapshots = events.filter(({ event }) => event === 'snapshot').map(({ id }) => String(id));
    const restored = await run([
      'restore',
      '--from',
      join(site.folder, '..', 'repository'),
      '--at',
      snapshots.at(-2) ?? '',
      '--confirm',
      site.name,
      '--json',
    ]);
    expect([restored.code, restored.stderr]).toEqual([0, '']);
    expect([version(), await majors.status()]).toEqual(['15', 200]);
    choose(undefined);
  });

  test('killed when the new version is proven: the upgrade is complete', async () => {
    const before = rows();
    const killed = await upgrade({
      env: environment({
        NODE_OPTIONS: `--import=${fileURLToPath(new URL('../support/kill-at.mjs', import.meta.url))}`,
        FAULT_AT: 'rename done upgrade.json #3',
      }),
    });
    expect(killed.signal).toBe('SIGKILL');
    const again = await run(['upgrade']);
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('is complete')]);
    expect([version(), rows(), await majors.status()]).toEqual(['17', before, 200]);
  });

  test('`uninstall --data` removes the old data too', async () => {
    expect((await run(['backup', 'sheet', join(site.folder, '..', 'sheet.yaml')])).code).toBe(0);
    const removed = await run(['uninstall', '--data', '--confirm', site.name]);
    expect([removed.code, volumes()]).toEqual([0, ['']]);
  });
});

describe.sequential('MariaDB 10.11 → 11.8', { timeout: PATIENCE_MS }, () => {
  const FAULTS = {
    '11.8.1': replaced(
      '/usr/bin/mariadb',
      'case "$*" in *--default-character-set=utf8mb4*) echo "ERROR 1064: cannot" >&2; exit 1;; esac; exec mariadb.real "$@"',
    ),
  };
  const majors = upgraded(pixelfedSite('majors-pf', 121), 'mariadb', '/api/nodeinfo/2.0.json');
  const { site, run, upgrade, choose, volumes } = majors;
  let removeImages = (): void => undefined;

  const version = (): string => pixelfedSql(site, 'select version()').split('.').slice(0, 2).join('.');
  const rows = (): string =>
    pixelfedSql(
      site,
      "set names utf8mb4; select count(*), md5(group_concat(caption order by id)) from statuses where caption like 'kept %'",
    );

  beforeAll(async () => {
    removeImages = serverImages('mariadb', FAULTS);
    await majors.setUp(SERVERS.mariadb.old);
    pixelfedSql(
      site,
      "set names utf8mb4; insert into statuses (id, profile_id, caption, created_at, updated_at) select 1000000 + n.seq, p.id, concat('kept ', n.seq, ' Ünï😀'), now(), now() from profiles p, seq_1_to_500 n where p.username = 'anna'",
    );
  }, PATIENCE_MS);
  afterAll(() => {
    site.remove();
    removeImages();
  });

  test('loading fails: undone', async () => {
    const before = [version(), rows(), volumes(), site.read('compose.yaml')];
    choose(faulty('mariadb', '11.8.1'));
    const failed = await upgrade();
    expect([failed.code, failed.stderr, states(failed)]).toEqual([
      1,
      expect.stringContaining('MariaDB 10 runs again, with the data from before, and is proven.'),
      [['undone', 'MariaDB 11']],
    ]);
    choose(undefined);
    expect([version(), rows(), volumes(), site.read('compose.yaml')]).toEqual(before);
  });

  test('killed while it loads: restored', async () => {
    const before = [version(), rows(), volumes(), site.read('compose.yaml')];
    const killed = await upgrade({ onEvent: killAt('load.pixelfed_db.sql', 'start') });
    expect(killed.signal).toBe('SIGKILL');
    const again = await run(['upgrade', '--databases', '--json']);
    expect([again.code, again.stderr, states(again)]).toEqual([0, '', [['undone', 'MariaDB 11']]]);
    expect([version(), rows(), volumes(), site.read('compose.yaml')]).toEqual(before);
  });

  test('all rows are moved; the site works; its backup can be restored', async () => {
    const before = rows();
    const done = await upgrade();
    expect([done.code, done.stderr, states(done)]).toEqual([0, '', [['upgraded', 'MariaDB 11']]]);
    expect([version(), rows(), await majors.status()]).toEqual(['11.8', before, 200]);
    expect(volumes().filter((name) => name.includes('_mariadb10_'))).toHaveLength(1);
    expect((await run(['plan'])).stdout).toContain('Nothing to change.');
    expect((await run(['backup'])).code).toBe(0);
    expect((await run(['backup', 'drill'])).code).toBe(0);
  });
});
