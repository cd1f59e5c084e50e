/** The test of a bucket on a real S3 server, Ceph's RADOS Gateway: what works, and what it refuses. */
import { createHash } from 'node:crypto';
// oxlint-disable-next-line no-restricted-imports -- creates buckets and policies, as an administrator does
import { AwsV4Signer } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Bucket } from '../../wizard/config/bucket.ts';
import { client } from '../../wizard/prove/http.ts';
import { tryBucket } from '../../wizard/prove/s3.ts';
import type { BucketRung } from '../../wizard/prove/s3.ts';
import { Secret } from '../../wizard/secrets/secret.ts';
import { needImages } from '../support/acme.ts';
import { startGateway } from '../support/gateway.ts';
import { wipe } from '../support/site.ts';

const KEY = 'AKIDBUCKET';
const SECRET = 'bucket/Secret+of=tests';
const SERVERS = 'test-bucket';
const HOST = '127.0.0.212:9000';
const endpoint = `http://${HOST}`;

needImages('radosgw');
wipe(SERVERS);
afterAll(() => wipe(SERVERS));

async function call(method: string, path: string, body = ''): Promise<string> {
  const { url, headers } = await new AwsV4Signer({
    accessKeyId: KEY,
    secretAccessKey: SECRET,
    service: 's3',
    region: 'us-east-1',
    url: `${endpoint}${path}`,
    method,
    headers: {
      'X-Amz-Content-Sha256': createHash('sha256').update(body).digest('hex'),
      'Content-MD5': createHash('md5').update(body).digest('base64'),
    },
  }).sign();
  const reply = await fetch(url, { method, headers, ...(body === '' ? {} : { body }) });
  const text = await reply.text();
  expect(reply.status, `${method} ${path}: ${text}`).toBeLessThan(300);
  return text;
}

const CORS =
  '<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>';
type Statement = Readonly<Record<string, unknown>>;
const allow = (action: string, resource: string): Statement => ({
  Effect: 'Allow',
  Principal: '*',
  Action: [action],
  Resource: [`arn:aws:s3:::${resource}`],
});
const PUBLIC = (name: string): Statement => allow('s3:GetObject', `${name}/*`);
/** As a bucket that takes no ACLs. */
const NO_ACL = (name: string): Statement => ({
  ...allow('s3:PutObject', `${name}/*`),
  Effect: 'Deny',
  Condition: { StringEquals: { 's3:x-amz-acl': 'public-read' } },
});

async function bucket(name: string, statements: readonly Statement[], cors = CORS): Promise<void> {
  await call('PUT', `/${name}`);
  if (cors !== '') await call('PUT', `/${name}?cors=`, cors);
  if (statements.length > 0)
    await call('PUT', `/${name}?policy=`, JSON.stringify({ Version: '2012-10-17', Statement: statements }));
}

beforeAll(async () => {
  await startGateway(SERVERS, HOST, KEY, SECRET);
  await bucket('media', []);
  await bucket('policy', [PUBLIC('policy')]);
  await bucket('no-acl', [PUBLIC('no-acl'), NO_ACL('no-acl')]);
  await bucket('closed', [NO_ACL('closed')]);
  await bucket('listed', [allow('s3:ListBucket', 'listed')], '');
  await bucket('kept', [{ ...allow('s3:DeleteObject', 'kept/*'), Effect: 'Deny' }]);
});

const look = (more: Partial<Bucket> = {}, secret = SECRET): Promise<BucketRung[]> =>
  tryBucket({
    http: client(undefined, undefined),
    bucket: {
      endpoint,
      region: 'us-east-1',
      name: 'media',
      accessKey: KEY,
      alias: undefined,
      acl: 'public-read',
      style: 'path',
      ...more,
    },
    secretKey: new Secret(secret),
    origin: 'https://social.example.org',
    withParts: true,
    isEarly: false,
  });
const states = (rungs: readonly BucketRung[]): string[] => rungs.map(({ id, state }) => `${id} ${state}`);
const ALL = ['write', 'head', 'read', 'acl', 'cors', 'list', 'parts', 'delete'].map((id) => `${id} passed`);
/** What the last step found, and what to do. */
const failure = (rungs: readonly BucketRung[]): string => {
  const last = rungs.at(-1);
  expect(last?.state).toBe('failed');
  return `${last?.title}: ${last?.seen}. ${last?.next}`;
};

describe.sequential('a bucket on a real S3 server', () => {
  test('public by an ACL on each object; an upload in parts has it too', async () => {
    expect(states(await look())).toEqual(ALL);
  });

  test('public by its policy', async () => {
    expect(states(await look({ name: 'policy', acl: 'none' }))).toEqual(ALL);
    expect(states(await look({ name: 'no-acl', acl: 'none' }))).toEqual(ALL);
  });

  test('it keeps nothing of the tests', async () => {
    for (const name of ['media', 'policy']) {
      expect(await call('GET', `/${name}`)).not.toContain('<Contents>');
      expect(await call('GET', `/${name}?uploads=`)).not.toContain('<Upload>');
    }
  });

  test('warnings: no CORS rule, a public list', async () => {
    const rungs = await look({ name: 'listed' });
    expect(rungs.filter(({ state }) => state === 'warning').map(({ seen }) => seen)).toEqual([
      expect.stringContaining('no header Access-Control-Allow-Origin'),
      `the list of all files is public at ${endpoint}/listed/`,
    ]);
    expect(rungs.at(-1)).toMatchObject({ id: 'delete', state: 'passed' });
  });

  test.each<[string, Partial<Bucket>, string, RegExp]>([
    ['a wrong secret key', {}, 'wrong', /^writing: the secret key does not belong .*SignatureDoesNotMatch/],
    ['an unknown key', { accessKey: 'AKIDNONE' }, SECRET, /^writing: there is no access key AKIDNONE/],
    ['no such bucket', { name: 'nothing' }, SECRET, /^writing: there is no bucket nothing .NoSuchBucket/],
    ['an ACL refused, and public', { name: 'no-acl' }, SECRET, /ACL public-read is refused .AccessDenied.; one without an ACL is accepted, and it is public\. Set acl to none; or/],
    ['an ACL refused, and closed', { name: 'closed' }, SECRET, /accepted, and it is not public\. Set acl to none and make the bucket readable/],
    ['not public without an ACL', { acl: 'none' }, SECRET, /^reading anonymously: .*answered 403\. The bucket is not public; with the ACL public-read the object is\. Set acl to public-read/],
    ['deletion refused', { name: 'kept' }, SECRET, /^deleting: the key may not do this .AccessDenied/],
    ['the bucket’s name before the host', { endpoint: 'http://s3.fedi.test:9000', style: 'virtual' }, SECRET, /^writing: media\.s3\.fedi\.test does not exist in the DNS|the DNS did not answer/],
  ])('%s', async (_, more, secret, words) => {
    expect(failure(await look(more, secret))).toMatch(words);
  }); // prettier-ignore

  test('virtual style on a server without a domain: the other style works', async () => {
    const rungs = await tryBucket({
      http: client('127.0.0.212', undefined),
      bucket: {
        endpoint: 'http://s3.fedi.test:9000',
        region: 'us-east-1',
        name: 'media',
        accessKey: KEY,
        alias: undefined,
        acl: 'public-read',
        style: 'virtual',
      },
      secretKey: new Secret(SECRET),
      origin: 'https://social.example.org',
      withParts: false,
      isEarly: false,
    });
    expect(failure(rungs)).toContain('The same works with style path: set style to path.');
  });
});
