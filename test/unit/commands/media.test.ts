/** `media move` and `media remove-old`: what is refused before anything happens, and the record of a move. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { thisProcess } from '../../../wizard/apply/runlock.ts';
import { refuseUnfinished } from '../../../wizard/apply/unfinished.ts';
import { main } from '../../../wizard/cli/main.ts';
import { keepMedia, readMediaRecord } from '../../../wizard/media-record.ts';
import type { MediaMove, OldMedia } from '../../../wizard/media-record.ts';
import type { Problem } from '../../../wizard/problem.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { OK } from '../../support/fake-engine.ts';
import { captureOutput } from '../../support/output.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

let calls: string[] = [];
let folder = '';
const note = (name: string) => (): Promise<never> => {
  calls.push(name);
  return Promise.reject(new Error(`unexpected ${name}`));
};

vi.mock('../../../wizard/docker/docker.ts', async () => ({
  connect: () =>
    Promise.resolve({
      info: async () => (await import('../../support/checks.ts')).INFO,
      listed: () => Promise.resolve([]),
      containers: () => Promise.resolve([]),
      run: note('run'),
      compose: (_folder: string, argv: readonly string[]) =>
        argv.includes('down') ? Promise.resolve(OK) : note('compose')(),
      volumes: () => Promise.resolve([]),
      removeVolumes: () => Promise.resolve(),
      removeUnused: () => Promise.resolve(),
      removeNetworks: () => Promise.resolve(),
      volume: () => Promise.resolve(undefined),
      removeVolume: note('removeVolume'),
    }),
}));

const MASTODON = 'mastodon: { domain: b.example.org, admin: anna, email: anna@example.org }';
const S3 = `mastodon: { domain: b.example.org, admin: anna, email: anna@example.org, media: s3, s3: { endpoint: 'https://s3.example.org', bucket: media, access-key: KEY } }`;
const SNAC = 'snac: { domain: a.example.org, admin: anna, email: anna@example.org }';
const PIXELFED = 'pixelfed: { domain: c.example.org, admin: anna, email: anna@example.org }';
const BUCKET = {
  endpoint: 'https://s3.example.org',
  region: 'us-east-1',
  name: 'media',
  accessKey: 'KEY',
  alias: undefined,
  acl: 'public-read',
  style: 'path',
} as const;

/** A site that was set up with these apps. */
function site(...apps: readonly string[]): void {
  const text = `apps: { ${apps.join(', ')} }\n`;
  writeTree(folder, {
    'fedi.yaml': text,
    'compose.yaml': 'services: {}\n',
    '.fedi/manifest.json': JSON.stringify({ generation: 1, files: {} }),
    '.fedi/generations/0001/fedi.yaml': text,
    '.fedi/generations/0001/images.lock.yaml': '{}\n',
  });
}
const output = captureOutput();
beforeEach(() => {
  calls = [];
  folder = tempFolder();
});
const run = (...argv: string[]): Promise<number> => main(['media', ...argv, '--dir', folder]);
/** A move whose process has ended. */
const MOVE: MediaMove = {
  to: 's3',
  at: '2026-11-30T06:00:00.000Z',
  owner: { pid: 1, boot: 'earlier', start: '0' } as unknown as MediaMove['owner'],
  bucket: BUCKET,
  phase: 'copying',
};
const OLD: OldMedia = { place: 'local', bucket: BUCKET, at: MOVE.at, files: 3, bytes: 3_000_000 };

