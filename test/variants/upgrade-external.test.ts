/** Upgrades whose migrations are in an external database, which fedi-setup cannot restore: Mastodon on PostgreSQL, Pixelfed on MariaDB. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { appVersions, laravelMigrations, railsMigration } from '../support/app-versions.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { bridgeAddress, docker, environment, testSite, tool } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;
const PASSWORD = "pa:ss@wörd/'$?#&";
const HOST = bridgeAddress();
const SECRET = encodeURIComponent(PASSWORD);

const MOOD = {
  'db/migrate/20260701000000_add_mood.rb': railsMigration('AddMood', 'add_column :accounts, :mood, :string'),
};

/** A server outside of the site, and how its administrator uses it. */
const SERVERS = {
  mastodon: {
    name: 'test-upgrade-postgres',
    port: 54_349,
    run: ['POSTGRES_USER=postgres', 'fedi-setup/postgres:trixie', '5432'],
    scheme: 'postgresql',
    ready: ['psql', '-h', '127.0.0.1', '-U', 'postgres', '-c', 'select 1'],
    prepare: `create role fedi login password '${PASSWORD.replace("'", "''")}'; create database fedi owner fedi encoding 'UTF8' template template0`,
    /** As the administrator. */
    sh: ['-u', 'postgres', '-w', '/tmp'],
    path: '/usr/lib/postgresql/17/bin',
    sql: (query: string, database = 'fedi') => `psql -tAq -d ${database} -c "${query}"`,
    columns:
      "select count(*) from information_schema.columns where table_name = 'accounts' and column_name = 'mood'",
    rows: 'select count(*) from accounts',
    fix: 'create table fixed (); alter table fixed owner to fedi',
  },
  pixelfed: {
    name: 'test-upgrade-mariadb',
    port: 33_079,
    run: ['MARIADB_ROOT_PASSWORD=of-root', 'fedi-setup/mariadb:trixie', '3306'],
    scheme: 'mysql',
    ready: ['healthcheck.sh', '--connect', '--innodb_initialized'],
    prepare: `create user fedi identified by '${PASSWORD.replace("'", "''")}'; create database fedi character set utf8mb4 collate utf8mb4_unicode_ci; grant all on fedi.* to fedi`,
    sh: ['-e', 'MYSQL_PWD=of-root', '-e', 'HOME=/tmp', '-w', '/tmp'],
    path: '/usr/bin',
    sql: (query: string, database = 'fedi') => `mariadb -NB -D ${database} -e "${query}"`,
    columns:
      "select count(*) from information_schema.columns where table_name = 'statuses' and column_name = 'mood'",
    rows: 'select count(*) from users',
    fix: 'create table fixed (id int)',
  },
} as const;

const APPS = [
  {
    id: 'mastodon',
    address: 126,
    answers: mastodonAnswers,
    image: 'FEDI_IMAGES_MASTODON',
    first: '4.7.80',
    /** Its first migration fails. */
    fails: '4.7.81',
    /** Its second migration fails as long as the table `fixed` is missing. */
    changes: '4.7.82',
    versions: {
      '4.7.80': {},
      '4.7.81': {
        files: {
          'db/migrate/20260701000000_fails.rb': railsMigration('Fails', "raise 'No space left on device'"),
        },
      },
      '4.7.82': {
        files: {
          ...MOOD,
          'db/migrate/20260703000000_needs_fixed.rb': railsMigration(
            'NeedsFixed',
            "raise 'fixed is missing' unless table_exists?(:fixed)",
          ),
        },
      },
    },
    path: '/nodeinfo/2.0',
  },
  {
    id: 'pixelfed',
    address: 127,
    answers: pixelfedAnswers,
    image: 'FEDI_IMAGES_PIXELFED',
    first: '0.14.80',
    fails: '0.14.81',
    changes: '0.14.82',
    versions: {
      '0.14.80': {},
      '0.14.81': laravelMigrations('alter table nowhere add mood int'),
      '0.14.82': laravelMigrations('alter table statuses add mood int', 'alter table fixed add mood int'),
    },
    path: '/api/nodeinfo/2.0.json',
  },
] as const;

