/** Media in a bucket as part of backups: a real S3 server, emptied and filled again from a backup. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
// oxlint-disable-next-line no-restricted-imports -- uploads as an app does
import { AwsV4Signer } from 'aws4fetch';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages, until } from '../support/acme.ts';
import { startGateway } from '../support/gateway.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { bridgeAddress, docker, testSite, tool, wipe } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const KEY = 'AKIDMEDIA';
const SECRET = 'media/Secret+of=tests';
const SERVERS = 'test-bucket-servers';
const PORT = 9118;
const CACHE = 'public, max-age=315576000, immutable';

needImages('restic', 'rclone', 'radosgw');
const site = testSite('backup-bucket', 118, 'photos.fedi.test');
const parent = mkdtempSync(join(tmpdir(), 'fedi-backup-bucket-'));
wipe(SERVERS);
afterAll(() => {
  site.remove();
  wipe(SERVERS);
  rmSync(parent, { recursive: true, force: true });
});

const host = bridgeAddress();
const endpoint = `http://${host}:${PORT}`;
const repository = join(parent, 'repository');

const env: NodeJS.ProcessEnv = {
  ...site.env,
  ...pixelfedAnswers(site.domain),
  FEDI_PIXELFED_MEDIA: 's3',
  FEDI_PIXELFED_S3_ENDPOINT: endpoint,
  FEDI_PIXELFED_S3_ALIAS: 'media.fedi.test',
  FEDI_PIXELFED_S3_BUCKET: 'media',
  FEDI_PIXELFED_S3_ACCESS_KEY: KEY,
  FEDI_PIXELFED_S3_SECRET_KEY: SECRET,
  FEDI_BACKUP_TO: repository,
  FEDI_BACKUP_BUCKETS: 'copy',
  FEDI_IMAGES_RCLONE: 'fedi-setup/rclone:trixie',
};
// On an empty host there are no answers.
const quiet: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('FEDI_'))),
  FEDI_IMAGES_RESTIC: String(site.env['FEDI_IMAGES_RESTIC']),
};
const outputs: string[] = [];
async function run(...argv: readonly string[]): Promise<Run> {
  const result = await tool([...argv, '--dir', site.folder], { env: quiet });
  outputs.push(result.stdout, result.stderr);
  return result;
}

/** Runs rclone with the remote `b:`, apart from fedi-setup. */
const rclone = (...argv: readonly string[]): string =>
  docker(
    'run',
    '--rm',
    ...Object.entries({
      TYPE: 's3',
      PROVIDER: 'Ceph',
      ACCESS_KEY_ID: KEY,
      SECRET_ACCESS_KEY: SECRET,
      ENDPOINT: endpoint,
      ACL: 'public-read',
    }).map(([name, value]) => `--env=RCLONE_CONFIG_B_${name}=${value}`),
    '--entrypoint=sh',
    'fedi-setup/rclone:trixie',
    '-c',
    argv.join(' '),
  );
/** As the SDK of an app does. */
async function put(name: string, text: string): Promise<void> {
  const { url, headers } = await new AwsV4Signer({
    accessKeyId: KEY,
    secretAccessKey: SECRET,
    service: 's3',
    region: 'us-east-1',
    url: encodeURI(`${endpoint}/media/${name}`),
    method: 'PUT',
    headers: {
      'Content-Type': name.endsWith('.png') ? 'image/png' : 'image/webp',
      'Cache-Control': CACHE,
      'X-Amz-Acl': 'public-read',
      'X-Amz-Content-Sha256': createHash('sha256').update(text).digest('hex'),
    },
  }).sign();
  const reply = await fetch(url, { method: 'PUT', headers, body: text });
  expect(reply.status, await reply.text()).toBe(200);
}
const names = (): string[] =>
  rclone('rclone --config= lsf -R --files-only b:media').split('\n').filter(Boolean);
/** An object as an anonymous client gets it. */
const seen = async (name: string): Promise<unknown> => {
  const reply = await fetch(encodeURI(`${endpoint}/media/${name}`));
  return [
    reply.status,
    await reply.text(),
    reply.headers.get('content-type'),
    reply.headers.get('cache-control'),
  ];
};
const PICTURE = 'media_attachments/files/001/original/a b.png';
const OTHER = 'accounts/avatars/1.webp';

