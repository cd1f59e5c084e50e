/** Media in a bucket: the answers, Mastodon's variables, and the proof with a server that checks signatures. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bucketIn, parseAlias, parseBucket, parseEndpoint, s3Problems } from '../../wizard/apps/shared/s3.ts';
import { mastodonS3 } from '../../wizard/apps/mastodon/s3.ts';
import { pixelfedS3 } from '../../wizard/apps/pixelfed/s3.ts';
import { allNamesOf, appOf, namesOf } from '../../wizard/apps/index.ts';
import { configOf } from '../../wizard/answers/config.ts';
import { problemsOf } from '../../wizard/apply/prepare.ts';
import { tempFolder } from '../support/temp.ts';
import { checkDns } from '../../wizard/checks/names.ts';
import type { CheckContext } from '../../wizard/checks/check.ts';
import { resolve } from '../../wizard/answers/resolve.ts';
import type { Resolved } from '../../wizard/answers/resolve.ts';
import { appConfig } from '../../wizard/config/config.ts';
import type { AppConfig, Config } from '../../wizard/config/config.ts';
import type { Answers } from '../../wizard/config/question.ts';
import { client } from '../../wizard/prove/http.ts';
import type { Client } from '../../wizard/prove/http.ts';
import { publicUrl } from '../../wizard/config/bucket.ts';
import type { Bucket } from '../../wizard/config/bucket.ts';
import { BUCKET_PROVIDERS } from '../../wizard/config/bucket-providers.ts';
import { expectShown, proveBucket } from '../../wizard/prove/s3.ts';
import { printEnv } from '../../wizard/stack/env.ts';
import { Secret } from '../../wizard/secrets/secret.ts';
import { s3 } from '../images/s3/server.mjs';
import type { S3Line } from '../images/s3/server.mjs';

const SECRET = 'kN2/of+the=bucket';

describe('answers', () => {
  test.each([
    ['https://fsn1.your-objectstorage.com', 'https://fsn1.your-objectstorage.com'],
    ['https://FSN1.your-objectstorage.com/', 'https://fsn1.your-objectstorage.com'],
    ['https://s3.example.org:9000', 'https://s3.example.org:9000'],
    ['http://nas.lan:9000/', 'http://nas.lan:9000'],
    ['HTTP://10.0.0.7', 'http://10.0.0.7'],
    ['http://nas:443', 'http://nas:443'],
  ])('the endpoint %s', (text, value) => expect(parseEndpoint(text)).toEqual({ value }));
  test.each([
    '',
    'http://192.0.2.7',
    'http://nas.lan:9000/media',
    'http://localhost:9000',
    'https://127.0.0.1:9000',
    's3.example.org',
    'https://s3.example.org/media',
    'https://u:p@s3.example.org',
    'https://s3.example.org/?x=1',
  ])('no endpoint: %s', (text) => expect('problem' in parseEndpoint(text)).toBe(true));

  test.each(['media', 'my.media-1', 'a1b'])('the bucket %s', (text) =>
    expect(parseBucket(text)).toEqual({ value: text }),
  );
  test.each([
    '',
    'ab',
    'Media',
    'my_media',
    '-media',
    'media-',
    'a..b',
    '192.0.2.7',
    'a'.repeat(64),
    'me/dia',
  ])('no bucket: %s', (text) => expect('problem' in parseBucket(text)).toBe(true));

  test.each([
    ['media.example.org', 'media.example.org'],
    ['Media.Example.org/', 'media.example.org'],
    ['f003.backblazeb2.com/file/my-media/', 'f003.backblazeb2.com/file/my-media'],
    ['media.example.org:8443', 'media.example.org:8443'],
    ['bücher.example', 'xn--bcher-kva.example'],
  ])('the public host %s', (text, value) => expect(parseAlias(text)).toEqual({ value }));
  test.each([
    '',
    'https://media.example.org',
    'media.example.org/a b',
    'media.example.org/"',
    'media.example.org:0',
    'a_b.example.org',
    'user@media.example.org',
    'media.example.org?x',
    'typedthesecrethere',
  ])('no public host: %s', (text) => expect('problem' in parseAlias(text)).toBe(true));
});

/** Answers of a site with Mastodon and these media answers. */
function siteAnswers(answers: Answers): Answers {
  return {
    name: 'fedi',
    apps: 'mastodon',
    'apps.mastodon.domain': 'social.example.org',
    'apps.mastodon.admin': 'anna',
    'apps.mastodon.email': 'anna@example.org',
    'tls.mode': 'acme',
    'mail.mode': 'none',
    bind: '0.0.0.0',
    ...answers,
  };
}
const siteWith = (answers: Answers): Config => configOf(siteAnswers(answers));
const mastodonWith = (answers: Answers): AppConfig => appConfig(siteWith(answers), 'mastodon');
const S3_ANSWERS: Answers = {
  'apps.mastodon.media': 's3',
  'apps.mastodon.s3.region': 'eu-central-1',
  'apps.mastodon.s3.bucket': 'my-media',
  'apps.mastodon.s3.access-key': 'AKIA1',
  'apps.mastodon.s3.acl': 'public-read',
};
const lines = (answers: Answers): string[] =>
  printEnv(mastodonS3(mastodonWith(answers), () => new Secret(SECRET)))
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line));
const names = (answers: Answers): string[] => lines(answers).map((line) => line.slice(0, line.indexOf('=')));

