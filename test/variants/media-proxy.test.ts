/** The public host of a bucket, served by the site's own Caddy from a real S3 server. */
import { createHash } from 'node:crypto';
// oxlint-disable-next-line no-restricted-imports -- uploads as an app does
import { AwsV4Signer } from 'aws4fetch';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { needImages } from '../support/acme.ts';
import { startGateway } from '../support/gateway.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { bridgeAddress, docker, testSite, tool, wipe } from '../support/site.ts';

const KEY = 'AKIDPROXY';
const SECRET = 'proxy/Secret+of=tests';
const SERVERS = 'test-media-proxy-servers';
const PORT = 9213;
const MEDIA = 'media.fedi.test';

needImages('radosgw');
const site = testSite('media-proxy', 213, 'photos.fedi.test');
wipe(SERVERS);
afterAll(() => {
  site.remove();
  wipe(SERVERS);
});

const host = bridgeAddress();
const endpoint = `http://${host}:${PORT}`;
const env: NodeJS.ProcessEnv = {
  ...site.env,
  ...pixelfedAnswers(site.domain),
  FEDI_PIXELFED_MEDIA: 's3',
  FEDI_PIXELFED_S3_PROVIDER: 'ceph',
  FEDI_PIXELFED_S3_ENDPOINT: endpoint,
  FEDI_PIXELFED_S3_ALIAS: MEDIA,
  FEDI_PIXELFED_S3_PROXY: 'caddy',
  FEDI_PIXELFED_S3_BUCKET: 'media',
  FEDI_PIXELFED_S3_ACCESS_KEY: KEY,
  FEDI_PIXELFED_S3_SECRET_KEY: SECRET,
};

const direct = client(undefined, undefined);
/** A signed request to the S3 server itself. */
async function call(
  method: string,
  path: string,
  body = '',
  more: Record<string, string> = {},
): Promise<void> {
  const { url, headers } = await new AwsV4Signer({
    accessKeyId: KEY,
    secretAccessKey: SECRET,
    service: 's3',
    region: 'us-east-1',
    url: encodeURI(`${endpoint}${path}`),
    method,
    headers: { 'X-Amz-Content-Sha256': createHash('sha256').update(body).digest('hex'), ...more },
  }).sign();
  const reply = await direct(url.href, { method, headers: Object.fromEntries(headers), body });
  expect(reply.status, `${method} ${path}: ${reply.text()}`).toBeLessThan(300);
}
const PUBLIC = { 'X-Amz-Acl': 'public-read' };

beforeAll(async () => {
  await startGateway(SERVERS, `${host}:${PORT}`, KEY, SECRET);
  // Everybody may list it at the S3 server itself.
  await call('PUT', '/media', '', PUBLIC);
  await call('PUT', '/other', '', PUBLIC);
  await call('PUT', '/media/m/a b.png', 'a picture', {
    ...PUBLIC,
    'Content-Type': 'image/png',
    'Cache-Control': 'no-store',
    'X-Amz-Meta-Owner': 'anna',
  });
  await call('PUT', '/media/page.html', '<script>', { ...PUBLIC, 'Content-Type': 'text/html' });
  await call('PUT', '/media/secret.png', 'private');
  await call('PUT', '/other/x.png', 'of another bucket', PUBLIC);
  const run = await site.apply([], { env });
  const failed = run.events.filter(({ event, ok }) => event === 'proof' && ok !== true);
  expect([run.code, run.stderr, failed]).toEqual([0, '', []]);
});

const ask = (path: string, options: RequestOptions = {}): Promise<Reply> =>
  client(site.bind, site.read('trust/root.crt'))(`https://${MEDIA}${path}`, options);

