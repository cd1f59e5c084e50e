/** Media of Mastodon, moved into a bucket of a real S3 server and back, with interruptions, uploads and deletions meanwhile. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { png } from '../../wizard/prove/activitypub.ts';
import { client, multipartFile } from '../../wizard/prove/http.ts';
import type { Client } from '../../wizard/prove/http.ts';
import { needImages } from '../support/acme.ts';
import { startGateway } from '../support/gateway.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { sqlIn } from '../support/mastodon-site.ts';
import { bridgeAddress, docker, testSite, tool, wipe } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

const KEY = 'AKIDMOVE';
const SECRET = 'move/Secret+of=tests';
const SERVERS = 'test-media-move-servers';
const PORT = 9192;
const CACHE = 'public, max-age=315576000, immutable';

needImages('rclone', 'radosgw');
const site = testSite('media-move', 192, 'social.fedi.test');
wipe(SERVERS);
afterAll(() => {
  site.remove();
  wipe(SERVERS);
});

const host = bridgeAddress();
const endpoint = `http://${host}:${PORT}`;
const local: NodeJS.ProcessEnv = {
  ...site.env,
  ...mastodonAnswers(site.domain),
  FEDI_IMAGES_RCLONE: 'fedi-setup/rclone:trixie',
};
/** The bucket, as flags. */
const BUCKET = [
  ['endpoint', endpoint],
  ['bucket', 'media'],
  ['alias', 'media.fedi.test'],
  ['access-key', KEY],
].flatMap(([name, value]) => [`--mastodon-s3-${name}`, value as string]);

const outputs: string[] = [];
async function run(argv: readonly string[], options: RunOptions = {}): Promise<Run> {
  const result = await tool([...argv, '--dir', site.folder, '--json'], { env: local, ...options });
  outputs.push(result.stdout, result.stderr);
  return result;
}
const toBucket = (options: RunOptions = {}, ...more: readonly string[]): Promise<Run> =>
  run(['media', 'move', '--to', 's3', ...BUCKET, '--mastodon-s3-secret-key-file', '-', ...more], {
    stdin: `${SECRET}\n`,
    ...options,
  });
const toHost = (options: RunOptions = {}): Promise<Run> => run(['media', 'move', '--to', 'local'], options);
const step = (event: Run['events'][number], id: string, state: string): boolean =>
  event.event === 'step' && event['id'] === id && event['state'] === state;
/** Kills the tool when a step is in that state. */
const killedAt = (id: string, state = 'start'): RunOptions => ({
  onEvent: (event, child) => {
    if (step(event, id, state)) child.kill('SIGKILL');
  },
});
const result = ({ events }: Run): unknown => events.findLast(({ event }) => event === 'media');

/** A command in the container of Mastodon's pages, as its user. */
const inWeb = (script: string): string =>
  docker('exec', site.containers()['mastodon_web'] ?? 'none', 'sh', '-c', script);
const onHost = (path: string): string =>
  docker(
    'run',
    '--rm',
    `--volume=${site.name}_mastodon_system:/media:ro`,
    '--entrypoint=sh',
    'fedi-setup/rclone:trixie',
    '-c',
    `cd /media && if [ -e '${path}' ]; then stat -c '%a %u:%g' '${path}'; fi`,
  );

let http: Client;
let token = '';
const A = png(64, [200, 30, 30]);
const B = png(64, [30, 200, 30]);

/** Uploads a picture by the API. @returns its address */
async function upload(picture: Buffer): Promise<string> {
  const { headers, body } = multipartFile('file', 'a.png', 'image/png', picture);
  const reply = await http(`https://${site.domain}/api/v2/media`, {
    method: 'POST',
    headers: { ...headers, Authorization: `Bearer ${token}` },
    body,
  });
  expect(reply.status, reply.text()).toBe(200);
  return reply.json<{ url: string }>().url;
}
/** What an anonymous visitor sees. */
async function seen(url: string): Promise<unknown[]> {
  const { status, headers, body } = await http(url);
  return [
    status,
    createHash('md5').update(body).digest('hex'),
    headers['content-type'],
    headers['cache-control'],
  ];
}
const md5 = (data: Buffer): string => createHash('md5').update(data).digest('hex');
const pathOf = (url: string): string => url.replace(/^https:\/\/[^/]+\/(system\/)?/, '');
const atBucket = (path: string): string => `https://media.fedi.test/${path}`;
const atHost = (path: string): string => `https://${site.domain}/system/${path}`;
/** Status of an object for anonymous clients, at the S3 server itself. */
const status = async (path: string): Promise<number> => (await fetch(`${endpoint}/media/${path}`)).status;

let first = '';
let during = '';
let gone = '';
let hidden = '';