describe('refused', () => {
  test.each<[string, readonly string[], readonly string[], RegExp]>([
    ['no action', [MASTODON], [], /What should it do\?/],
    ['no place', [MASTODON], ['move'], /Where should the media be\?/],
    ['two places', [MASTODON], ['move', '--to', 's3,local'], /not s3,local/],
    ['an app without buckets', [SNAC], ['move', '--to', 's3'], /snac cannot store its media in a bucket\./],
    [
      'an app that cannot go back',
      [PIXELFED],
      ['move', '--to', 'local'],
      /Pixelfed stores with each photo[\s\S]*Keep the bucket/,
    ],
    [
      'an app that the site lacks',
      [MASTODON],
      ['move', '--to', 's3', '--app', 'mastodont'],
      /Did you mean mastodon\?/,
    ],
    ['two apps', [MASTODON, SNAC], ['move', '--to', 's3', '--app', 'snac,mastodon'], /--app names 2 apps/],
    ['a bucket without its name', [MASTODON], ['move', '--to', 's3'], /--mastodon-s3-bucket/],
    [
      'an answer of a bucket, to this host',
      [S3],
      ['move', '--to', 'local', '--s3-bucket', 'other'],
      /--s3-bucket does not apply to this site/,
    ],
    ['old copies of two apps', [SNAC, PIXELFED], ['remove-old'], /Which app\?/],
  ])('%s', async (_, apps, argv, words) => {
    site(...apps);
    expect(await run(...argv)).toBe(EXIT.USAGE);
    expect(output.text).toMatch(words);
    expect(calls).toEqual([]);
  });

  test('a site that was not set up', async () => {
    writeTree(folder, { 'fedi.yaml': `apps: { ${MASTODON} }\n` });
    expect(await run('move', '--to', 's3')).toBe(EXIT.USAGE);
    expect(output.text).toContain('has not been set up yet');
  });

  test('while another process moves them', async () => {
    site(MASTODON);
    await keepMedia(folder, 'mastodon', { move: { ...MOVE, owner: await thisProcess() } });
    expect(await run('move', '--to', 's3')).toBe(EXIT.LOCKED);
  });

  test('to remove the copy while a move to there is not complete', async () => {
    site(S3);
    await keepMedia(folder, 'mastodon', { move: { ...MOVE, to: 'local' }, old: OLD });
    expect(await run('remove-old', '--confirm', 'mastodon')).toBe(EXIT.REFUSED);
    expect(output.text).toContain('`fedi-setup media move --to local --app mastodon`');
  });

  test('to remove the copy that the app uses again', async () => {
    site(MASTODON);
    await keepMedia(folder, 'mastodon', { old: OLD });
    expect(await run('remove-old', '--confirm', 'mastodon')).toBe(EXIT.REFUSED);
    expect(calls).toEqual([]);
  });

  test('to remove the copy without a confirmation', async () => {
    site(S3);
    await keepMedia(folder, 'mastodon', { old: OLD });
    expect(await run('remove-old', '--yes')).toBe(EXIT.REFUSED);
    expect(output.text).toMatch(/deletes the old copy of Mastodon’s media on this host: 3 files, 3 MB/);
    expect(calls).toEqual([]);
  });
});

describe('nothing to do', () => {
  test.each<[string, string, readonly string[]]>([
    ['here already', MASTODON, ['move', '--to', 'local']],
    ['no old copy', MASTODON, ['remove-old']],
  ])('%s', async (_, app, argv) => {
    site(app);
    expect(await run(...argv)).toBe(EXIT.OK);
    expect(output.text).toMatch(/Nothing to (move|remove)/);
    expect(calls).toEqual([]);
  });

  test('the other way while it copies cancels it', async () => {
    site(MASTODON);
    await keepMedia(folder, 'mastodon', { move: MOVE });
    expect(await run('move', '--to', 'local')).toBe(EXIT.OK);
    expect(output.text).toMatch(/The move to the bucket media at s3\.example\.org is cancelled/);
    expect(await readMediaRecord(folder)).toEqual({ moves: {}, old: {} });
  });
});

describe('the record', () => {
  beforeEach(() => site(MASTODON));

  test('a move and an old copy are independent, and those of other apps stay', async () => {
    await keepMedia(folder, 'mastodon', { move: MOVE });
    await keepMedia(folder, 'other', { old: OLD });
    await keepMedia(folder, 'mastodon', { move: { ...MOVE, phase: 'switched' } });
    expect(await readMediaRecord(folder)).toEqual({
      moves: { mastodon: { ...MOVE, phase: 'switched' } },
      old: { other: OLD },
    });
    await keepMedia(folder, 'mastodon', { move: undefined, old: OLD });
    expect(await readMediaRecord(folder)).toEqual({ moves: {}, old: { other: OLD, mastodon: OLD } });
  });

  const refusal = (byMedia?: 'media'): Promise<Problem | undefined> =>
    refuseUnfinished(folder, byMedia).then(
      () => undefined,
      (error: unknown) => error as Problem,
    );
  test('other runs are refused only while the app may be stopped', async () => {
    for (const phase of ['copying', 'switched'] as const) {
      await keepMedia(folder, 'mastodon', { move: { ...MOVE, phase } });
      expect(await refusal()).toBeUndefined();
    }
    await keepMedia(folder, 'mastodon', { move: { ...MOVE, phase: 'switching' } });
    const problem = await refusal();
    expect([problem?.exit, problem?.next]).toEqual([
      EXIT.REFUSED,
      '`fedi-setup media move --to s3 --app mastodon` completes it.',
    ]);
    expect(await refusal('media')).toBeUndefined();
    await keepMedia(folder, 'mastodon', {
      move: { ...MOVE, phase: 'switching', owner: await thisProcess() },
    });
    expect((await refusal())?.exit).toBe(EXIT.LOCKED);
  });
});

test('the end of the site names the bucket with an old copy', async () => {
  site(MASTODON);
  await keepMedia(folder, 'mastodon', { old: { ...OLD, place: 's3' } });
  const code = await main(['uninstall', '--data', '--confirm', 'fedi', '--dir', folder]);
  expect([code, output.text]).toEqual([EXIT.OK, expect.stringContaining('Data stay in the bucket media.')]);
});