describe('Mastodon’s variables', () => {
  test('none for media on the host', () => {
    expect(lines({ 'apps.mastodon.media': 'local' })).toEqual([]);
    expect(lines({ ...S3_ANSWERS, 'apps.mastodon.media': 'local' })).toEqual([]);
  });

  test('Amazon', () => {
    expect(lines(S3_ANSWERS)).toEqual([
      'S3_ENABLED=true',
      'S3_BUCKET=my-media',
      'AWS_ACCESS_KEY_ID=AKIA1',
      `AWS_SECRET_ACCESS_KEY=${SECRET}`,
      'S3_REGION=eu-central-1',
      'S3_PROTOCOL=https',
      'S3_HOSTNAME=s3.eu-central-1.amazonaws.com',
      'S3_OPEN_TIMEOUT=10',
      'S3_READ_TIMEOUT=20',
      'S3_RETRY_LIMIT=2',
    ]);
  });

  test('another provider, behind a custom domain, without ACLs', () => {
    const all = lines({
      ...S3_ANSWERS,
      'apps.mastodon.s3.endpoint': 'https://acc.r2.cloudflarestorage.com',
      'apps.mastodon.s3.region': 'auto',
      'apps.mastodon.s3.alias': 'media.example.org',
      'apps.mastodon.s3.acl': 'none',
    });
    expect(all).toEqual(
      expect.arrayContaining([
        'S3_ENDPOINT=https://acc.r2.cloudflarestorage.com',
        'S3_REGION=auto',
        'S3_ALIAS_HOST=media.example.org',
        "S3_PERMISSION=''",
        'AWS_REQUEST_CHECKSUM_CALCULATION=when_required',
        'AWS_RESPONSE_CHECKSUM_VALIDATION=when_required',
        'S3_FORCE_SINGLE_REQUEST=true',
      ]),
    );
    expect(all.some((line) => line.startsWith('S3_HOSTNAME'))).toBe(false);
  });

  test('the host name or the alias is always set; no empty variable except the intended one', () => {
    for (const endpoint of [undefined, 'https://s3.example.org:9000']) {
      for (const alias of [undefined, 'media.example.org']) {
        const answers: Record<string, string> = { ...(S3_ANSWERS as Record<string, string>) };
        if (endpoint !== undefined) answers['apps.mastodon.s3.endpoint'] = endpoint;
        if (alias !== undefined) answers['apps.mastodon.s3.alias'] = alias;
        const hosts = names(answers).filter((name) => name === 'S3_HOSTNAME' || name === 'S3_ALIAS_HOST');
        expect(hosts).toEqual([alias === undefined ? 'S3_HOSTNAME' : 'S3_ALIAS_HOST']);
        expect(lines(answers).filter((line) => /=('')?$/.test(line))).toEqual([]);
      }
    }
  });

  test('the bucket’s name before the host', () => {
    const answers = {
      ...S3_ANSWERS,
      'apps.mastodon.s3.endpoint': 'https://oss-eu-central-1.aliyuncs.com',
      'apps.mastodon.s3.style': 'virtual',
    };
    // Without the alias the URLs in pages would have the bucket in the path.
    expect(lines(answers)).toEqual(
      expect.arrayContaining([
        'S3_OVERRIDE_PATH_STYLE=true',
        'S3_ALIAS_HOST=my-media.oss-eu-central-1.aliyuncs.com',
      ]),
    );
    expect(names(answers)).not.toContain('S3_HOSTNAME');
    expect(names(S3_ANSWERS)).not.toContain('S3_OVERRIDE_PATH_STYLE');
    const pixelfed = pixelfedS3(mastodonWith(answers), () => new Secret(SECRET));
    expect(pixelfed).toMatchObject({
      AWS_USE_PATH_STYLE_ENDPOINT: 'false',
      AWS_URL: 'https://my-media.oss-eu-central-1.aliyuncs.com',
    });
  });

  test('plain HTTP in a private network needs a public host', () => {
    const answers = { ...S3_ANSWERS, 'apps.mastodon.s3.endpoint': 'http://nas.lan:9000' };
    expect(s3Problems(mastodonWith(answers)).join()).toContain('--mastodon-s3-alias');
    const aliased = { ...answers, 'apps.mastodon.s3.alias': 'media.example.org' };
    expect(s3Problems(mastodonWith(aliased))).toEqual([]);
    expect(lines(aliased)).toEqual(
      expect.arrayContaining([
        'S3_ENDPOINT=http://nas.lan:9000',
        'S3_PROTOCOL=https',
        'S3_ALIAS_HOST=media.example.org',
      ]),
    );
  });

  test('reports a missing secret key', () => {
    expect(() =>
      mastodonS3(mastodonWith(S3_ANSWERS), (name) => {
        throw new Error(`no secret ${name}`);
      }),
    ).toThrow('has an access key but no secret key');
  });

  test('conflicting answers', () => {
    const problems = (endpoint: string): string[] =>
      s3Problems(mastodonWith({ ...S3_ANSWERS, 'apps.mastodon.s3.endpoint': endpoint }));
    expect(problems('https://s3.eu-central-1.amazonaws.com')).toEqual([]);
    expect(problems('https://my-media.s3.eu-central-1.amazonaws.com').join()).toContain(
      'Use https://s3.eu-central-1.',
    );
    expect(problems('https://acc.r2.cloudflarestorage.com').join()).toContain('R2');
  });

  test('the public address', () => {
    const bucket = bucketIn(S3_ANSWERS, 'mastodon') as Bucket;
    expect(publicUrl(bucket, 'a/b.png')).toBe('https://s3.eu-central-1.amazonaws.com/my-media/a/b.png');
    expect(publicUrl({ ...bucket, endpoint: 'https://s3.example.org:9000' }, 'a')).toBe(
      'https://s3.example.org:9000/my-media/a',
    );
    expect(publicUrl({ ...bucket, alias: 'cdn.example.org/file/x' }, 'a')).toBe(
      'https://cdn.example.org/file/x/a',
    );
  });
});

