/** What `media move` does: continue, start, complete, or refuse. Pure. */
import { bucketHost } from '../config/bucket.ts';
import type { Bucket } from '../config/bucket.ts';
import { bucketText, placeText } from '../media-record.ts';
import type { MediaMove, MediaPlace, OldMedia } from '../media-record.ts';
import { EXIT, Problem } from '../problem.ts';

export interface MediaSituation {
  readonly app: string;
  /** Product name. */
  readonly name: string;
  readonly to: MediaPlace;
  /** The bucket that the running site uses; undefined: media are on this host. */
  readonly running: Bucket | undefined;
  /** The bucket in the answers; undefined: they give none. */
  readonly wanted: Bucket | undefined;
  readonly move: MediaMove | undefined;
  readonly old: OldMedia | undefined;
}

export type MediaDecision =
  /** Copy, switch, prove. `ours`: files that only the target has are from an earlier move. */
  | { readonly kind: 'move'; readonly bucket: Bucket; readonly ours: boolean }
  /** The site uses the bucket already; this host may have older files. */
  | { readonly kind: 'fill'; readonly bucket: Bucket }
  /** Forget a move that has not switched yet. */
  | { readonly kind: 'cancel'; readonly move: MediaMove }
  | { readonly kind: 'already' };

const isSamePlace = (one: Bucket, other: Bucket): boolean =>
  one.name === other.name && bucketHost(one) === bucketHost(other);

/** Throws a Problem if the move is not possible. */
export function decideMove(situation: MediaSituation): MediaDecision {
  const { app, name, to, running, wanted, move, old } = situation;
  const now: MediaPlace = running === undefined ? 'local' : 's3';
  if (move !== undefined) {
    if (move.to !== to) {
      if (move.phase === 'copying') return { kind: 'cancel', move };
      throw new Problem(
        EXIT.REFUSED,
        `A move of ${name}’s media to ${placeText(move.to, move.bucket)} is not complete.`,
        {
          means: 'Media are in both places.',
          next: `Complete it: \`fedi-setup media move --to ${move.to} --app ${app}\`. Then move them back.`,
        },
      );
    }
    if (to === 's3' && wanted !== undefined && !isSamePlace(wanted, move.bucket))
      throw new Problem(EXIT.REFUSED, `${name}’s media are being moved to ${bucketText(move.bucket)}.`, {
        means: `The answers name ${bucketText(wanted)}. Nothing was changed.`,
        next: `Continue with the first one, or cancel that move with \`fedi-setup media move --to local --app ${app}\`.`,
      });
    return {
      kind: 'move',
      bucket: to === 's3' && wanted !== undefined ? wanted : move.bucket,
      ours: isOurs(situation, move.bucket),
    };
  }
  if (to === 'local') {
    if (running === undefined) return { kind: 'already' };
    return { kind: 'move', bucket: running, ours: isOurs(situation, running) };
  }
  if (wanted === undefined)
    throw new Problem(EXIT.USAGE, 'There is no bucket in the answers.', {
      means: 'Nothing was changed.',
      next: `Give it as --${app}-s3-… (see docs/guides/s3.md).`,
    });
  if (now === 'local') return { kind: 'move', bucket: wanted, ours: isOurs(situation, wanted) };
  if (running !== undefined && !isSamePlace(running, wanted))
    throw new Problem(EXIT.REFUSED, `${name}’s media are in ${bucketText(running)}.`, {
      means:
        'Media can be moved between this host and a bucket, not from one bucket to another. Nothing was changed.',
      next: `Copy them with your provider’s tools, then change the answers with \`fedi-setup apply\`; or move them to this host first: \`fedi-setup media move --to local --app ${app}\`.`,
    });
  return old === undefined ? { kind: 'fill', bucket: wanted } : { kind: 'already' };
}

/** Whether an earlier move left its copy where this one goes. */
const isOurs = ({ to, old }: MediaSituation, bucket: Bucket): boolean =>
  old !== undefined && old.place === to && (to === 'local' || isSamePlace(old.bucket, bucket));

/** What `plan` of the program prints. */
export interface MediaFigures {
  readonly files: number;
  readonly bytes: number;
  /** Bytes of copies of remote files, part of `bytes`. */
  readonly cached: number;
  readonly lackingFiles: number;
  readonly lackingBytes: number;
  /** Bytes free on this host where the media are. */
  readonly free: number;
}

export function readFigures(stdout: string): MediaFigures {
  const [files = 0, bytes = 0, cached = 0, lackingFiles = 0, lackingBytes = 0, free = 0] = stdout
    .trim()
    .split('\n')
    .map(Number);
  return { files, bytes, cached, lackingFiles, lackingBytes, free };
}

/** Free space that the rest of the site needs. */
const RESERVE = 1024 ** 3;

/** Bytes that are missing on this host; 0: it has enough. */
export const spaceMissing = (to: MediaPlace, { lackingBytes, free }: MediaFigures): number =>
  to === 'local' && lackingBytes > 0 ? Math.max(0, lackingBytes + RESERVE - free) : 0;
