/** Mastodon with its media in a bucket: the real SDK uploads to a server that checks signatures; every refusal has its own message. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import type { S3Config, S3Line } from '../images/s3/server.mjs';
import { needImages } from '../support/acme.ts';
import { isOfficial, mastodonAnswers } from '../support/mastodon-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

/** A change is a restart of the real Rails, twice; a busy machine takes minutes for each. */
const PATIENCE_MS = 30 * 60_000;

const SECRET = 'kN2/of+the=bucket';
const CONFIG: S3Config = {
  region: 'eu-test-1',
  keys: { AKIATEST: { secret: SECRET } },
  buckets: {
    // Each object has a public ACL; checksums of newer SDKs are refused, as by older servers.
    media: { cors: '*', checksums: false },
    // Public by a policy, no ACLs.
    policy: { cors: '*', acl: false, public: true },
  },
};

needImages('s3');
const site = testSite('s3', 76, 'social.fedi.test');
const env: NodeJS.ProcessEnv = {
  ...site.env,
  ...mastodonAnswers(site.domain),
  FEDI_MASTODON_MEDIA: 's3',
  FEDI_MASTODON_S3_ENDPOINT: 'https://objects.fedi.test',
  FEDI_MASTODON_S3_REGION: 'eu-test-1',
  FEDI_MASTODON_S3_BUCKET: 'media',
  FEDI_MASTODON_S3_ACCESS_KEY: 'AKIATEST',
  FEDI_MASTODON_S3_SECRET_KEY: SECRET,
};
afterAll(() => site.remove());

/** The provider: behind the site's own ingress, under names that the site's containers and the receipt resolve to it. */
function addProvider(): void {
  mkdirSync(join(site.folder, 'caddy/custom'), { recursive: true });
  writeFileSync(
    join(site.folder, 'compose.override.yaml'),
    `services:
  s3:
    image: fedi-setup/s3:trixie
    pull_policy: never
    environment: { S3_CONFIG: '${JSON.stringify(CONFIG)}' }
    networks: { mastodon_front: {} }
  caddy: { networks: { mastodon_front: { aliases: [objects.fedi.test, media.fedi.test] } } }
`,
  );
  writeFileSync(
    join(site.folder, 'caddy/custom/provider.caddy'),
    `https://objects.fedi.test {
	import tls_site
	reverse_proxy s3:9000
}
https://media.fedi.test {
	import tls_site
	rewrite * /policy{uri}
	reverse_proxy s3:9000
}
`,
  );
}

/** Requests to the provider since the last call. */
let readLines = 0;
function newRequests(): S3Line[] {
  const lines = docker('logs', `${site.name}-s3-1`).split('\n').filter(Boolean);
  const fresh = lines.slice(readLines).map((line) => JSON.parse(line) as S3Line);
  readLines = lines.length;
  return fresh;
}

const proof = (run: Run, id: string): Readonly<Record<string, unknown>> =>
  run.events.find((event) => event.event === 'proof' && event['id'] === id) ?? {};
const failed = (run: Run): unknown[] =>
  run.events
    .filter((event) => event.event === 'proof' && event['ok'] !== true)
    .map(({ id, seen }) => [id, seen]);
const variables = (): string[] =>
  site
    .read('env/mastodon.env')
    .split('\n')
    .filter((line) => /^(S3|AWS)_/.test(line));