describe('providers', () => {
  const known = (provider: string, more: Answers = {}, app = 'mastodon'): Promise<Resolved> =>
    resolve([
      new Map(
        Object.entries({
          apps: app,
          [`apps.${app}.domain`]: 'social.example.org',
          [`apps.${app}.admin`]: 'anna',
          [`apps.${app}.email`]: 'anna@example.org',
          [`apps.${app}.media`]: 's3',
          [`apps.${app}.s3.provider`]: provider,
          [`apps.${app}.s3.bucket`]: 'my-media',
          [`apps.${app}.s3.access-key`]: 'AK',
          'mail.mode': 'none',
          'tls.mode': 'acme',
          ...more,
        }).map(([key, text]) => [key, { text: String(text), from: key }]),
      ),
    ]);
  const bucketOf = async (provider: string, more: Answers = {}, app = 'mastodon'): Promise<unknown> => {
    const { answers, problems } = await known(provider, more, app);
    expect(problems).toEqual([]);
    const { endpoint, region, acl, style } = bucketIn(answers, app) as Bucket;
    return [endpoint, region, acl, style];
  };
  const ACCOUNT = '0123456789abcdef0123456789abcdef';

  test.each<[string, Answers, unknown[]]>([
    ['aws', {}, [undefined, 'us-east-1', 'none', 'path']],
    ['b2', {}, ['https://s3.us-west-004.backblazeb2.com', 'us-west-004', 'none', 'path']],
    ['spaces', {}, ['https://nyc3.digitaloceanspaces.com', 'nyc3', 'public-read', 'path']],
    ['hetzner', {}, ['https://fsn1.your-objectstorage.com', 'fsn1', 'public-read', 'path']],
    [
      'hetzner',
      { 'apps.mastodon.s3.region': 'hel1' },
      ['https://hel1.your-objectstorage.com', 'hel1', 'public-read', 'path'],
    ],
    ['scaleway', {}, ['https://s3.fr-par.scw.cloud', 'fr-par', 'public-read', 'path']],
    ['wasabi', {}, ['https://s3.us-east-1.wasabisys.com', 'us-east-1', 'none', 'path']],
    [
      'r2',
      { 'apps.mastodon.s3.account': ACCOUNT },
      [`https://${ACCOUNT}.r2.cloudflarestorage.com`, 'auto', 'none', 'path'],
    ],
    [
      'r2',
      { 'apps.mastodon.s3.endpoint': `https://${ACCOUNT}.eu.r2.cloudflarestorage.com` },
      [`https://${ACCOUNT}.eu.r2.cloudflarestorage.com`, 'auto', 'none', 'path'],
    ],
    [
      'minio',
      { 'apps.mastodon.s3.endpoint': 'https://s3.example.org:9000' },
      ['https://s3.example.org:9000', 'us-east-1', 'none', 'path'],
    ],
    [
      'garage',
      { 'apps.mastodon.s3.endpoint': 'https://garage.example.org', 'apps.mastodon.s3.style': 'virtual' },
      ['https://garage.example.org', 'garage', 'none', 'virtual'],
    ],
    [
      'ceph',
      { 'apps.mastodon.s3.endpoint': 'https://rgw.example.org', 'apps.mastodon.s3.acl': 'none' },
      ['https://rgw.example.org', 'us-east-1', 'none', 'path'],
    ],
    ['other', {}, [undefined, 'us-east-1', 'public-read', 'path']],
  ])('%s %j', async (provider, more, expected) => {
    expect(await bucketOf(provider, more)).toEqual(expected);
  });

  test('each endpoint is a valid answer, and each is in the guide with what it needs', () => {
    const guide = readFileSync(new URL('../../docs/guides/s3.md', import.meta.url), 'utf8');
    for (const { id, name, endpoint, isOwn, region, acl, hint, refusesAcl } of BUCKET_PROVIDERS) {
      if (endpoint !== undefined) {
        const address = endpoint.replace('REGION', region).replace('ACCOUNT', ACCOUNT);
        expect(parseEndpoint(address)).toEqual({ value: address });
      }
      const place = endpoint ?? (isOwn === true ? 'yours' : 's3.REGION.amazonaws.com');
      expect(guide).toContain(
        `| \`${id}\` (${name}) | ${place.replace('https://', '')} | \`${region}\` | \`${acl}\` | ${refusesAcl === true ? 'no' : 'yes'} | ${hint} |`,
      );
    }
  });

  test('Pixelfed, which needs ACLs, keeps them, and refuses a provider without', async () => {
    expect(await bucketOf('wasabi', {}, 'pixelfed')).toEqual([
      'https://s3.us-east-1.wasabisys.com',
      'us-east-1',
      'public-read',
      'path',
    ]);
    for (const provider of BUCKET_PROVIDERS.filter(({ refusesAcl }) => refusesAcl === true))
      expect((await known(provider.id, {}, 'pixelfed')).problems.join()).toContain(
        `Use a bucket that allows ACLs. ${provider.name} has none.`,
      );
  });

  test('what is missing', async () => {
    const problems = async (provider: string, more: Answers = {}): Promise<string> => {
      const { answers } = await known(provider, more);
      return s3Problems(
        appConfig(configOf({ bind: '0.0.0.0', name: 'fedi', ...answers }), 'mastodon'),
      ).join();
    };
    expect(await problems('minio')).toContain('give it as --mastodon-s3-endpoint');
    expect(await problems('r2')).toMatch(
      /--mastodon-s3-account, or .* --mastodon-s3-endpoint.*--mastodon-s3-alias/,
    );
    expect(await problems('garage', { 'apps.mastodon.s3.endpoint': 'https://g.example.org' })).toBe(
      'Garage serves public files only at its web endpoint. Give a public host of the bucket as --mastodon-s3-alias.',
    );
    expect(await problems('aws')).toBe('');
    expect(
      await problems('ceph', {
        'apps.mastodon.s3.endpoint': 'https://192.0.2.7:7480',
        'apps.mastodon.s3.style': 'virtual',
      }),
    ).toContain('An address cannot have the bucket’s name before it');
  });

  test('another provider discards what was saved with the first', async () => {
    const saved = new Map(
      Object.entries({
        'apps.mastodon.s3.provider': 'r2',
        'apps.mastodon.s3.endpoint': 'https://x.r2.cloudflarestorage.com',
        'apps.mastodon.s3.region': 'auto',
        'apps.mastodon.s3.acl': 'none',
      }).map(([key, text]) => [key, { text, from: key }]),
    );
    const { provided: _, ...rest } = await known('spaces');
    const given = new Map(
      Object.entries({ ...rest.answers, 'apps.mastodon.s3.provider': 'spaces' })
        .filter(([key]) => !/s3\.(region|acl)$/.test(key))
        .map(([key, value]) => [key, { text: String(value), from: key }]),
    );
    const { answers } = await resolve([given, saved]);
    const bucket = bucketIn(answers, 'mastodon');
    expect([bucket?.endpoint, bucket?.region, bucket?.acl]).toEqual([
      'https://nyc3.digitaloceanspaces.com',
      'nyc3',
      'public-read',
    ]);
  });
});

