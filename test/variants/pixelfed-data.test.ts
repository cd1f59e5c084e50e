/** Pixelfed's data in PostgreSQL, and on external servers. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { accountsIn, openProofs, pixelfedSite, sqlIn } from '../support/pixelfed-site.ts';
import { allByTls, wantTls } from '../support/postgres-tls.ts';
import { docker, testSite, tool } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;
const PASSWORD = "pa:ss@wörd/'$?#&";

describe.sequential('PostgreSQL in its own container', { timeout: PATIENCE_MS }, () => {
  const POSTGRES = { FEDI_PIXELFED_DATABASE: 'postgresql' };
  const site = pixelfedSite('pixelfed-pg', 122, POSTGRES);
  afterAll(() => site.remove());

  test('first run to the receipt, and no MariaDB', async () => {
    const run = await site.apply();
    expect(run.stderr).toBe('');
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(Object.keys(site.containers()).toSorted()).toEqual([
      'caddy',
      'pixelfed_gate',
      'pixelfed_horizon',
      'pixelfed_postgres',
      'pixelfed_scheduler',
      'pixelfed_uploads',
      'pixelfed_valkey',
      'pixelfed_web',
    ]);
    expect(accountsIn(site)).toEqual(['anna']);
    expect(site.read('images.lock.yaml')).not.toContain('mariadb');
  });

  test('the second run does nothing', async () => {
    const run = await site.apply();
    expect(run.code).toBe(0);
    expect(run.events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
  });

  test('its password is rotated, and applies', async () => {
    const argv = [
      'secrets',
      'rotate',
      'pixelfed.db',
      '--confirm',
      'pixelfed.db',
      '--dir',
      site.folder,
      '--json',
    ];
    const run = await tool(argv, { env: site.env });
    expect(run.stderr).toBe('');
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
  });

  test('refuses MariaDB for data that are in PostgreSQL', async () => {
    const before = site.containers();
    const run = await site.apply([], { env: { ...site.env, FEDI_PIXELFED_DATABASE: 'mariadb' } });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(`The data of Pixelfed are in the volume ${site.name}_pixelfed_postgres`);
    expect(site.containers()).toEqual(before);
  });

  test('uninstall and apply keep the data', async () => {
    const users = sqlIn(site, 'select id, username, password from users');
    docker('rm', '--force', ...Object.values(site.containers()));
    const run = await site.apply();
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(run.events.some(({ event }) => event === 'act')).toBe(false);
    expect(sqlIn(site, 'select id, username, password from users')).toBe(users);
  });
});

// Published on the address by which containers reach this host: to them it is another machine.
const subnet = docker('network', 'inspect', 'bridge', '--format', '{{(index .IPAM.Config 0).Subnet}}');
const HOST = subnet.replace(/\d+\/\d+$/, '1');
const SECRET = encodeURIComponent(PASSWORD);

const SERVERS = {
  mariadb: ['test-px-mariadb', 33_069],
  postgres: ['test-px-postgres', 54_339],
  redis: ['test-px-redis', 63_809],
} as const;
const [MARIADB, MYSQL_PORT] = SERVERS.mariadb;
const [POSTGRES, PG_PORT] = SERVERS.postgres;
const [, REDIS_PORT] = SERVERS.redis;

const mysql = (user = 'fedi', password = SECRET, name = 'fedi', port: number = MYSQL_PORT): string =>
  `mysql://${user}:${password}@${HOST}:${port}/${name}`;
const postgresql = (user = 'fedi', password = SECRET, name = 'fedi'): string =>
  `postgresql://${user}:${password}@${HOST}:${PG_PORT}/${name}`;
const redis = (password = SECRET, scheme = 'redis', path = '/3'): string =>
  `${scheme}://:${password}@${HOST}:${REDIS_PORT}${path}`;

/** As the root of MariaDB. */
const root = (query: string): string =>
  docker('exec', '--env', 'MYSQL_PWD=of-root', MARIADB, 'mariadb', '-uroot', '-NBe', query);
const pg = (query: string): string =>
  docker('exec', POSTGRES, 'psql', '-h', '127.0.0.1', '-U', 'fedi', '-d', 'fedi', '-tAc', query);

