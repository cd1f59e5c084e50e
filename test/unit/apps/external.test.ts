/** URLs of external servers: accepted and refused ones, and the app's variables. */
import { describe, expect, test } from 'vitest';
import { resolve } from '../../../wizard/answers/resolve.ts';
import { problemsOf } from '../../../wizard/apply/prepare.ts';
import { dataEnv, dataQuestions, streamingDataEnv } from '../../../wizard/apps/mastodon/data.ts';
import { mastodonOptions } from '../../../wizard/apps/mastodon/options.ts';
import { redisNote, redisProblem } from '../../../wizard/apps/shared/external.ts';
import { appOf } from '../../../wizard/apps/index.ts';
import type { Trial } from '../../../wizard/apps/app.ts';
import type { RedisInfo } from '../../../wizard/apps/shared/external.ts';
import * as pixelfed from '../../../wizard/apps/pixelfed/data.ts';
import { pixelfedOptions } from '../../../wizard/apps/pixelfed/options.ts';
import { expectCipher } from '../../../wizard/apps/pixelfed/proofs.ts';
import { reveal, Secret } from '../../../wizard/secrets/secret.ts';
import { tempFolder } from '../../support/temp.ts';

const row = (key: string) => dataQuestions.find((question) => question.key === `apps.mastodon.${key}`);
const database = row('database-url');
const redis = row('redis-url');

/** Variables in plain text for these two URLs. */
function env(urls: { database?: string; redis?: string }): Record<string, string | number> {
  const options = mastodonOptions({
    'apps.mastodon.database': urls.database ? 'external' : 'local',
    'apps.mastodon.redis': urls.redis ? 'external' : 'local',
  });
  const secrets: Record<string, string | undefined> = {
    'mastodon.db': 'made',
    'mastodon.valkey': 'made too',
    'apps.mastodon.database-url': urls.database,
    'apps.mastodon.redis-url': urls.redis,
  };
  const group = dataEnv(options, (name) => new Secret(secrets[name] ?? ''));
  return Object.fromEntries(
    Object.entries(group)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, typeof value === 'number' ? value : reveal(value as Secret)]),
  );
}