describe('the public host, served by Caddy', () => {
  const SERVED: Answers = {
    ...S3_ANSWERS,
    'apps.mastodon.s3.endpoint': 'http://nas.lan:9000',
    'apps.mastodon.s3.alias': 'media.example.org',
    'apps.mastodon.s3.proxy': 'caddy',
  };

  test('it is a name that Caddy serves, and not one of the app', () => {
    const config = siteWith(SERVED);
    expect(allNamesOf(config)).toEqual(['social.example.org', 'media.example.org']);
    expect(namesOf(appConfig(config, 'mastodon'))).toEqual(['social.example.org']);
    expect(allNamesOf(siteWith({ ...SERVED, 'apps.mastodon.s3.proxy': 'none' }))).toEqual([
      'social.example.org',
    ]);
    expect(s3Problems(appConfig(config, 'mastodon'))).toEqual([]);
  });

  test('the DNS is checked for it before a run', async () => {
    const host = {
      addresses: () => ['8.8.4.4'],
      addressRecords: async (name: string, type: string) =>
        type === 'A' && name === 'social.example.com' ? ['8.8.4.4'] : [],
    };
    const config = siteWith({
      ...SERVED,
      'apps.mastodon.domain': 'social.example.com',
      'apps.mastodon.s3.alias': 'media.example.com',
    });
    const result = await checkDns({ config, host } as unknown as CheckContext);
    expect(result?.found).toMatchObject([
      { level: 'blocker', what: 'media.example.com has no address in the DNS.' },
    ]);
  });

  test('a host name alone, and the bucket in the path', () => {
    const problems = (more: Answers): string => s3Problems(mastodonWith({ ...SERVED, ...more })).join();
    for (const alias of ['media.example.org:8443', 'media.example.org/media'])
      expect(problems({ 'apps.mastodon.s3.alias': alias })).toContain('without a port or a path');
    expect(problems({ 'apps.mastodon.s3.style': 'virtual' })).toContain('needs --mastodon-s3-style path');
  });

  test('a name that the site has already is refused', async () => {
    const found = await problemsOf(tempFolder(), {
      answers: siteAnswers({ ...SERVED, 'apps.mastodon.s3.alias': 'social.example.org' }),
      secrets: {},
    });
    expect(found.join()).toContain('social.example.org is already a name of this site');
    expect(
      (await problemsOf(tempFolder(), { answers: siteAnswers(SERVED), secrets: {} })).join(),
    ).not.toContain('already a name');
  });

  test('asked only where a bucket serves files at its S3 interface', () => {
    const row = appOf('mastodon').questions.find(({ key }) => key === 'apps.mastodon.s3.proxy');
    expect(row?.when?.(SERVED)).toBe(true);
    expect(row?.when?.({ ...SERVED, 'apps.mastodon.s3.provider': 'r2' })).toBe(false);
    expect(row?.when?.(S3_ANSWERS)).toBe(false);
  });
});

