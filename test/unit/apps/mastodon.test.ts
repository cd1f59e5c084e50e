/** Settings of Mastodon's processes: queues, connections, secrets, variables. Source: upstream v4.6.5. */
import { createECDH, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { appOf } from '../../../wizard/apps/index.ts';
import { SIDEKIQ, connectionsOf } from '../../../wizard/apps/mastodon/size.ts';
import type { Layout, Size } from '../../../wizard/apps/mastodon/size.ts';
import { makeVapid, vapidPublic } from '../../../wizard/apps/shared/vapid.ts';
import { questionsFor } from '../../../wizard/answers/questions.ts';
import type { ComposeFile, Service } from '../../../wizard/stack/compose.ts';
import type { RenderedSite } from '../../../wizard/render/site.ts';
import { makeKey } from '../../../wizard/secrets/openssl.ts';
import { render } from '../../support/render.ts';

vi.mock('../../../wizard/secrets/openssl.ts', { spy: true });
beforeEach(() => void vi.mocked(makeKey).mockReset());

const ANSWERS = {
  apps: 'mastodon',
  'apps.mastodon.domain': 'social.example.org',
  'apps.mastodon.admin': 'anna',
  'apps.mastodon.email': 'anna@example.org',
  'apps.mastodon.size': '4gb',
} as const;
const site = (more: Readonly<Record<string, string>> = {}): Promise<RenderedSite> =>
  render({ ...ANSWERS, ...more });

const choicesOf = (name: string): string[] =>
  (questionsFor(['mastodon']).find(({ key }) => key === `apps.mastodon.${name}`)?.choices ?? []).map(
    ({ value }) => value,
  );
const SIZES = choicesOf('size');
const LAYOUTS = choicesOf('sidekiq');
const EVERY = SIZES.flatMap((size) => LAYOUTS.map((layout) => [size, layout] as const));

/** config/sidekiq.yml. */
const QUEUES = { default: 8, push: 6, ingress: 4, mailers: 2, pull: 1, scheduler: 1, fasp: 1 };

/** Service → queue → weight, from the command lines. */
function listening({ services }: ComposeFile): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {};
  for (const [name, { command, deploy, scale }] of Object.entries(services)) {
    const words = (command ?? []) as readonly string[];
    if (!words.includes('sidekiq')) continue;
    // More than one container of a service would be more than one process.
    expect([name, deploy, scale]).toEqual([name, undefined, undefined]);
    expect(words.slice(0, 3)).toEqual(['bundle', 'exec', 'sidekiq']);
    const pairs = words.slice(3);
    expect(pairs.length).toBeGreaterThan(0);
    found[name] = Object.fromEntries(
      pairs
        .filter((_, i) => i % 2 === 1)
        .map((pair, i) => {
          expect(pairs[2 * i]).toBe('-q');
          const [queue = '', weight = ''] = pair.split(',');
          return [queue, Number(weight)];
        }),
    );
  }
  return found;
}

test('finds the choices', () => {
  expect(SIZES).toEqual(['2gb', '4gb', '8gb', '16gb']);
  expect(LAYOUTS).toEqual(Object.keys(SIDEKIQ));
  expect(LAYOUTS.length).toBeGreaterThan(1);
});