describe('a PostgreSQL URL', () => {
  test.each([
    'postgresql://m:p@db.example.org/mastodon',
    'postgres://m:p@10.0.0.7:6432/mastodon?sslmode=require',
    'postgres://m:p@db.example.org:6432/mastodon?sslmode=verify-full',
    'postgresql://m:p%40%2F@[fd00::7]/mastodon',
    ' postgresql://m:p@db.example.org/mastodon \n',
  ])('accepts %j', (text) => expect(database?.parse(text)).toHaveProperty('value'));

  test.each([
    ['', /Not an address/],
    ['db.example.org', /Not an address/],
    ['mysql://m:p@db.example.org/mastodon', /Not an address/],
    ['postgresql:///mastodon', /Not an address/],
    ['postgres://m:p@10.0.0.7:6432/mastodon?sslmode=verify-full', /only for a host name/],
    ['postgres://m:p@[fd00::7]/mastodon?sslmode=verify-ca', /only for a host name/],
    ['postgresql://m:p@ss/w#rd@db.example.org/mastodon', /^User name or password contains @/],
    ['postgresql://m:p/w@db.example.org/mastodon', /%2F/],
    ['postgresql://m:p?w@db.example.org/mastodon', /%3F/],
    ['postgresql://m:p@db.example.org/mastodon#x', /write %23/],
    ['postgresql://m:p@0.0.0.0/mastodon', /the container itself/],
    ['postgresql://m:p@ip6-localhost/mastodon', /the container itself/],
    ['postgresql://m:p@db.example.org/m?sslmode=require&sslmode=verify-full', /option sslmode twice/],
    ['postgresql://m:p@localhost/mastodon', /the container itself/],
    ['postgresql://m:p@127.0.0.1/mastodon', /the container itself/],
    ['postgresql://m:p@[::1]/mastodon', /the container itself/],
    ['postgresql://m:p@db.example.org', /no database name/],
    ['postgresql://m:p@db.example.org/a/b', /no database name/],
    ['postgresql://m@db.example.org/mastodon', /password: A value is required/],
    ['postgresql://m:p@db.example.org/%E0%A4%A', /Not an address/],
    ['postgresql://m:%E0%A4%A@db.example.org/mastodon', /Not an address/],
    [
      'postgresql://m:p@db.example.org/mastodon?sslmode=verify-full&sslrootcert=system',
      /Unknown option sslrootcert. The only option is sslmode/,
    ],
    ['postgresql://m:p@db.example.org/mastodon?connect_timeout=3', /Unknown option connect_timeout/],
    [
      'postgresql://m:p@db.example.org/mastodon?sslmode=required',
      /^The only option is sslmode, one of disable,/,
    ],
  ])('refuses %j', (text, words) =>
    expect(database?.parse(text)).toEqual({ problem: expect.stringMatching(words) }),
  );

  test('is split into decoded parts, with the TLS mode', () => {
    expect(
      env({ database: 'postgres://ma%40st:p%3A%2F%3F%23w@[fd00::7]:6432/my%20db?sslmode=require' }),
    ).toMatchObject({
      DB_HOST: 'fd00::7',
      DB_PORT: 6432,
      DB_NAME: 'my db',
      DB_USER: 'ma@st',
      DB_PASS: 'p:/?#w',
      DB_SSLMODE: 'require',
      REDIS_HOST: 'mastodon_valkey',
    });
  });

  test.each([
    ['require', 'no-verify'],
    ['prefer', undefined],
    ['disable', 'disable'],
    ['verify-full', 'verify-full'],
  ])('sslmode=%s is %s for streaming', (given, own) =>
    expect(streamingDataEnv({ DB_SSLMODE: given })['DB_SSLMODE']).toBe(own),
  );

  test.each([
    ['verify-full', '/etc/ssl/certs/ca-certificates.crt'],
    ['verify-ca', '/etc/ssl/certs/ca-certificates.crt'],
    ['require', undefined],
  ])(
    'with sslmode=%s Rails verifies the certificate with %s, streaming with its own roots',
    (mode, roots) => {
      const found = env({ database: `postgresql://m:p@db.example.org/mastodon?sslmode=${mode}` });
      expect(found['PGSSLROOTCERT']).toBe(roots);
      expect(streamingDataEnv(found)['PGSSLROOTCERT']).toBeUndefined();
    },
  );

  test('a private CA: the same file for Rails and, beside the public CAs, for streaming', () => {
    const url = 'postgresql://m:p@db.example.org/mastodon?sslmode=verify-full';
    const options = mastodonOptions({
      'apps.mastodon.database': 'external',
      'apps.mastodon.database-ca': 'ca.pem',
    });
    const group = dataEnv(options, () => new Secret(url));
    const path = '/etc/fedi/trust/custom/ca.pem';
    expect(group['PGSSLROOTCERT']).toBe(path);
    const streaming = streamingDataEnv(group);
    expect([streaming['PGSSLROOTCERT'], streaming['NODE_EXTRA_CA_CERTS']]).toEqual([undefined, path]);
    const [check] = appOf('mastodon').trials?.(options) ?? [];
    expect(check?.env(() => new Secret(url))['PGSSLROOTCERT']).toBe(path);
  });

  test('without port and mode: the default port, and no variable for the mode', () => {
    const found = env({ database: 'postgresql://m:p@db.example.org/mastodon' });
    expect(found).toMatchObject({ DB_PORT: 5432 });
    expect(found).not.toHaveProperty('DB_SSLMODE');
  });
});