describe('the proof', () => {
  const log: S3Line[] = [];
  let at = new Date();
  const server = s3(
    {
      region: 'eu-test-1',
      keys: { AKIATEST: { secret: SECRET }, AKIAREAD: { secret: SECRET, readonly: true } },
      buckets: {
        media: { cors: '*' },
        policy: { cors: '*', acl: false, public: true },
        'policy-private': { cors: '*', acl: false },
        deaf: { cors: '*', acl: false, public: true, checksums: false },
        listed: { cors: '*', listable: true },
        'no-cors': {},
        'other-cors': { cors: 'https://other.example.org' },
        'own-cors': { cors: 'https://social.example.org' },
      },
    },
    { now: () => at, log: (line) => log.push(line) },
  );
  let host = '';
  const plain = client(undefined, undefined);
  /** The server uses plain HTTP here; everything else is real. */
  const http: Client = Object.assign(
    ((url, options) => plain(url.replace(/^https:/, 'http:'), options)) as Client,
    { socket: plain.socket },
  );
  beforeAll(async () => {
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  const prove = (more: Partial<Bucket> = {}, secret = SECRET, over: Client = http): Promise<string> =>
    proveBucket({
      http: over,
      bucket: {
        endpoint: `https://${host}`,
        region: 'eu-test-1',
        name: 'media',
        accessKey: 'AKIATEST',
        alias: undefined,
        acl: 'public-read',
        style: 'path',
        ...more,
      },
      secretKey: new Secret(secret),
      origin: 'https://social.example.org',
    });

  test('a valid bucket: written with its ACL, read anonymously, deleted', async () => {
    log.length = 0;
    expect(await prove()).toContain('read anonymously');
    expect(log.map(({ method, status, key, acl }) => [method, status, key, acl])).toEqual([
      ['PUT', 200, 'AKIATEST', 'public-read'],
      ['HEAD', 200, 'AKIATEST', undefined],
      ['GET', 200, undefined, undefined],
      ['GET', 403, undefined, undefined],
      // In two parts; the ACL is that of the whole.
      ['POST', 200, 'AKIATEST', 'public-read'],
      ['PUT', 200, 'AKIATEST', undefined],
      ['PUT', 200, 'AKIATEST', undefined],
      ['POST', 200, 'AKIATEST', undefined],
      ['GET', 200, 'AKIATEST', undefined],
      ['DELETE', 204, 'AKIATEST', undefined],
      ['DELETE', 204, 'AKIATEST', undefined],
    ]);
    expect(server.buckets['media']?.objects.size).toBe(0);
  });

  test('a bucket that is public by its policy and takes no ACL', async () => {
    expect(await prove({ name: 'policy', acl: 'none' })).toContain('read anonymously');
    expect(log.slice(-11).filter(({ acl }) => acl !== undefined)).toEqual([]);
  });

  test('a server without checksum support', async () => {
    expect(await prove({ name: 'deaf', acl: 'none' })).toContain('read anonymously');
  });

  test('a custom domain', async () => {
    expect(await prove({ alias: `${host}/media` })).toContain(host);
  });

  test('CORS for the pages alone is enough', async () => {
    expect(await prove({ name: 'own-cors' })).toContain('read anonymously');
  });

  test('a provider that accepts only the bucket’s name before the host', async () => {
    const only = s3(
      {
        region: 'eu-test-1',
        domain: 's3.fedi.test',
        keys: { AKIATEST: { secret: SECRET } },
        buckets: { media: { cors: '*' } },
      },
      { now: () => at },
    );
    await new Promise<void>((listening) => only.listen(0, '127.0.0.1', listening));
    const endpoint = `http://s3.fedi.test:${(only.address() as AddressInfo).port}`;
    const local = client('127.0.0.1', undefined);
    await expect(prove({ endpoint }, SECRET, local)).rejects.toThrow('Set style to virtual');
    expect(await prove({ endpoint, style: 'virtual' }, SECRET, local)).toContain('read anonymously');
    only.close();
  });

  test('a provider that accepts only the bucket’s name in the path', async () => {
    // One that takes the first part of the path for the bucket, as servers without a domain do.
    const path = s3(
      { region: 'eu-test-1', keys: { AKIATEST: { secret: SECRET } }, buckets: { media: { cors: '*' } } },
      { now: () => at },
    );
    await new Promise<void>((listening) => path.listen(0, '127.0.0.1', listening));
    const endpoint = `http://s3.fedi.test:${(path.address() as AddressInfo).port}`;
    await expect(
      prove({ endpoint, style: 'virtual' }, SECRET, client('127.0.0.1', undefined)),
    ).rejects.toThrow(
      'there is no bucket media (NoSuchBucket). The same works with style path: set style to path',
    );
    expect(path.buckets['media']?.objects.size).toBe(0);
    path.close();
  });

  test('a public listing and missing CORS are warnings', async () => {
    expect(await prove({ name: 'listed' })).toMatch(/WARNING: listing: the list of all files is public/);
    expect(await prove({ name: 'no-cors' })).toMatch(
      /WARNING: CORS: no header Access-Control-Allow-Origin.*CORS rule: origin \* \(or https:\/\/social.example.org\), methods GET and HEAD/,
    );
    expect(await prove({ name: 'other-cors' })).toContain('it allows https://other.example.org only');
  });

  test('an unfinished upload in parts leaves nothing', async () => {
    const broken: Client = Object.assign(
      ((url, options) =>
        url.includes('partNumber=2') ? Promise.reject(new Error('cut off')) : http(url, options)) as Client,
      { socket: plain.socket },
    );
    await expect(prove({}, SECRET, broken)).rejects.toThrow('an upload in parts: cut off');
    expect([server.buckets['media']?.objects.size, server.buckets['media']?.uploads.size]).toEqual([0, 0]);
  });

  test.each<[string, Partial<Bucket>, string, string]>([
    [
      'a wrong secret key',
      {},
      'another',
      'the secret key does not belong to this access key.*SignatureDoesNotMatch',
    ],
    [
      'an unknown access key',
      { accessKey: 'AKIANONE' },
      SECRET,
      'no access key AKIANONE.*InvalidAccessKeyId',
    ],
    [
      'a key without rights',
      { accessKey: 'AKIAREAD' },
      SECRET,
      'writing: the key may not do this .AccessDenied.. It needs the rights',
    ],
    ['no such bucket', { name: 'nothing' }, SECRET, 'no bucket nothing.*NoSuchBucket'],
    ['a wrong region', { region: 'us-east-1' }, SECRET, 'not in the region us-east-1 .*. It is in eu-test-1'],
    [
      'no ACLs there',
      { name: 'policy' },
      SECRET,
      'ACL public-read is refused .AccessControlListNotSupported.; one without an ACL is accepted, and it is public. Set acl to none; or',
    ],
    [
      'no ACLs there, and not public',
      { name: 'policy-private' },
      SECRET,
      'it is not public. Set acl to none and make the bucket readable by a policy',
    ],
    ['not public', { name: 'policy-private', acl: 'none' }, SECRET, 'answered 403. The bucket is not public'],
    [
      'not public without an ACL',
      { acl: 'none' },
      SECRET,
      'The bucket is not public; with the ACL public-read the object is. Set acl to public-read',
    ],
  ])('%s', async (_, more, secret, words) => {
    await expect(prove(more, secret)).rejects.toThrow(new RegExp(words));
    for (const { objects } of Object.values(server.buckets)) expect(objects.size).toBe(0);
  });

  test('a host whose clock is wrong', async () => {
    at = new Date(Date.now() + 3_600_000);
    await expect(prove()).rejects.toThrow(/clock of this host.*RequestTimeTooSkewed/);
    at = new Date();
  });

  test('an alias that points elsewhere', async () => {
    for (const name of ['listed', 'policy'])
      await expect(prove({ alias: `${host}/${name}` })).rejects.toThrow(
        /answered 40[34], though.*root of the bucket media/,
      );
  });

  test('no server, no name, no S3', async () => {
    await expect(prove({ endpoint: 'https://127.0.0.1:1' })).rejects.toThrow(
      'nothing listens at 127.0.0.1:1 (ECONNREFUSED)',
    );
    await expect(prove({ endpoint: 'https://nowhere.invalid' })).rejects.toThrow(
      /nowhere.invalid does not exist in the DNS|the DNS did not answer for nowhere.invalid/,
    );
    // TLS to a port without TLS.
    await expect(prove({}, SECRET, plain)).rejects.toThrow('does not speak TLS there');
  });

  test('no message contains the secret key', async () => {
    const seen = await prove({ region: 'us-east-1' }).catch(String);
    expect(seen).not.toContain(SECRET);
  });
});

test('a picture must be in the bucket, and the pages must allow it', () => {
  const bucket: Bucket = { ...(bucketIn(S3_ANSWERS, 'mastodon') as Bucket), alias: 'media.example.org' };
  const page = (policy?: string) =>
    ({ headers: policy === undefined ? {} : { 'content-security-policy': policy } }) as unknown as Parameters<
      typeof expectShown
    >[2];
  const good = page("default-src 'none'; img-src 'self' data: https://media.example.org; font-src 'self'");
  expectShown(bucket, 'https://media.example.org/a.png', good);
  expect(() => expectShown(bucket, 'https://social.example.org/system/a.png', good)).toThrow(
    'not in the bucket',
  );
  expect(() => expectShown(bucket, 'https://media.example.org/a.png', page("img-src 'self'"))).toThrow(
    'Content-Security-Policy',
  );
  expect(() => expectShown(bucket, 'https://media.example.org/a.png', page())).toThrow(
    'Content-Security-Policy',
  );
});

test('resolves other hosts by DNS, and uses the ingress only if DNS has no record', async () => {
  const server = createServer((request, response) => response.end(request.headers.host));
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const ask = (http: Client, host: string): Promise<string> =>
    http(`http://${host}:${port}/`).then((reply) => reply.text());
  try {
    const ingress = client('127.0.0.1', undefined, ['social.fedi.test']);
    expect(await ask(ingress, 'social.fedi.test')).toBe(`social.fedi.test:${port}`);
    expect(await ask(ingress, 'nowhere.invalid')).toBe(`nowhere.invalid:${port}`);
    // An ingress without a listener: the site's own name uses it, a name in DNS does not.
    const closed = client('127.0.0.2', undefined, ['social.fedi.test']);
    await expect(ask(closed, 'social.fedi.test')).rejects.toThrow('ECONNREFUSED 127.0.0.2');
    expect(await ask(closed, 'localhost')).toBe(`localhost:${port}`);
  } finally {
    server.close();
  }
});