describe.each(EVERY)('%s with Sidekiq %s', (size, layout) => {
  const rendered = (): Promise<RenderedSite> =>
    site({ 'apps.mastodon.size': size, 'apps.mastodon.sidekiq': layout });

  test('every queue has a worker, with its weight, and no other queue is listed', async () => {
    const all = Object.values(listening((await rendered()).compose)).flatMap((queues) =>
      Object.entries(queues),
    );
    expect(new Set(all.map(([queue]) => queue))).toEqual(new Set(Object.keys(QUEUES)));
    for (const [queue, weight] of all) expect([queue, weight]).toEqual([queue, QUEUES[queue as 'default']]);
  });

  // In two processes every periodic job would run twice, without one never.
  test('exactly one process has the scheduler queue', async () => {
    const services = Object.values(listening((await rendered()).compose));
    expect(services.filter((queues) => 'scheduler' in queues)).toHaveLength(1);
  });

  test('all Sidekiq processes have the same variables, files and networks', async () => {
    const { compose } = await rendered();
    const same = Object.keys(listening(compose)).map((name) => {
      const { env_file, volumes, networks, image, healthcheck } = compose.services[name] as Service;
      return { env_file, volumes, networks, image, healthcheck };
    });
    for (const one of same) expect(one).toEqual(same[0]);
    expect(same[0]?.env_file).toEqual(compose.services['mastodon_web']?.env_file);
  });

  test('the connections of all processes fit into PostgreSQL', async () => {
    const { compose, env } = await rendered();
    const { services } = compose;
    const number = (name: string, variable: string): number => {
      const value = Number(services[name]?.environment?.[variable]);
      expect([name, variable, value > 0]).toEqual([name, variable, true]);
      return value;
    };
    const web = number('mastodon_web', 'WEB_CONCURRENCY') * number('mastodon_web', 'MAX_THREADS');
    const sidekiq = Object.keys(listening(compose)).map((name) => number(name, 'SIDEKIQ_CONCURRENCY'));
    const streaming = Number(env['mastodon-streaming']?.['DB_POOL']);
    const words = services['mastodon_db']?.['command'] as readonly string[];
    const limit = Number(words.find((word) => word.startsWith('max_connections='))?.split('=')[1]);
    // DB_POOL for all would override these numbers.
    expect(env['mastodon']).not.toHaveProperty('DB_POOL');
    // PostgreSQL reserves 3 for superusers; gate, tootctl and runner use up to 5 each, a health check 1.
    const reserve = 3 + 2 * 5 + 1;
    const sum = [...sidekiq, streaming, reserve].reduce((total, one) => total + one, web);
    expect(connectionsOf(size as Size, layout as Layout)).toBe(sum);
    expect(sum).toBeLessThanOrEqual(limit);
  });
});

const SPECS = new Map(appOf('mastodon').secrets.map((spec) => [spec.name, spec]));
const make = async (name: string): Promise<string> => (await SPECS.get(name)?.make?.()) ?? '';
const bytes = (text: string): Buffer => Buffer.from(text, 'base64url');

/** A P-256 key in PEM with this scalar. */
function keyOf(scalar: Buffer): string {
  const pair = createECDH('prime256v1');
  pair.setPrivateKey(scalar);
  const point = pair.getPublicKey();
  const part = (from: number, to: number): string => point.subarray(from, to).toString('base64url');
  const key = { kty: 'EC', crv: 'P-256', d: scalar.toString('base64url'), x: part(1, 33), y: part(33, 65) };
  return createPrivateKey({ key, format: 'jwk' }).export({ format: 'pem', type: 'pkcs8' }).toString();
}