describe('a Redis URL', () => {
  test.each([
    'redis://:p@r.example.org',
    'redis://default:p@r.example.org:6380/3',
    'rediss://default:p@r.example.org',
  ])('accepts %j', (text) => expect(redis?.parse(text)).toHaveProperty('value'));
  test.each([
    ['redis://r.example.org', /password: A value is required/],
    ['redis://:p@r.example.org/cache', /no valid database number/],
    [
      'rediss://:p@r.example.org/0?ssl_cert_reqs=none',
      /Unknown option ssl_cert_reqs: this URL takes no options/,
    ],
    ['http://:p@r.example.org', /Not an address/],
  ])('refuses %j', (text, words) =>
    expect(redis?.parse(text)).toEqual({ problem: expect.stringMatching(words) }),
  );

  test('without TLS it is split into parts', () => {
    const found = env({ redis: 'redis://:p%40w@r.example.org/3' });
    expect(found).toMatchObject({
      REDIS_HOST: 'r.example.org',
      REDIS_PORT: 6379,
      REDIS_DB: '3',
      REDIS_PASSWORD: 'p@w',
    });
    expect(found).not.toHaveProperty('REDIS_URL');
    expect(found).not.toHaveProperty('REDIS_USER');
  });

  test('with TLS it stays a URL, for a driver that supports TLS', () => {
    const url = 'rediss://default:p@r.example.org:6380/0';
    expect(env({ redis: url })).toMatchObject({ REDIS_URL: url, REDIS_DRIVER: 'ruby' });
  });
});

describe('information reported by a database', () => {
  const MASTODON = '170000|100|t|UTF8';
  const options = (app: 'mastodon' | 'pixelfed'): never =>
    ({ app, hasDatabase: false, hasValkey: true, database: undefined, size: '2gb', sidekiq: 'one' }) as never;
  const trial = (app: 'mastodon' | 'pixelfed'): Trial =>
    appOf(app)
      .trials?.(options(app))
      .find(({ id }) => id.endsWith('.database')) as Trial;
  const row8 = (...more: unknown[]): string =>
    JSON.stringify(['11.8.2-MariaDB', 200, 'utf8mb4', 'utf8mb4_unicode_ci', 1, ...more]);

  test.each<['mastodon' | 'pixelfed', string, RegExp | undefined, RegExp | undefined]>([
    ['mastodon', `${MASTODON}|f|off|`, undefined, undefined],
    ['mastodon', `${MASTODON}|t|off|`, /read-only replica/, undefined],
    ['mastodon', `${MASTODON}|f|on|`, /it is read-only/, undefined],
    ['mastodon', `${MASTODON}|f|off|fsync`, undefined, /fsync is unsafe/],
    ['pixelfed', row8(0, 0, ''), undefined, undefined],
    ['pixelfed', row8(1, 0, ''), /read-only replica/, undefined],
    ['pixelfed', row8('0', '1', ''), /it is read-only/, undefined],
    ['pixelfed', row8(0, 0, 'innodb_flush_log_at_trx_commit'), undefined, /_commit is unsafe/],
  ])('%s %s', (app, stdout, problem, note) => {
    const matches = (words: RegExp | undefined): unknown =>
      words === undefined ? undefined : expect.stringMatching(words);
    const { problem: problemIn, note: noteIn } = trial(app);
    expect([problemIn(stdout), noteIn?.(stdout)]).toEqual([matches(problem), matches(note)]);
  });
});

describe('information reported by a Redis', () => {
  test.each<[string, RedisInfo, RegExp | undefined, RegExp | undefined]>([
    ['no eviction', { version: '8.1.0', policy: 'noeviction', maxmemory: 100 }, undefined, undefined],
    [
      'eviction of any key',
      { version: '8.1.0', policy: 'allkeys-lru', maxmemory: '100' },
      /allkeys-lru.*noeviction/,
      undefined,
    ],
    [
      'eviction of any key, without a limit',
      { version: '8.1.0', policy: 'allkeys-lru', maxmemory: 0 },
      undefined,
      undefined,
    ],
    [
      'eviction of expiring keys',
      { version: '8.1.0', policy: 'volatile-lru', maxmemory: 100 },
      undefined,
      /volatile-lru/,
    ],
    ['a policy and no limit', { version: '8.1.0', policy: 'allkeys-random' }, /allkeys-random/, undefined],
    ['nothing about its memory', { version: '7.2.4' }, undefined, undefined],
    ['an old version', { version: '6.2.1', policy: 'noeviction' }, /older than 7\.0 \(6\.2\.1\)/, undefined],
    ['nothing', {}, /unknown version/, undefined],
    ['a replica', { version: '8.1.0', role: 'slave' }, /read-only replica.*primary/, undefined],
    ['a primary that saves', { version: '8.1.0', role: 'master', saves: true }, undefined, undefined],
    ['nothing written to disk', { version: '8.1.0', saves: false }, undefined, /writes nothing to disk/],
  ])('%s', (_, info, problem, note) => {
    const matches = (words: RegExp | undefined): unknown =>
      words === undefined ? undefined : expect.stringMatching(words);
    expect([redisProblem(info, 7), redisNote(info)]).toEqual([matches(problem), matches(note)]);
  });
});

