/** The bucket test before anything is written, against an S3 over TLS whose certificate a private CA issued. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tryBuckets } from '../../../wizard/apply/buckets.ts';
import { proveBucket } from '../../../wizard/prove/s3.ts';
import { client } from '../../../wizard/prove/http.ts';
import type { Progress } from '../../../wizard/progress.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import type { Store } from '../../../wizard/secrets/store.ts';
import { s3 } from '../../images/s3/server.mjs';
import { testCa } from '../../support/acme.ts';
import { configWith } from '../../support/fediverse.ts';
import { problemFrom } from '../../support/problem.ts';

const ca = testCa();
let server: Server;
let endpoint = '';
beforeAll(async () => {
  const { certificate, key } = ca.issue('localhost');
  const provider = s3({
    region: 'eu',
    keys: { AKIA: { secret: 'secret' } },
    buckets: { media: { cors: '*' } },
  });
  server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) =>
    provider.emit('request', request, response),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  endpoint = `https://localhost:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  ca.remove();
});

const progress = new Proxy({}, { get: () => () => undefined }) as Progress;
const attempt = (ownCas: string | undefined): Promise<boolean> => {
  const config = configWith({
    apps: 'mastodon',
    'apps.mastodon.s3.endpoint': endpoint,
    ...(ownCas === undefined ? {} : { 'trust.ca': 'own.pem' }),
  });
  const store = { find: () => new Secret('secret') } as unknown as Store;
  return tryBuckets({ config, store, ownCas, before: {}, secrets: {}, isSkipped: false, progress });
};

test('is accepted by trust.ca, and refused without it, with the option to use', async () => {
  await attempt(ca.certificate);
  const problem = await problemFrom(() => attempt(undefined));
  expect(problem.message).toMatch(/the certificate of localhost:\d+ is not trusted/);
  expect(problem.next).toContain('--trust-ca');
  // Another CA does not help.
  const other = testCa();
  try {
    await expect(attempt(other.certificate)).rejects.toThrow('is not trusted');
  } finally {
    other.remove();
  }
});

test('proofs and doctor trust it for the bucket, and not for the names of the site', async () => {
  const bucket = configWith({ 'apps.mastodon.s3.endpoint': endpoint }).apps.find(
    ({ id }) => id === 'mastodon',
  )?.bucket;
  if (bucket === undefined) throw new Error('no bucket');
  const proven = (names: readonly string[]): Promise<string> =>
    proveBucket({
      http: client(undefined, undefined, names, undefined, undefined, ca.certificate),
      bucket,
      secretKey: new Secret('secret'),
      origin: 'https://mastodon.x.org',
    });
  expect(await proven(['mastodon.x.org'])).toContain('read anonymously');
  await expect(proven(['localhost'])).rejects.toThrow('is not trusted');
});