beforeAll(async () => {
  await startGateway(SERVERS, `${host}:${PORT}`, KEY, SECRET);
  docker(
    'run',
    '--rm',
    ...Object.entries({
      TYPE: 's3',
      PROVIDER: 'Ceph',
      ACCESS_KEY_ID: KEY,
      SECRET_ACCESS_KEY: SECRET,
      ENDPOINT: endpoint,
    }).map(([name, value]) => `--env=RCLONE_CONFIG_B_${name}=${value}`),
    'fedi-setup/rclone:trixie',
    '--config=',
    'mkdir',
    'b:media',
  );
  mkdirSync(join(site.folder, 'caddy/custom'), { recursive: true });
  // The provider's own domain for the bucket.
  writeFileSync(
    join(site.folder, 'caddy/custom/provider.caddy'),
    `https://media.fedi.test {
	import tls_site
	header Access-Control-Allow-Origin *
	rewrite * /media{uri}
	reverse_proxy ${host}:${PORT}
}
`,
  );
  writeFileSync(
    join(site.folder, 'compose.override.yaml'),
    'services: { caddy: { networks: { mastodon_front: { aliases: [media.fedi.test] } } } }\n',
  );
  const made = await site.apply([], { env: local });
  const failed = made.events.filter(({ event, ok }) => event === 'proof' && ok !== true);
  expect([made.code, made.stderr, failed]).toEqual([0, '', []]);
  http = client(site.bind, site.read('trust/root.crt'));
  sqlIn(
    site,
    `insert into oauth_access_tokens (token, scopes, created_at, resource_owner_id)
     select 'token-of-the-test', 'read write', now(), users.id from users limit 1`,
  );
  token = 'token-of-the-test';
  first = await upload(A);
  gone = await upload(png(64, [30, 30, 200]));
  hidden = await upload(png(64, [90, 30, 200]));
  // As Mastodon does when it suspends an account.
  const id = /\/files\/([\d/]+)\/original/.exec(hidden)?.[1]?.replaceAll('/', '') ?? '';
  sqlIn(
    site,
    `with one as (insert into accounts (username, suspended_at, created_at, updated_at) values ('spammer', now(), now(), now()) returning id)
     update media_attachments set account_id = one.id from one where media_attachments.id = ${id}`,
  );
  inWeb(`chmod 600 'public/system/${pathOf(hidden)}'
    mkdir -p public/system/cache/accounts public/system/backups/dumps
    for i in $(seq 1 60); do head -c 20000 /dev/urandom >public/system/cache/accounts/$i.jpg; done
    echo archive >public/system/backups/dumps/archive.zip
    echo '<svg/>' >public/system/cache/accounts/video.mp4`);
});