describe.sequential('external servers', { timeout: PATIENCE_MS }, () => {
  const site = testSite('px-external', 123, 'pix.fedi.test');
  const other = testSite('px-external-pg', 124, 'other.fedi.test');
  const env: NodeJS.ProcessEnv = {
    ...site.env,
    ...pixelfedAnswers(site.domain),
    FEDI_PIXELFED_DATABASE: 'external',
    FEDI_PIXELFED_DATABASE_URL: mysql(),
    FEDI_PIXELFED_REDIS: 'external',
    FEDI_PIXELFED_REDIS_URL: redis(),
  };

  const removeServers = (): void => {
    for (const [name] of Object.values(SERVERS)) {
      if (docker('ps', '--all', '--quiet', '--filter', `name=^${name}$`) !== '')
        docker('rm', '--force', '--volumes', name);
    }
  };
  const serve = (
    [name, port]: readonly [string, number],
    inner: number,
    variables: Readonly<Record<string, string>>,
    ...command: string[]
  ): string =>
    docker(
      ...`run --detach --name ${name} --publish ${HOST}:${port}:${inner}`.split(' '),
      ...Object.entries(variables).flatMap(([variable, value]) => ['--env', `${variable}=${value}`]),
      ...command,
    );
  beforeAll(async () => {
    removeServers();
    serve(
      SERVERS.mariadb,
      3306,
      { MARIADB_ROOT_PASSWORD: 'of-root', MARIADB_USER: 'fedi', MARIADB_PASSWORD: PASSWORD },
      'fedi-setup/mariadb:trixie',
    );
    serve(
      SERVERS.postgres,
      5432,
      { POSTGRES_USER: 'fedi', POSTGRES_PASSWORD: PASSWORD },
      'fedi-setup/postgres:trixie',
    );
    serve(SERVERS.redis, 6379, {}, 'fedi-setup/valkey:trixie', 'valkey-server', '--requirepass', PASSWORD);
    // The servers of the first initialisation listen on their sockets only.
    const { timeout, interval } = { timeout: 60_000, interval: 200 };
    await vi.waitFor(() => docker('exec', MARIADB, 'healthcheck.sh', '--connect', '--innodb_initialized'), {
      timeout,
      interval,
    });
    await vi.waitFor(() => pg('select 1'), { timeout, interval });
    root(`create database fedi character set utf8mb4 collate utf8mb4_unicode_ci;
      create database newer character set utf8mb4 collate utf8mb4_uca1400_ai_ci;
      create database older character set latin1;
      create database readonly character set utf8mb4 collate utf8mb4_unicode_ci;
      grant all on fedi.* to fedi; grant all on newer.* to fedi; grant all on older.* to fedi; grant select on readonly.* to fedi;`);
    docker(
      'exec',
      '--env',
      `REDISCLI_AUTH=${PASSWORD}`,
      SERVERS.redis[0],
      'valkey-cli',
      '-n',
      '9',
      'set',
      'mine',
      '1',
    );
    pg(`create role guest login password 'guest'`);
    pg(`create database ascii template template0 encoding 'SQL_ASCII' locale 'C'`);
  });
  afterAll(() => {
    site.remove();
    other.remove();
    removeServers();
  });

  const url = (text: string): NodeJS.ProcessEnv => ({ FEDI_PIXELFED_DATABASE_URL: text });
  const redisUrl = (text: string): NodeJS.ProcessEnv => ({ FEDI_PIXELFED_REDIS_URL: text });
  test.each([
    ['MariaDB: a wrong password', url(mysql('fedi', 'wrong')), /Access denied for user 'fedi'/],
    ['MariaDB: a database that is not there', url(mysql('fedi', SECRET, 'none')), /Access denied .*'none'/],
    ['MariaDB: nobody there', url(mysql('fedi', SECRET, 'fedi', 33_068)), /Connection refused/],
    [
      'MariaDB: an order of letters that Pixelfed does not know',
      url(mysql('fedi', SECRET, 'newer')),
      /uca1400/,
    ],
    ['MariaDB: not Unicode', url(mysql('fedi', SECRET, 'older')), /latin1.*utf8mb4/],
    ['MariaDB: no right to make tables', url(mysql('fedi', SECRET, 'readonly')), /CREATE command denied/],
    ['MariaDB: no certificate', url(`${mysql()}?ssl-mode=VERIFY_IDENTITY`), /Your database for Pixelfed: .+/],
    ['PostgreSQL: a wrong password', url(postgresql('fedi', 'wrong')), /password authentication failed/],
    [
      'PostgreSQL: a database that is not there',
      url(postgresql('fedi', SECRET, 'none')),
      /"none" does not exist/,
    ],
    ['PostgreSQL: no right to make tables', url(postgresql('guest', 'guest')), /may not create tables/],
    ['PostgreSQL: not Unicode', url(postgresql('fedi', SECRET, 'ascii')), /SQL_ASCII.*UTF8/],
    ['PostgreSQL: no TLS', url(`${postgresql()}?sslmode=require`), /does not support SSL/],
    ['Redis: a wrong password', redisUrl(redis('wrong')), /WRONGPASS/],
    ['Redis: no such number', redisUrl(redis(SECRET, 'redis', '/15')), /no database 16/],
    ['Redis: no TLS', redisUrl(redis(SECRET, 'rediss')), /Your Redis for Pixelfed: .+/],
  ])('detects %s before it writes anything', async (_, wrong, words) => {
    const run = await site.apply([], { env: { ...env, ...wrong } });
    expect(run.stderr).toMatch(words);
    expect(run.code).toBe(2);
    expect(run.stderr).not.toContain(PASSWORD);
    expect(() => site.read('secrets.json')).toThrow();
    expect(site.containers()).toEqual({});
    expect(root('select count(*) from information_schema.tables where table_schema = "fedi"')).toBe('0');
  });

  test('also detects too few connections', async () => {
    root('set global max_connections = 20');
    try {
      const run = await site.apply([], { env });
      expect(run.stderr).toMatch(/allows 20 connections/);
      expect(run.code).toBe(2);
    } finally {
      root('set global max_connections = 151');
    }
  });

  test('first run to the receipt, without its own database and Valkey', async () => {
    const run = await site.apply([], { env });
    expect(run.stderr).toBe('');
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(Object.keys(site.containers()).toSorted()).toEqual([
      'caddy',
      'pixelfed_gate',
      'pixelfed_horizon',
      'pixelfed_scheduler',
      'pixelfed_uploads',
      'pixelfed_web',
    ]);
    expect(root('select username from fedi.users')).toBe('anna');
    expect(site.read('images.lock.yaml')).not.toMatch(/mariadb|valkey/);
    expect(site.read('fedi.yaml')).not.toContain(HOST);
    expect(site.read('compose.yaml')).not.toContain(PASSWORD);
  });

  test('the second run does nothing', async () => {
    const run = await site.apply([], { env });
    expect(run.code).toBe(0);
    expect(run.events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
  });

  test('refuses another site on that database, and another location for these data', async () => {
    const foreignEnv = { ...env, ...other.env, ...pixelfedAnswers(other.domain) };
    const refused = await other.apply([], { env: foreignEnv });
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain(`belong to ${site.domain}`);
    const before = site.containers();
    for (const elsewhere of [{ FEDI_PIXELFED_DATABASE: 'mariadb' }, url(postgresql())]) {
      const run = await site.apply([], { env: { ...env, ...elsewhere } });
      expect(run.code).toBe(3);
      expect(run.stderr).toContain(`The data of Pixelfed are in the database fedi at ${HOST}:${MYSQL_PORT}`);
    }
    expect(site.containers()).toEqual(before);
  });

  test('external PostgreSQL with TLS: first run to the receipt; refuses foreign tables and keys', async () => {
    await wantTls(POSTGRES);
    const byTls = (mode: string): NodeJS.ProcessEnv => url(`${postgresql()}?sslmode=${mode}`);
    const there = { ...env, ...other.env, ...pixelfedAnswers(other.domain), ...byTls('require') };
    for (const [mode, expected] of [
      ['disable', 'no encryption'],
      ['verify-full', 'certificate verify failed'],
    ] as const) {
      const run = await other.apply([], { env: { ...there, ...byTls(mode) } });
      expect(run.stderr).toContain(expected);
      expect(run.code).toBe(2);
    }
    pg('create table users (id int)');
    const refused = await other.apply([], { env: there });
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain('that fedi-setup did not create');
    pg('drop table users');
    // A database number is claimed with the next one, for the cache.
    for (const [number, expected] of [
      [2, `The data in number 3 of the Redis at ${HOST}:${REDIS_PORT} belong to ${site.domain}`],
      [4, `The data in number 4 of the Redis at ${HOST}:${REDIS_PORT} belong to ${site.domain}`],
      [8, `There are data in number 9 of the Redis at ${HOST}:${REDIS_PORT} that fedi-setup did not create`],
    ] as const) {
      const taken = await other.apply([], {
        env: { ...there, ...redisUrl(redis(SECRET, 'redis', `/${number}`)) },
      });
      expect(taken.stderr).toContain(expected);
      expect(taken.code).toBe(3);
    }
    expect(other.containers()).toEqual({});
    const run = await other.apply([], { env: { ...there, ...redisUrl(redis(SECRET, 'redis', '/5')) } });
    expect(run.stderr).toBe('');
    expect(openProofs(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(pg('select username from users')).toBe('anna');
    expect(allByTls(POSTGRES)).toBe(true);
    expect(run.events.find(({ id }) => id === 'database-tls')).toMatchObject({
      ok: true,
      seen: expect.stringMatching(/^TLS_/),
    });
  });
});
