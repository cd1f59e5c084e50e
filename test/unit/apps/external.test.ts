/** Addresses of servers that somebody else runs: what is taken, what is refused, and what the app gets. */
import { describe, expect, test } from 'vitest';
import { dataEnv, dataQuestions } from '../../../wizard/apps/mastodon/data.ts';
import type { Config } from '../../../wizard/config/config.ts';
import { reveal, Secret } from '../../../wizard/secrets/secret.ts';

const row = (key: string) => dataQuestions.find((question) => question.key === `apps.mastodon.${key}`);
const database = row('database-url');
const redis = row('redis-url');

/** Variables in clear for these two addresses. */
function env(urls: { database?: string; redis?: string }): Record<string, string | number> {
  const config = {
    answers: {
      'apps.mastodon.database': urls.database ? 'external' : 'local',
      'apps.mastodon.redis': urls.redis ? 'external' : 'local',
    },
  } as unknown as Config;
  const secrets: Record<string, string | undefined> = {
    'mastodon.db': 'made',
    'mastodon.valkey': 'made too',
    'apps.mastodon.database-url': urls.database,
    'apps.mastodon.redis-url': urls.redis,
  };
  const group = dataEnv(config, (name) => new Secret(secrets[name] ?? ''));
  return Object.fromEntries(
    Object.entries(group)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, typeof value === 'number' ? value : reveal(value as Secret)]),
  );
}

describe('an address of PostgreSQL', () => {
  test.each([
    'postgresql://m:p@db.example.org/mastodon',
    'postgres://m:p@10.0.0.7:6432/mastodon?sslmode=verify-full',
    'postgresql://m:p%40%2F@[fd00::7]/mastodon',
    ' postgresql://m:p@db.example.org/mastodon \n',
  ])('%j is taken', (text) => expect(database?.parse(text)).toHaveProperty('value'));

  test.each([
    ['', /Not an address/],
    ['db.example.org', /Not an address/],
    ['mysql://m:p@db.example.org/mastodon', /Not an address/],
    ['postgresql:///mastodon', /Not an address/],
    ['postgresql://m:p@localhost/mastodon', /the container itself/],
    ['postgresql://m:p@127.0.0.1/mastodon', /the container itself/],
    ['postgresql://m:p@[::1]/mastodon', /the container itself/],
    ['postgresql://m:p@db.example.org', /lacks/],
    ['postgresql://m:p@db.example.org/a/b', /lacks/],
    ['postgresql://m@db.example.org/mastodon', /password: Nothing was given/],
    ['postgresql://m:p@db.example.org/%E0%A4%A', /Not an address/],
    ['postgresql://m:%E0%A4%A@db.example.org/mastodon', /Not an address/],
  ])('%j is refused', (text, words) =>
    expect(database?.parse(text)).toEqual({ problem: expect.stringMatching(words) }),
  );

  test('becomes its parts, decoded, the mode of TLS among them', () => {
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

  test('without port and mode: the usual port, and no line for the mode', () => {
    const found = env({ database: 'postgresql://m:p@db.example.org/mastodon' });
    expect(found).toMatchObject({ DB_PORT: 5432 });
    expect(found).not.toHaveProperty('DB_SSLMODE');
  });
});

describe('an address of Redis', () => {
  test.each([
    'redis://:p@r.example.org',
    'redis://default:p@r.example.org:6380/3',
    'rediss://default:p@r.example.org',
  ])('%j is taken', (text) => expect(redis?.parse(text)).toHaveProperty('value'));
  test.each([
    ['redis://r.example.org', /password: Nothing was given/],
    ['redis://:p@r.example.org/cache', /lacks/],
    ['http://:p@r.example.org', /Not an address/],
  ])('%j is refused', (text, words) =>
    expect(redis?.parse(text)).toEqual({ problem: expect.stringMatching(words) }),
  );

  test('in the clear it becomes its parts', () => {
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

  test('with TLS it stays an address, for the driver that speaks it', () => {
    const url = 'rediss://default:p@r.example.org:6380/0';
    expect(env({ redis: url })).toMatchObject({ REDIS_URL: url, REDIS_DRIVER: 'ruby' });
  });
});