describe.sequential('into a bucket', () => {
  test('bad input changes nothing', async () => {
    const files = (): string[] => [site.read('fedi.yaml'), site.read('.fedi/manifest.json')];
    const before = files();
    const attempts: [Promise<Run>, number, RegExp][] = [
      [run(['media', 'move']), 2, /Where should the media be\?/],
      [run(['media', 'move', '--to', 'moon']), 2, /--to must be s3 or local, not moon/],
      [run(['media', 'away']), 2, /There is no action away/],
      [run(['media', 'move', '--to', 's3', '--app', 'snac']), 2, /This site has no app snac/],
      [run(['media', 'move', '--to', 's3']), 2, /s3-bucket/],
      [toBucket({ stdin: 'wrong\n' }), 2, /the secret key does not belong to this access key/],
      [toBucket({}, '--mastodon-s3-bucket', 'none'), 2, /there is no bucket none/],
      [toBucket({}, '--mastodon-s3-endpoint', `http://${host}:9`), 2, /nothing listens/],
    ];
    for (const [attempt, code, words] of attempts) {
      const { code: got, stderr } = await attempt;
      expect([got, stderr]).toEqual([code, expect.stringMatching(words)]);
    }
    const same = await toHost();
    expect([same.code, same.stderr]).toEqual([0, '']);
    const old = await run(['media', 'remove-old', '--confirm', 'mastodon']);
    expect([old.code, old.stderr]).toEqual([0, '']);
    expect(files()).toEqual(before);
  });

  test('a dry run says how much it is', async () => {
    const dry = await toBucket({}, '--dry-run');
    expect([dry.code, dry.stderr]).toEqual([0, '']);
    expect(result(dry)).toMatchObject({ app: 'mastodon', to: 's3', state: 'plan', files: 65 });
    expect(docker('volume', 'ls', '--quiet', `--filter=name=${site.name}_media`)).toBe('');
  });

  test('killed while it copies: the site works, other runs too, and the next run continues', async () => {
    const killed = await toBucket(killedAt('media.mastodon.check'));
    expect(killed.signal).toBe('SIGKILL');
    expect((await seen(first))[0]).toBe(200);
    const doctor = await tool(['doctor', '--dir', site.folder], { env: local });
    expect(doctor.stdout + doctor.stderr).toMatch(
      /The move of Mastodon’s media to the bucket media .* is not complete/,
    );
    const unchanged = await site.apply([], { env: local });
    expect([unchanged.code, unchanged.stderr]).toEqual([0, '']);
  });

  test('killed while the app is stopped: other runs are refused, and the next run completes it', async () => {
    let second: Promise<Run> | undefined;
    let uploaded: Promise<string> | undefined;
    const killed = await toBucket({
      onEvent: (event, child) => {
        if (step(event, 'media.mastodon.check', 'start')) {
          second ??= toBucket();
          uploaded ??= upload(B);
          inWeb(`rm 'public/system/${pathOf(gone)}'`);
        }
        if (step(event, 'media.mastodon.end', 'start')) child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    during = (await uploaded) ?? '';
    expect((await second)?.code).toBe(6);
    const refused = await site.apply([], { env: local });
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('media move --to s3 --app mastodon'),
    ]);
    const doctor = await tool(['doctor', '--dir', site.folder], { env: local });
    expect(doctor.stdout + doctor.stderr).toContain('was interrupted at its end');

    const moved = await toBucket();
    const failed = moved.events.filter(({ event, ok }) => event === 'proof' && ok !== true);
    expect([moved.code, moved.stderr, failed]).toEqual([0, '', []]);
    expect(result(moved)).toMatchObject({ state: 'moved', files: 65 });
    expect(site.read('fedi.yaml')).toMatch(/media: s3/);
  });

  test('old files have the same bytes at their public address, with type and Cache-Control', async () => {
    expect(await seen(atBucket(pathOf(first)))).toEqual([200, md5(A), 'image/png', CACHE]);
    expect(await seen(atBucket(pathOf(during)))).toEqual([200, md5(B), 'image/png', CACHE]);
    const [, , type] = await seen(atBucket('cache/accounts/video.mp4'));
    expect(type).toBe('video/mp4');
    // The old address still works.
    expect((await seen(first))[0]).toBe(200);
  });

  test('what nobody may see is private there; what was deleted meanwhile is not there', async () => {
    expect(await status(pathOf(first))).toBe(200);
    expect(await status(pathOf(hidden))).toBe(403);
    expect(await status('backups/dumps/archive.zip')).toBe(403);
    expect(await status(pathOf(gone))).not.toBe(200);
    expect(await status('.fedi-setup.json')).not.toBe(200);
  });

  test('again: nothing to move; doctor names the old copy', async () => {
    const again = await run(['media', 'move', '--to', 's3']);
    expect([again.code, again.stderr, result(again)]).toEqual([0, '', undefined]);
    const doctor = await tool(['doctor', '--dir', site.folder], { env: local });
    expect(doctor.stdout + doctor.stderr).toContain('fedi-setup media remove-old --app mastodon');
  });
});

describe.sequential('back to this host', () => {
  let later = '';
  test('killed after the change: completed by the next run', async () => {
    later = await upload(png(32, [1, 2, 3]));
    expect(later).toContain('https://media.fedi.test/');
    const killed = await toHost(killedAt('up', 'done'));
    expect(killed.signal).toBe('SIGKILL');
    const back = await toHost();
    const failed = back.events.filter(({ event, ok }) => event === 'proof' && ok !== true);
    expect([back.code, back.stderr, failed]).toEqual([0, '', []]);
    expect(site.read('fedi.yaml')).toMatch(/media: local/);
  });

  test('all files are served from here; those of suspended accounts have the mode that Mastodon gives them', async () => {
    for (const url of [first, during, atHost(pathOf(later))]) expect((await seen(url))[0]).toBe(200);
    expect((await seen(first))[1]).toBe(md5(A));
    expect(onHost(pathOf(later))).toBe('644 991:991');
    expect(onHost(pathOf(hidden))).toBe('600 991:991');
    // Mastodon may write and delete there.
    expect(new URL(await upload(A)).pathname).toMatch(/^\/system\//);
  });

  test('the old copy is removed only on request', async () => {
    expect(await status(pathOf(later))).toBe(200);
    const refused = await run(['media', 'remove-old']);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('was not confirmed')]);
    const removed = await run(['media', 'remove-old', '--confirm', 'mastodon']);
    expect([removed.code, removed.stderr]).toEqual([0, '']);
    expect(await status(pathOf(later))).not.toBe(200);
    expect((await seen(first))[0]).toBe(200);
    expect(docker('volume', 'ls', '--quiet', `--filter=name=${site.name}_media`)).toBe('');
    expect(outputs.join('\n')).not.toContain(SECRET);
  });
});