beforeAll(async () => {
  await startGateway(SERVERS, `${host}:${PORT}`, KEY, SECRET);
  rclone('rclone --config= mkdir b:media');
  mkdirSync(join(site.folder, 'caddy/custom'), { recursive: true });
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
    'services: { caddy: { networks: { pixelfed_front_lab: { aliases: [media.fedi.test] } } } }\n',
  );
  const first = await site.apply([], { env });
  const failed = first.events.filter(({ event, ok }) => event === 'proof' && ok !== true);
  expect([first.code, first.stderr, failed]).toEqual([0, '', []]);
});

describe.sequential('a bucket in the backups', () => {
  test('the copy is part of the backup, and only new files are downloaded', async () => {
    await put(PICTURE, 'one picture');
    await put(OTHER, 'an avatar');
    const made = await run('backup', '--json');
    expect(made.code, made.stderr).toBe(0);
    const volume = `${site.name}_pixelfed_bucket`;
    const files = (): string =>
      docker(
        'run',
        '--rm',
        `--volume=${volume}:/copy:ro`,
        '--entrypoint=sh',
        'fedi-setup/restic:trixie',
        '-c',
        'cd /copy && find . -type f -printf "%P %C@\\n" | sort',
      );
    const before = files();
    expect(before.split('\n').map((line) => line.replace(/ [\d.]+$/, ''))).toEqual(
      expect.arrayContaining([OTHER, PICTURE]),
    );
    await put('media_attachments/c.png', 'a third');
    const again = await run('backup', '--json');
    expect(again.code, again.stderr).toBe(0);
    for (const line of before.split('\n')) expect(files()).toContain(line);
    expect(files()).toContain('media_attachments/c.png');
    // No service uses the copy, so the Compose file must not contain it.
    expect(site.read('compose.yaml')).not.toContain('pixelfed_bucket');
  });

  test('a drill restores it', async () => {
    const drilled = await run('backup', 'drill');
    expect(drilled.code, drilled.stdout + drilled.stderr).toBe(0);
  });

  test('a bucket that cannot be read: no backup, and the reason', async () => {
    const count = async (): Promise<number> =>
      (await run('backup', 'list', '--json')).events.filter(({ event }) => event === 'snapshot').length;
    const before = await count();
    docker('stop', '--time=2', `${SERVERS}-s3`);
    const failed = await run('backup');
    docker('start', `${SERVERS}-s3`);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/Reading the bucket media failed: .*connect/);
    expect(failed.stderr).toContain('No backup was made.');
    expect(await count()).toBe(before);
    await until('an object in the bucket', async () => {
      const reply = await fetch(`${endpoint}/media/${OTHER}`).catch(() => undefined);
      return reply?.status === 200 || undefined;
    });
  });

  test('an emptied bucket is filled again: the same bytes, types and headers', async () => {
    const [one, other] = [await seen(PICTURE), await seen(OTHER)];
    expect(one).toEqual([200, 'one picture', 'image/png', CACHE]);
    const all = names();
    rclone('rclone --config= delete b:media');
    await put(OTHER, 'overwritten');
    await put('media_attachments/later.png', 'uploaded since');
    const sheet = join(parent, 'sheet.yaml');
    const written = await run('backup', 'sheet', sheet);
    expect(written.code, written.stderr).toBe(0);
    // The custom files of the site directory are in the backup.
    wipe(site.name);
    rmSync(site.folder, { recursive: true });
    const restored = await run('restore', '--password-file', sheet, '--upload-media');
    expect(restored.code, restored.stderr).toBe(0);
    expect([await seen(PICTURE), await seen(OTHER)]).toEqual([one, other]);
    // Nothing is deleted.
    expect(names().toSorted()).toEqual(expect.arrayContaining([...all, 'media_attachments/later.png']));
  });

  test('without the option: the copy is removed, and --upload-media is refused', async () => {
    const changed = await run('apply', '--backup-buckets', 'leave', '--json');
    expect(changed.code, changed.stderr).toBe(0);
    const made = await run('backup', '--json');
    expect(made.code, made.stderr).toBe(0);
    expect(docker('volume', 'ls', '--quiet', `--filter=name=${site.name}_pixelfed_bucket`)).toBe('');
    const refused = await run('restore', '--upload-media', '--confirm', site.name);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('no media of a bucket')]);
    const all = outputs.join('\n');
    expect(all).not.toContain(SECRET);
  });
});