describe.sequential('media in a bucket', { timeout: PATIENCE_MS }, () => {
  test('the first run: a proven bucket with a picture', async () => {
    addProvider();
    const run = await site.apply([], { env });
    expect(proof(run, 'storage')).toMatchObject({ ok: true });
    expect(String(proof(run, 'storage')['seen'])).toContain('objects.fedi.test');
    expect(variables().filter((line) => /=('')?$/.test(line))).toEqual([]);
    expect(site.read('fedi.yaml')).not.toContain(SECRET);
    if (!isOfficial) return;
    expect(failed(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(String(proof(run, 'upload')['seen'])).toContain(
      'https://objects.fedi.test/media/media_attachments/',
    );
    // With Mastodon's own SDK, not only with our proof.
    const uploads = newRequests().filter(
      ({ method, path }) => method === 'PUT' && path.includes('/media_attachments/'),
    );
    expect(uploads.length).toBeGreaterThan(1);
    for (const { status, acl, key, sums } of uploads)
      expect({ status, acl, key, sums }).toEqual({
        status: 200,
        acl: 'public-read',
        key: 'AKIATEST',
        sums: [],
      });
  });

  test.skipIf(!isOfficial)(
    'a long sound file: uploaded in parts, read and compressed by Sidekiq, deleted',
    () => {
      // Like an upload by the API: stored as received, then processed by Sidekiq.
      const script = `
path = '/tmp/long.wav'
system('ffmpeg', '-y', '-loglevel', 'error', '-f', 'lavfi', '-i', 'sine=frequency=440:duration=190', '-ar', '44100', '-ac', '1', path, exception: true)
media = File.open(path) { |file| Account.find_local!('anna').media_attachments.create!(delay_processing: true, file: file) }
sleep 0.25 until %w(complete failed).include?(media.reload.processing)
puts JSON.generate(size: File.size(path), state: media.processing, url: media.file.url)
media.destroy!
`;
      newRequests();
      const { stdout, stderr, status } = spawnSync(
        'docker',
        ['exec', '--interactive', `${site.name}-mastodon_web-1`, 'bundle', 'exec', 'rails', 'runner', '-'],
        { input: script, encoding: 'utf8' },
      );
      expect(status, stderr).toBe(0);
      const line = stdout.split('\n').find((one) => one.startsWith('{"size"')) ?? '';
      expect(JSON.parse(line)).toMatchObject({
        state: 'complete',
        url: expect.stringMatching(/^https:\/\/objects\.fedi\.test\/media\/.*\.mp3$/),
      });
      const lines = newRequests();
      expect(lines.filter(({ code }) => code !== undefined)).toEqual([]);
      const whole = (method: string): S3Line[] =>
        lines.filter((one) => one.method === method && /\/original\/[^?]+$/.test(one.path));
      expect(lines.filter(({ path }) => path.includes('partNumber=')).length).toBeGreaterThan(2);
      // The first is uploaded in parts; Sidekiq reads it and uploads the smaller one.
      expect(whole('GET').length).toBeGreaterThan(0);
      expect(whole('PUT').length).toBeGreaterThan(0);
      expect(whole('DELETE').length).toBeGreaterThan(0);
    },
  );

  test.skipIf(!isOfficial)('why checksums are disabled in the SDK', () => {
    const put = (bucket: string, mode: string): string => {
      const script = `
require 'aws-sdk-s3'
begin
  Aws::S3::Client.new(endpoint: ENV['S3_ENDPOINT'], region: ENV['S3_REGION'], force_path_style: true)
    .put_object(bucket: '${bucket}', key: 'sum.txt', body: StringIO.new('hello' * 10_000))
  puts 'stored'
rescue Aws::S3::Errors::ServiceError => e
  puts e.class
end
`;
      const { stdout } = spawnSync(
        'docker',
        `exec --interactive --env AWS_REQUEST_CHECKSUM_CALCULATION=${mode} ${site.name}-mastodon_web-1 bundle exec ruby -`.split(
          ' ',
        ),
        { input: script, encoding: 'utf8' },
      );
      return stdout.trim();
    };
    newRequests();
    expect(put('policy', 'when_supported')).toBe('stored');
    expect(put('media', 'when_supported')).toBe('Aws::S3::Errors::NotImplemented');
    expect(put('media', 'when_required')).toBe('stored');
    const lines = newRequests();
    expect(lines.at(0)).toMatchObject({
      status: 200,
      sums: expect.arrayContaining(['x-amz-checksum-crc32']),
    });
    expect(lines.at(1)).toMatchObject({
      status: 501,
      sums: expect.arrayContaining(['x-amz-checksum-crc32']),
    });
    expect(lines.at(-1)).toMatchObject({ status: 200, sums: [] });
  });

  test('another bucket, public by policy, with its own domain: recreates only services that use it', async () => {
    const before = site.containers();
    newRequests();
    const run = await site.apply([], {
      env: {
        ...env,
        FEDI_MASTODON_S3_BUCKET: 'policy',
        FEDI_MASTODON_S3_ACL: 'none',
        FEDI_MASTODON_S3_ALIAS: 'media.fedi.test',
      },
    });
    expect(proof(run, 'storage')).toMatchObject({ ok: true });
    expect(variables()).toContain("S3_PERMISSION=''");
    const after = site.containers();
    const renewed = Object.keys(before).filter((service) => before[service] !== after[service]);
    expect(renewed).toEqual(expect.arrayContaining(['mastodon_sidekiq', 'mastodon_web']));
    for (const service of ['mastodon_db', 'mastodon_valkey', 'caddy', 's3', 'mastodon_assets'])
      expect(renewed).not.toContain(service);
    // Earlier uploads on this host are still served from here.
    expect(site.read('compose.yaml')).toContain('mastodon_system:/opt/mastodon/public/system');
    if (!isOfficial) return;
    expect(failed(run)).toEqual([]);
    expect(String(proof(run, 'upload')['seen'])).toContain('https://media.fedi.test/media_attachments/');
    const page = await client(site.bind, site.read('trust/root.crt'))(`https://${site.domain}/about`);
    expect(String(page.headers['content-security-policy'])).toContain('https://media.fedi.test');
    for (const { acl, status } of newRequests().filter(({ method }) => method === 'PUT'))
      expect({ acl, status }).toEqual({ acl: undefined, status: 200 });
  });

  test('reports a wrong secret key, and writes nothing', async () => {
    const before = [site.read('.fedi/manifest.json'), site.read('secrets.json'), site.containers()];
    const run = await site.apply(['--mastodon-s3-secret-key-file', '-'], { env, stdin: 'not-the-secret\n' });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('the secret key does not belong to this access key');
    expect(run.stderr).toContain('SignatureDoesNotMatch');
    expect([site.read('.fedi/manifest.json'), site.read('secrets.json'), site.containers()]).toEqual(before);
    expect(`${run.stdout}${run.stderr}`).not.toContain('not-the-secret');
  });

  test('prove reports a provider that disappeared', async () => {
    docker('stop', '--time', '1', `${site.name}-s3-1`);
    const run = await tool(['prove', '--dir', site.folder, '--json'], { env });
    expect(run.code).toBe(5);
    expect(proof(run, 'storage')).toMatchObject({ ok: false });
  });
});
