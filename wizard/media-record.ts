/** Media that are being moved between this host and a bucket, and copies that a move left: `.fedi/media.json`. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Owner } from './apply/runlock.ts';
import { writeWhole } from './atomic.ts';
import { bucketHost } from './config/bucket.ts';
import type { Bucket } from './config/bucket.ts';
import { OWN } from './layout.ts';

const FILE = join(OWN, 'media.json');

export const MEDIA_PLACES = ['local', 's3'] as const;
export type MediaPlace = (typeof MEDIA_PLACES)[number];

/** A bucket in words. */
export const bucketText = (bucket: Bucket): string => `the bucket ${bucket.name} at ${bucketHost(bucket)}`;

/** A place in words. */
export const placeText = (place: MediaPlace, bucket: Bucket): string =>
  place === 'local' ? 'this host' : bucketText(bucket);

/** The same with a preposition. */
export const inPlace = (place: MediaPlace, bucket: Bucket): string =>
  place === 'local' ? 'on this host' : `in ${bucketText(bucket)}`;

/** A file with its MD5, as hexadecimal digits. */
export interface MediaSample {
  readonly path: string;
  readonly md5: string;
}

export interface MediaMove {
  readonly to: MediaPlace;
  /** When it was started; ISO 8601. */
  readonly at: string;
  /** The process that runs it. Between its steps it does not hold the run lock. */
  readonly owner: Owner;
  /** The bucket on one of the two sides. */
  readonly bucket: Bucket;
  /**
   * `copying`: the site uses the old place. `switching`: the app may be stopped. `switched`: the site uses the new place, and the
   * old media were not read there yet.
   */
  readonly phase: 'copying' | 'switching' | 'switched';
  /** Since `switching`: what was moved. */
  readonly moved?: {
    readonly files: number;
    readonly bytes: number;
    readonly samples: readonly MediaSample[];
  };
}

/** A copy that a completed move left. */
export interface OldMedia {
  readonly place: MediaPlace;
  readonly bucket: Bucket;
  /** When the site stopped using it; ISO 8601. */
  readonly at: string;
  readonly files: number;
  readonly bytes: number;
}

/** App → its state. */
export interface MediaRecord {
  readonly moves: Readonly<Record<string, MediaMove>>;
  readonly old: Readonly<Record<string, OldMedia>>;
}

export async function readMediaRecord(folder: string): Promise<MediaRecord> {
  const text = await readFile(join(folder, FILE), 'utf8').catch(() => undefined);
  const read = text === undefined ? {} : (JSON.parse(text) as Partial<MediaRecord>);
  return { moves: read.moves ?? {}, old: read.old ?? {} };
}

/** Keeps the state of an app. @param state undefined: there is none any more */
export async function keepMedia(
  folder: string,
  app: string,
  state: { readonly move?: MediaMove | undefined; readonly old?: OldMedia | undefined },
): Promise<void> {
  const { moves, old } = await readMediaRecord(folder);
  const { [app]: move, ...moving } = moves;
  const { [app]: kept, ...others } = old;
  const [nextMove, nextOld] = ['move' in state ? state.move : move, 'old' in state ? state.old : kept];
  const next: MediaRecord = {
    moves: nextMove === undefined ? moving : { ...moving, [app]: nextMove },
    old: nextOld === undefined ? others : { ...others, [app]: nextOld },
  };
  if (Object.keys({ ...next.moves, ...next.old }).length === 0) await rm(join(folder, FILE), { force: true });
  else await writeWhole(join(folder, FILE), `${JSON.stringify(next)}\n`, 0o600);
}