describe('an external database of Pixelfed', () => {
  const address = pixelfed.dataQuestions.find(({ key }) => key === 'apps.pixelfed.database-url');
  const pixelfedEnv = (urls: { database?: string; redis?: string }): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(
        pixelfed.dataEnv(
          pixelfedOptions({
            'apps.pixelfed.database': urls.database ? 'external' : 'postgresql',
            'apps.pixelfed.redis': urls.redis ? 'external' : 'local',
          }),
          (name) => new Secret((name.endsWith('database-url') ? urls.database : urls.redis) ?? 'made'),
        ),
      )
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, value instanceof Secret ? value.reveal() : value]),
    );

  test.each([
    'mysql://p:p@db.example.org/pixelfed',
    'mariadb://p:p@[fd00::7]:3307/pixelfed?ssl-mode=VERIFY_IDENTITY',
    'postgresql://p:p@db.example.org/pixelfed?sslmode=verify-full',
  ])('accepts %j', (text) => expect(address?.parse(text)).toHaveProperty('value'));

  test.each([
    ['sqlite:///tmp/pixelfed', /Not an address/],
    ['mysql://p:p@db.example.org', /no database name/],
    ['mysql://p:p@localhost/pixelfed', /the container itself/],
    ['mysql://p:p@db.example.org/pixelfed?sslmode=require', /only option is ssl-mode/],
    ['mysql://p:p@db.example.org/pixelfed?ssl-mode=REQUIRED', /one of DISABLED, VERIFY_IDENTITY/],
    ['postgresql://p:p@db.example.org/pixelfed?ssl-mode=VERIFY_IDENTITY', /only option is sslmode/],
    ['postgresql://p:p@db.example.org/pixelfed?sslmode=required', /only option is sslmode/],
  ])('refuses %j', (text, words) =>
    expect(address?.parse(text)).toEqual({ problem: expect.stringMatching(words) }),
  );

  test.each([
    ['mysql://p:p@db.example.org/pixelfed', false],
    ['mysql://p:p@db.example.org/pixelfed?ssl-mode=VERIFY_IDENTITY', true],
    ['postgresql://p:p@db.example.org/pixelfed?sslmode=prefer', false],
    ['postgresql://p:p@db.example.org/pixelfed?sslmode=require', true],
  ])('%s must use TLS: %s', (url, wanted) => {
    const find = (): Secret => new Secret(url);
    const wants = (where: string): boolean =>
      pixelfed.wantsTls(pixelfedOptions({ 'apps.pixelfed.database': where }), find);
    expect(wants('external')).toBe(wanted);
    expect(wants('mariadb')).toBe(false);
  });

  test('the proof fails for a version that connects without TLS anyway', () => {
    const options = pixelfedOptions({ 'apps.pixelfed.release': 'v0.12.10' });
    expect(expectCipher(options, 'TLS_AES_256_GCM_SHA384')).toBe('TLS_AES_256_GCM_SHA384');
    expect(() => expectCipher(options, '')).toThrow('v0.12.10 connects unencrypted');
  });

  test('MySQL without TLS: its default port, no TLS variable, its own name for Unicode', () => {
    const found = pixelfedEnv({ database: 'mysql://p:p%40w@db.example.org/my%20db' });
    expect(found).toMatchObject({
      DB_CONNECTION: 'mysql',
      DB_PORT: 3306,
      DB_DATABASE: 'my db',
      DB_PASSWORD: 'p@w',
      DB_CHARSET: 'utf8mb4',
      DB_COLLATION: 'utf8mb4_unicode_ci',
    });
    for (const name of ['MYSQL_ATTR_SSL_CA', 'DB_SSLMODE', 'PGSSLROOTCERT'])
      expect(found).not.toHaveProperty(name);
  });

  test('PostgreSQL: its own port, name for Unicode, and TLS', () => {
    const found = pixelfedEnv({ database: 'postgres://p:p@db.example.org/pixelfed?sslmode=verify-full' });
    expect(found).toMatchObject({
      DB_CONNECTION: 'pgsql',
      DB_PORT: 5432,
      DB_CHARSET: 'utf8',
      DB_SSLMODE: 'verify-full',
      PGSSLROOTCERT: '/etc/ssl/certs/ca-certificates.crt',
    });
    expect(found).not.toHaveProperty('DB_COLLATION');
  });

  test('external Redis: the cache, which is emptied as a whole, has the next database number', () => {
    expect(pixelfedEnv({ redis: 'rediss://pix:p@r.example.org/4' })).toMatchObject({
      DB_HOST: 'pixelfed_postgres',
      REDIS_SCHEME: 'tls',
      REDIS_HOST: 'tls://r.example.org',
      REDIS_USERNAME: 'pix',
      REDIS_DB: 4,
      REDIS_DATABASE: 4,
      REDIS_CACHE_DB: 5,
    });
  });
});