describe.sequential.each(APPS)('$id', { timeout: PATIENCE_MS }, (app) => {
  const { id, first } = app;
  const server = SERVERS[id];
  const site = testSite(`upgrade-ext-${id}`, app.address);
  let work = '';
  let removeVersions = (): void => undefined;

  const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
    tool([...argv, '--dir', site.folder, '--json'], { env: environment(), ...options });
  const upgrade = (to: string, ...more: readonly string[]): Promise<Run> =>
    run(['upgrade', '--to', to, ...more]);
  const confirmed = ['--confirm', id];
  const http = () => client(site.bind, site.read('trust/root.crt'));
  const status = async (): Promise<number> => (await http()(`https://${site.domain}${app.path}`)).status;
  const version = async (): Promise<string> =>
    (await http()(`https://${site.domain}${app.path}`)).json<{ software: { version: string } }>().software
      .version;
  const states = ({ events }: Run): unknown[] =>
    events.filter(({ event }) => event === 'upgrade').map(({ state }) => state);
  /** As the administrator of the database server. */
  const admin = (command: string): string =>
    docker('exec', ...server.sh, server.name, 'sh', '-c', `PATH=${server.path}:$PATH; ${command}`);
  const isChanged = (): string => admin(server.sql(server.columns));
  const rows = (): string => admin(server.sql(server.rows));
  const removeServer = (): void => {
    if (docker('ps', '--all', '--quiet', '--filter', `name=^${server.name}$`) !== '')
      docker('rm', '--force', '--volumes', server.name);
  };

  beforeAll(async () => {
    work = mkdtempSync(join(tmpdir(), 'fedi-dump-'));
    removeServer();
    removeVersions = appVersions(id, app.versions);
    const [variable, image, port] = server.run;
    docker(
      ...`run --detach --name ${server.name} --publish ${HOST}:${server.port}:${port} --env ${variable}`.split(
        ' ',
      ),
      ...(id === 'mastodon' ? ['--env', `POSTGRES_PASSWORD=${PASSWORD}`] : []),
      image,
    );
    await vi.waitFor(() => docker('exec', server.name, ...server.ready), { timeout: 60_000, interval: 200 });
    for (const statement of server.prepare.split('; '))
      docker(
        'exec',
        ...server.sh,
        '--env',
        `SQL=${statement}`,
        server.name,
        'sh',
        '-c',
        `PATH=${server.path}:$PATH; ${id === 'mastodon' ? 'psql -c' : 'mariadb -e'} "$SQL"`,
      );
    const { [app.image]: _, FEDI_IMAGES_MASTODON_STREAMING: __, ...answers } = app.answers(site.domain);
    const ID = id.toUpperCase();
    const done = await site.apply(['--backup-to', join(site.folder, '..', 'repository')], {
      env: {
        ...site.env,
        ...answers,
        [`FEDI_${ID}_RELEASE`]: first,
        [`FEDI_${ID}_DATABASE`]: 'external',
        [`FEDI_${ID}_DATABASE_URL`]: `${server.scheme}://fedi:${SECRET}@${HOST}:${server.port}/fedi`,
      },
    });
    expect([done.stderr, done.code]).toEqual(['', 0]);
  }, PATIENCE_MS);
  afterAll(() => {
    site.remove();
    removeServer();
    removeVersions();
    rmSync(work, { recursive: true });
  });

  test.runIf(id === 'mastodon')(
    'a later migration fails: undone, since the account owns everything in that database',
    async () => {
      const before = [rows(), site.read('compose.yaml'), site.read('fedi.yaml')];
      const failed = await upgrade(app.changes);
      expect([failed.code, states(failed), failed.stderr]).toEqual([
        1,
        ['undone'],
        expect.stringContaining(`v${first} runs again, with the data from before`),
      ]);
      expect([rows(), site.read('compose.yaml'), site.read('fedi.yaml')]).toEqual(before);
      expect([await version(), isChanged(), await status()]).toEqual([first, '0', 200]);
      // From now on it does not.
      admin(server.sql('create extension pg_trgm'));
    },
  );

  test('without a confirmation nothing changes', async () => {
    const before = [site.containers(), site.read('compose.yaml'), isChanged()];
    const refused = await tool(['upgrade', '--to', app.changes, '--dir', site.folder], {
      env: environment(),
    });
    expect(refused.stderr).toContain('No return      the first migration;');
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining(`Confirm with --confirm ${id}`),
    ]);
    expect(refused.stderr).toContain(`changes the database fedi at ${HOST}:${server.port}`);
    expect([site.containers(), site.read('compose.yaml'), isChanged()]).toEqual(before);
  });

  test('the first migration fails: undone, the database was not changed', async () => {
    const before = [rows(), site.read('compose.yaml'), site.read('fedi.yaml')];
    const failed = await upgrade(app.fails, ...confirmed);
    expect([failed.code, states(failed), failed.stderr]).toEqual([
      1,
      ['undone'],
      expect.stringContaining(`v${first} runs again`),
    ]);
    expect([rows(), site.read('compose.yaml'), site.read('fedi.yaml')]).toEqual(before);
    expect([await version(), isChanged()]).toEqual([first, '0']);
  });

  /** The upgrade that fails after its first migration. */
  const half = async (): Promise<Run> => {
    const failed = await upgrade(app.changes, ...confirmed);
    expect([failed.code, states(failed), failed.stderr]).toEqual([
      1,
      [],
      expect.stringContaining(`has changed the database fedi at ${HOST}`),
    ]);
    expect([await status(), isChanged()]).toEqual([503, '1']);
    return failed;
  };

  test('a later migration fails: maintenance mode, until the administrator has loaded the dump', async () => {
    const before = [rows(), site.read('fedi.yaml')];
    const failed = await half();
    for (const argv of [['apply'], ['start'], ['upgrade'], ['maintain']]) {
      const refused = await run(argv);
      expect([argv, refused.code > 0, await status(), isChanged()]).toEqual([argv, true, 503, '1']);
    }
    // Exactly the commands of the message.
    const commands = [...failed.stderr.matchAll(/^ {10}`(.+)`$/gm)].map(([, command = '']) => command);
    expect(commands.length).toBeGreaterThan(2);
    const [fetch = '', ...load] = commands;
    execFileSync('sh', ['-ec', fetch], { cwd: work });
    const file = / >(\S+)$/.exec(fetch)?.[1] ?? '';
    docker('cp', join(work, file), `${server.name}:/tmp/${file}`);
    admin(`set -e; chmod a+r /tmp/* || true; ${load.join('\n')}`);
    const undone = await run(['upgrade']);
    expect([undone.stderr, undone.code, states(undone)]).toEqual(['', 0, ['undone']]);
    expect([rows(), site.read('fedi.yaml')]).toEqual(before);
    expect([await version(), isChanged(), await status()]).toEqual([first, '0', 200]);
  });

  test('a later migration fails: the cause is fixed, and the new version goes on', async () => {
    await half();
    admin(server.sql(server.fix));
    // Not without the word.
    expect([(await run(['upgrade'])).code, await status()]).toEqual([1, 503]);
    const done = await run(['upgrade', ...confirmed]);
    expect([done.stderr, done.code, states(done)]).toEqual(['', 0, ['upgraded']]);
    expect([await version(), isChanged(), await status()]).toEqual([app.changes, '1', 200]);
  });
});