describe('secrets, in the formats of Mastodon’s own tasks', () => {
  test.each([
    ['mastodon.encryption.primary', /^[A-Za-z0-9]{32}$/, 'forever'],
    ['mastodon.encryption.deterministic', /^[A-Za-z0-9]{32}$/, 'forever'],
    ['mastodon.encryption.salt', /^[A-Za-z0-9]{32}$/, 'forever'],
    ['mastodon.secret-key-base', /^[0-9a-f]{128}$/, 'steps'],
    ['mastodon.vapid', /^[\w-]{43}=$/, 'steps'],
    // Only characters that need no quoting: they are used in URLs and in a configuration line.
    ['mastodon.db', /^[\w-]{43}$/, 'steps'],
    ['mastodon.valkey', /^[\w-]{43}$/, 'free'],
  ])('%s', async (name, format, kind) => {
    expect(SPECS.get(name)?.class).toBe(kind);
    const made = [await make(name), await make(name), await make(name)];
    for (const value of made) expect(value).toMatch(format);
    expect(new Set(made).size).toBe(made.length);
  });

  test('generates no other secrets', () => {
    expect(SPECS.size).toBe(7);
  });

  test('all 62 letters and digits, evenly distributed', async () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 1000; i++)
      for (const letter of await make('mastodon.encryption.primary'))
        counts.set(letter, (counts.get(letter) ?? 0) + 1);
    expect(counts.size).toBe(62);
    // 516 on average; six standard deviations are 136. Bytes modulo 62 would give the first eight a quarter more.
    for (const count of counts.values()) expect(Math.abs(count - 32_000 / 62)).toBeLessThan(136);
  });

  test('VAPID: the two keys are a pair and can sign', async () => {
    for (let i = 0; i < 20; i++) {
      const half = await makeVapid(true);
      const whole = vapidPublic(half);
      expect(half).toMatch(/^[\w-]{43}=$/);
      expect(whole).toMatch(/^B[\w-]{86}=$/);
      const [scalar, point] = [bytes(half), bytes(whole)];
      expect([scalar.length, point.length, point[0]]).toEqual([32, 65, 4]);
      const text = Buffer.from('a push message');
      const signature = sign('sha256', text, keyOf(scalar));
      const part = (from: number, to: number): string => point.subarray(from, to).toString('base64url');
      const key = { kty: 'EC', crv: 'P-256', x: part(1, 33), y: part(33, 65) };
      expect(verify('sha256', text, createPublicKey({ key, format: 'jwk' }), signature)).toBe(true);
    }
  });

  // Ruby writes such a scalar with 31 bytes: 44 characters that end with ==, unlike those that Rails generates.
  test('VAPID: rejects a scalar that begins with a zero byte', async () => {
    const short = Buffer.concat([Buffer.from([0]), Buffer.alloc(31, 7)]);
    const good = Buffer.alloc(32, 7);
    vi.mocked(makeKey)
      .mockResolvedValueOnce(keyOf(short))
      .mockResolvedValueOnce(keyOf(short))
      .mockResolvedValueOnce(keyOf(good));
    expect(bytes(await makeVapid(true))).toEqual(good);
  });
});

const S3 = {
  'apps.mastodon.media': 's3',
  'apps.mastodon.s3.bucket': 'example-media',
  'apps.mastodon.s3.access-key': 'AKIAEXAMPLE',
};
const SMTP = { 'mail.mode': 'smtp', 'mail.host': 'smtp.example.org' };

/** Answers that omit something, and some that are complete. */
const SITES: readonly Readonly<Record<string, string>>[] = [
  {},
  { 'tls.mode': 'internal' },
  { 'tls.mode': 'proxy', 'apps.mastodon.single-user': 'no' },
  { 'apps.mastodon.single-user': 'yes' },
  { 'apps.mastodon.web-domain': 'web.example.org' },
  { 'mail.mode': 'catcher' },
  { 'apps.mastodon.database': 'external', 'apps.mastodon.redis': 'external' },
  SMTP,
  { ...SMTP, 'mail.user': 'anna', 'mail.port': '587' },
  { ...SMTP, 'mail.port': '25' },
  S3,
  { ...S3, 'apps.mastodon.s3.endpoint': 'https://fsn1.your-objectstorage.com' },
  { ...S3, 'apps.mastodon.s3.acl': 'none', 'apps.mastodon.s3.alias': 'media.example.org' },
];

/** Variables of ours that streaming reads (streaming/*.js); it must get no others. */
const STREAMING =
  /^(DATABASE_URL|DB_(HOST|PORT|NAME|USER|PASS|POOL|SSLMODE)|REDIS_(URL|HOST|PORT|DB|USER|PASSWORD)|TRUSTED_PROXY_IP|LOG_LEVEL)$/;