describe('two apps of a site on external servers', () => {
  const problems = async (first: Urls, second: Urls): Promise<readonly string[]> => {
    const answers: Record<string, string> = { apps: 'mastodon,pixelfed', 'tls.mode': 'internal' };
    for (const [app, urls] of Object.entries({ mastodon: first, pixelfed: second })) {
      Object.assign(answers, {
        [`apps.${app}.domain`]: `${app}.example.org`,
        [`apps.${app}.admin`]: 'anna',
        [`apps.${app}.email`]: 'anna@example.org',
        [`apps.${app}.size`]: '2gb',
      });
      for (const [kind, url] of Object.entries(urls))
        Object.assign(answers, { [`apps.${app}.${kind}`]: 'external', [`apps.${app}.${kind}-url`]: url });
    }
    const given = Object.entries(answers).map(([key, text]) => [key, { text, from: key }] as const);
    const resolved = await resolve([new Map(given)]);
    expect(resolved.problems).toEqual([]);
    return problemsOf(tempFolder(), resolved);
  };
  interface Urls {
    readonly redis?: string;
    readonly database?: string;
  }

  test.each<[string, Urls, Urls, string]>([
    [
      'one number',
      { redis: 'redis://:p@R.example.org/3' },
      { redis: 'rediss://pix:q@r.example.org:6379/3' },
      'number 3 of the Redis at r.example.org:6379',
    ],
    [
      'the next number, which is the cache’s',
      { redis: 'redis://:p@r.example.org/1' },
      { redis: 'redis://:p@r.example.org' },
      'number 1 of the Redis at r.example.org:6379',
    ],
    [
      'one database',
      { database: 'postgresql://m:p@db.example.org/fedi' },
      { database: 'postgres://p:p@db.example.org:5432/fedi?sslmode=require' },
      'the database fedi at db.example.org:5432',
    ],
  ])('refuses %s at once', async (_, first, second, place) => {
    expect(await problems(first, second)).toEqual([
      `Mastodon and Pixelfed would both use ${place}. Each needs its own.`,
    ]);
  });

  test('accepts separate database numbers and databases', async () => {
    expect(
      await problems(
        { redis: 'redis://:p@r.example.org/2', database: 'postgresql://m:p@db.example.org/mastodon' },
        { redis: 'redis://:p@r.example.org/3', database: 'postgresql://p:p@db.example.org/pixelfed' },
      ),
    ).toEqual([]);
  });
});
