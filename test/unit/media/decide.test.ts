/** What `media move` does in each situation. */
import { describe, expect, test } from 'vitest';
import type { Bucket } from '../../../wizard/config/bucket.ts';
import { decideMove, readFigures, spaceMissing } from '../../../wizard/media/decide.ts';
import type { MediaSituation } from '../../../wizard/media/decide.ts';
import type { MediaMove, OldMedia } from '../../../wizard/media-record.ts';
import type { Problem } from '../../../wizard/problem.ts';
import { EXIT } from '../../../wizard/problem.ts';

const BUCKET: Bucket = {
  endpoint: 'https://s3.example.org',
  region: 'auto',
  name: 'media',
  accessKey: 'KEY',
  alias: undefined,
  acl: 'public-read',
  style: 'path',
};
const OTHER: Bucket = { ...BUCKET, name: 'other' };
const MOVE: MediaMove = {
  to: 's3',
  at: '2026-11-30T06:00:00Z',
  owner: { pid: 1, host: 'h', startedAt: '' } as unknown as MediaMove['owner'],
  bucket: BUCKET,
  phase: 'copying',
};
const OLD: OldMedia = { place: 'local', bucket: BUCKET, at: '2026-11-30T06:00:00Z', files: 1, bytes: 1 };

const decide = (more: Partial<MediaSituation>): ReturnType<typeof decideMove> =>
  decideMove({
    app: 'mastodon',
    name: 'Mastodon',
    to: 's3',
    running: undefined,
    wanted: BUCKET,
    move: undefined,
    old: undefined,
    ...more,
  });
function refusal(more: Partial<MediaSituation>): Problem {
  try {
    decide(more);
  } catch (error) {
    return error as Problem;
  }
  throw new Error('it was not refused');
}

describe('what a move does', () => {
  test.each<[string, Partial<MediaSituation>, ReturnType<typeof decideMove>]>([
    ['into a bucket', {}, { kind: 'move', bucket: BUCKET, ours: false }],
    [
      'into the bucket that an earlier move left',
      { old: { ...OLD, place: 's3' } },
      { kind: 'move', bucket: BUCKET, ours: true },
    ],
    [
      'into another bucket than that one',
      { wanted: OTHER, old: { ...OLD, place: 's3' } },
      { kind: 'move', bucket: OTHER, ours: false },
    ],
    [
      'back to this host, where the old copy is',
      { to: 'local', running: BUCKET, wanted: undefined, old: OLD },
      { kind: 'move', bucket: BUCKET, ours: true },
    ],
    [
      'to this host for the first time',
      { to: 'local', running: BUCKET, wanted: undefined },
      { kind: 'move', bucket: BUCKET, ours: false },
    ],
    ['here already', { to: 'local', wanted: undefined }, { kind: 'already' }],
    ['there already, by an earlier move', { running: BUCKET, old: OLD }, { kind: 'already' }],
    ['there already, but changed by `apply`', { running: BUCKET }, { kind: 'fill', bucket: BUCKET }],
    ['interrupted while it copied', { move: MOVE }, { kind: 'move', bucket: BUCKET, ours: false }],
    [
      'interrupted after the switch',
      { move: { ...MOVE, phase: 'switched' }, running: BUCKET },
      { kind: 'move', bucket: BUCKET, ours: false },
    ],
    [
      'interrupted after the switch to this host: the answers have no bucket any more',
      { to: 'local', move: { ...MOVE, to: 'local', phase: 'switched' }, wanted: undefined },
      { kind: 'move', bucket: BUCKET, ours: false },
    ],
    [
      'the other way while it copies',
      { to: 'local', move: MOVE, wanted: undefined },
      { kind: 'cancel', move: MOVE },
    ],
  ])('%s', (_, situation, decision) => {
    expect(decide(situation)).toEqual(decision);
  });

  test.each<[string, Partial<MediaSituation>, number, RegExp]>([
    ['no bucket', { wanted: undefined }, EXIT.USAGE, /no bucket in the answers/],
    [
      'from one bucket to another',
      { running: OTHER },
      EXIT.REFUSED,
      /are in the bucket other at s3\.example\.org/,
    ],
    [
      'another bucket than the one it copies to',
      { move: MOVE, wanted: OTHER },
      EXIT.REFUSED,
      /being moved to the bucket media/,
    ],
    [
      'the other way while the place changes',
      { to: 'local', move: { ...MOVE, phase: 'switching' }, wanted: undefined },
      EXIT.REFUSED,
      /is not complete/,
    ],
  ])('refuses: %s', (_, situation, exit, words) => {
    const { exit: code, message, next } = refusal(situation);
    expect([code, message]).toEqual([exit, expect.stringMatching(words)]);
    expect(next).toBeTruthy();
  });
});

describe('space on this host', () => {
  const figures = readFigures('10\n5000000000\n1000\n8\n4000000000\n4500000000\n');
  test('the figures of the program', () => {
    expect(figures).toEqual({
      files: 10,
      bytes: 5_000_000_000,
      cached: 1000,
      lackingFiles: 8,
      lackingBytes: 4_000_000_000,
      free: 4_500_000_000,
    });
  });
  test('what is missing, with a reserve', () => {
    expect(spaceMissing('local', figures)).toBe(4_000_000_000 + 1024 ** 3 - 4_500_000_000);
    expect(spaceMissing('local', { ...figures, free: 6e9 })).toBe(0);
    // Nothing to copy needs no space.
    expect(spaceMissing('local', { ...figures, lackingBytes: 0, free: 0 })).toBe(0);
    expect(spaceMissing('s3', { ...figures, free: 0 })).toBe(0);
  });
});