describe.each(SITES.map((answers) => [JSON.stringify(answers), answers] as const))('%s', (_, answers) => {
  test('no variable is empty, except the one where it has a meaning', async () => {
    const { files } = await site(answers);
    const lines = files
      .filter(({ path }) => path.startsWith('env/'))
      .flatMap(({ text }) => text.split('\n'))
      .filter((line) => /^[A-Z]/.test(line));
    expect(lines.length).toBeGreaterThan(20);
    const empty = lines.filter((line) => /^\w+=(''|"")?$/.test(line));
    expect(empty).toEqual(answers['apps.mastodon.s3.acl'] === 'none' ? ["S3_PERMISSION=''"] : []);
  });

  test('sets no variable that a process sets itself, or that prevents its start', async () => {
    const { env, compose } = await site(answers);
    for (const name of ['PORT', 'BIND', 'SOCKET', 'RAILS_ENV', 'NODE_ENV', 'REDIS_NAMESPACE', 'OTP_SECRET'])
      expect(env['mastodon']).not.toHaveProperty(name);
    for (const { environment } of Object.values(compose.services))
      for (const value of Object.values(environment ?? {})) expect(value).not.toBe('');
  });

  test('streaming gets only variables that it reads', async () => {
    const { env, compose } = await site(answers);
    const set = Object.entries(env['mastodon-streaming'] ?? {}).filter(([, value]) => value !== undefined);
    expect(set.map(([name]) => name).filter((name) => !STREAMING.test(name))).toEqual([]);
    expect(compose.services['mastodon_streaming']?.env_file).toEqual(['env/mastodon-streaming.env']);
  });

  test('all clients of the database use the same password', async () => {
    const { env } = await site(answers);
    if (env['mastodon-db'] === undefined) return expect(answers['apps.mastodon.database']).toBe('external');
    const clear = (group: string, name: string): unknown => {
      const value = env[group]?.[name];
      return typeof value === 'object' ? value.reveal() : value;
    };
    for (const group of ['mastodon', 'mastodon-streaming']) {
      expect(clear(group, 'DB_PASS')).toBe(clear('mastodon-db', 'POSTGRES_PASSWORD'));
      expect(clear(group, 'REDIS_PASSWORD')).toBe(clear('mastodon-valkey', 'VALKEY_PASSWORD'));
    }
    // The file escapes quotes in a password, so the test compares the value itself.
    expect(clear('mastodon', 'VAPID_PUBLIC_KEY')).toBe(
      vapidPublic(String(clear('mastodon', 'VAPID_PRIVATE_KEY'))),
    );
  });
});

/** mail 2.9 refuses STARTTLS together with TLS, and net-smtp a method without a user name. */
describe('mail', () => {
  const mail = async (answers: Readonly<Record<string, string>>): Promise<Record<string, unknown>> => {
    const { env } = await site(answers);
    return Object.fromEntries(
      Object.entries(env['mastodon'] ?? {})
        .filter(([name, value]) => name.startsWith('SMTP_') && value !== undefined)
        .map(([name, value]) => [name, typeof value === 'object' ? value.reveal() : value]),
    );
  };
  const LOGIN = { SMTP_LOGIN: 'anna', SMTP_PASSWORD: `it's "fixed" \\ $HOME #1`, SMTP_AUTH_METHOD: 'plain' };
  const COMMON = {
    SMTP_SERVER: 'smtp.example.org',
    SMTP_FROM_ADDRESS: 'notifications@social.example.org',
    SMTP_OPENSSL_VERIFY_MODE: 'peer',
  };
  test.each([
    [{}, { SMTP_DELIVERY_METHOD: 'test', SMTP_FROM_ADDRESS: 'notifications@social.example.org' }],
    [
      { ...SMTP, 'mail.user': 'anna' },
      { ...COMMON, ...LOGIN, SMTP_PORT: 465, SMTP_TLS: 'true', SMTP_ENABLE_STARTTLS: 'never' },
    ],
    [
      { ...SMTP, 'mail.user': 'anna', 'mail.port': '587' },
      { ...COMMON, ...LOGIN, SMTP_PORT: 587, SMTP_ENABLE_STARTTLS: 'always' },
    ],
    [
      { ...SMTP, 'mail.port': '25', 'mail.from': 'server@example.org' },
      {
        ...COMMON,
        SMTP_PORT: 25,
        SMTP_FROM_ADDRESS: 'server@example.org',
        SMTP_AUTH_METHOD: 'none',
        SMTP_ENABLE_STARTTLS: 'never',
      },
    ],
    [
      {
        ...SMTP,
        'mail.user': 'anna',
        'mail.auth': 'login',
        'mail.from': 'Club, the best <server@example.org>',
      },
      {
        ...COMMON,
        ...LOGIN,
        SMTP_PORT: 465,
        SMTP_TLS: 'true',
        SMTP_ENABLE_STARTTLS: 'never',
        SMTP_AUTH_METHOD: 'login',
        SMTP_FROM_ADDRESS: '"Club, the best" <server@example.org>',
      },
    ],
    [
      { 'mail.mode': 'catcher' },
      {
        ...COMMON,
        SMTP_SERVER: 'mail',
        SMTP_PORT: 1025,
        SMTP_AUTH_METHOD: 'none',
        SMTP_ENABLE_STARTTLS: 'never',
        SMTP_OPENSSL_VERIFY_MODE: 'none',
      },
    ],
  ])('%j', async (answers, variables) => {
    expect(await mail(answers)).toEqual(variables);
  });

  test('only services that send mail reach the catcher', async () => {
    for (const layout of LAYOUTS) {
      const { compose } = await site({ 'mail.mode': 'catcher', 'apps.mastodon.sidekiq': layout });
      const senders = Object.entries(compose.services)
        .filter(([name, { networks }]) => name !== 'mail' && 'mastodon_mail' in (networks ?? {}))
        .map(([name]) => name);
      expect(senders).toEqual(Object.keys(listening(compose)));
    }
  });
});