/** The status of a request whose path is sent as it is. */
const raw = (path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({
      host: site.bind,
      port: 443,
      servername: MEDIA,
      ca: site.read('trust/root.crt'),
    });
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', reject);
    socket.on('end', () => resolve(text));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${MEDIA}\r\nConnection: close\r\n\r\n`);
  });

describe.sequential('the public host of a bucket, served by Caddy', () => {
  test('a file, with the headers of an upload, and none of the provider', async () => {
    const reply = await ask('/m/a%20b.png', { headers: { Origin: 'https://elsewhere.example' } });
    expect([reply.status, reply.text()]).toEqual([200, 'a picture']);
    expect(reply.headers).toMatchObject({
      'content-type': 'image/png',
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; form-action 'none'",
      'access-control-allow-origin': '*',
    });
    expect(
      Object.keys(reply.headers).filter((name) => /^x-amz|^x-rgw|^set-cookie|^server$/.test(name)),
    ).toEqual([]);
    const page = await ask('/page.html');
    expect(page.headers['content-security-policy']).toBe("default-src 'none'; form-action 'none'");
  });

  test('HEAD, a part of a file, and an unchanged one', async () => {
    const head = await ask('/m/a%20b.png', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '9', 0]);
    const part = await ask('/m/a%20b.png', { headers: { Range: 'bytes=2-4' } });
    expect([part.status, part.text()]).toEqual([206, 'pic']);
    const same = await ask('/m/a%20b.png', { headers: { 'If-None-Match': String(head.headers['etag']) } });
    expect([same.status, same.headers['cache-control']]).toEqual([
      304,
      'public, max-age=31536000, immutable',
    ]);
  });

  test('the list is public at the S3 server, and cannot be reached by this name', async () => {
    expect((await direct(`${endpoint}/media/`)).text()).toContain('<ListBucketResult');
    for (const path of [
      '/',
      '/?list-type=2',
      '/?prefix=m',
      '//',
      '/m/..',
      '/m/../',
      '/%2e',
      '/%2E%2e/media/',
    ])
      expect([path, await raw(path)]).toEqual([path, expect.stringMatching(/^HTTP\/1\.1 404 /)]);
    const queried = await ask('/m/a%20b.png?acl');
    expect([queried.status, queried.text()]).toEqual([200, 'a picture']);
  });

  test('other buckets cannot be reached, in any spelling', async () => {
    expect((await direct(`${endpoint}/other/x.png`)).text()).toBe('of another bucket');
    for (const path of [
      '/../other/x.png',
      '/m/../../other/x.png',
      '/%2e%2e/other/x.png',
      '/..%2fother/x.png',
      '/..%5cother/x.png',
      '//other/x.png',
      '/other/x.png',
    ])
      expect([path, await raw(path)]).toEqual([path, expect.stringMatching(/^HTTP\/1\.1 404 /)]);
  });

  test('private and missing files, and other methods: refused without words of the provider', async () => {
    for (const path of ['/secret.png', '/nothing.png']) {
      const reply = await ask(path);
      expect([path, reply.status, reply.text()]).toEqual([path, 404, expect.not.stringContaining('<Code>')]);
      expect(reply.headers['cache-control'] ?? '').not.toContain('immutable');
    }
    for (const method of ['PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH'])
      expect([method, (await ask('/m/a%20b.png', { method })).status]).toEqual([method, 405]);
  });

  test('a photo of the app is there; doctor and prove look at the name', async () => {
    const prove = await tool(['prove', '--dir', site.folder, '--json'], { env });
    const storage = prove.events.find(({ id }) => id === 'storage');
    expect(prove.code, prove.stderr).toBe(0);
    expect(String(storage?.['seen'])).toContain(`read anonymously at ${MEDIA}`);
    const doctor = await tool(['doctor', '--dir', site.folder, '--skip-check', 'ports'], { env });
    expect(`${doctor.stdout}${doctor.stderr}`).toMatch(new RegExp(`${MEDIA} until 20`));
  });

  test('an S3 server that is down: an error page, which nobody keeps', async () => {
    docker('stop', '--time=2', `${SERVERS}-s3`);
    const reply = await ask('/m/a%20b.png');
    expect(reply.status).toBe(502);
    expect(reply.headers['cache-control'] ?? '').not.toContain('immutable');
  });
});