describe('handles of a domain whose website lives elsewhere', () => {
  const WEB = { 'apps.mastodon.web-domain': 'web.example.org' };
  const served = async (more: Readonly<Record<string, string>>): Promise<string[]> => {
    const { files, compose } = await site({ ...WEB, 'tls.mode': 'acme', ...more });
    const domains = files
      .filter(({ path }) => path.startsWith('caddy/sites/'))
      .flatMap(({ text }) => [...text.matchAll(/^https:\/\/(\S+) \{/gm)].map(([, name = '']) => name));
    return [
      ...domains,
      ...(compose.services['caddy']?.networks?.['mastodon_front']?.aliases ?? []),
    ].toSorted();
  };

  test('Caddy orders no certificate for it and serves no requests of it', async () => {
    const [domain, web] = ['social.example.org', 'web.example.org'];
    expect(await served({})).toEqual([domain, domain, web, web]);
    expect(await served({ 'apps.mastodon.handles': 'elsewhere' })).toEqual([web, web]);
  });

  test('the apps stay the same: only Caddy changes', async () => {
    const [before, after] = [await site(WEB), await site({ ...WEB, 'apps.mastodon.handles': 'elsewhere' })];
    expect(after.env).toEqual(before.env);
    expect(after.compose['x-data']).toEqual(before.compose['x-data']);
  });
});

describe('answers', () => {
  const parse = (name: string, text: string): unknown =>
    questionsFor(['mastodon'])
      .find(({ key }) => key === `apps.mastodon.${name}`)
      ?.parse(text);
  test.each([
    ['release', '4.6.5', 'v4.6.5'],
    ['release', ' v4.7.6 ', 'v4.7.6'],
    ['release', 'v4.5.0', 'v4.5.0'],
    ['release', '5.0.0', 'v5.0.0'],
    ['admin', '@Anna_1', 'anna_1'],
    ['admin', 'a'.repeat(30), 'a'.repeat(30)],
    ['locale', 'pt-BR', 'pt-BR'],
  ])('%s %j is %j', (name, text, value) => expect(parse(name, text)).toEqual({ value }));
  test.each([
    ['release', 'v4.4.9'],
    ['release', '3.9.9'],
    // Floating tags move without a migration.
    ...['latest', 'edge', 'v4.6', 'v4.6.0rc2', 'nightly', ''].map((tag) => ['release', tag] as const),
    ['admin', 'an-na'],
    ['admin', 'a'.repeat(31)],
    ['admin', "anna'; drop table users"],
    ['locale', 'english'],
    ['locale', '../x'],
  ] as const)('%s %j is refused', (name, text) => expect(parse(name, text)).toHaveProperty('problem'));
});

test('exec passes its arguments to tootctl', () => {
  expect(appOf('mastodon').cli.argv(['accounts', 'modify', 'an na', '$HOME'])).toEqual([
    'tootctl',
    'accounts',
    'modify',
    'an na',
    '$HOME',
  ]);
});
