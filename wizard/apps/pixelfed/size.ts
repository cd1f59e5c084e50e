/** How big Pixelfed's parts are: presets by memory. */
import type { Share } from '../../config/question.ts';
import type { Load } from '../app.ts';

/**
 * `memory`, `cores`: from how many MiB and cores of the host on. `db`: InnoDB's buffer pool. `image`: what one picture job may use, in MiB.
 * `horizon`: most processes for what is urgent, deliveries, pictures, the rest.
 */
export const SIZES = {
  '2gb': { memory: 0, cores: 0, db: '128M', image: 512, horizon: [4, 2, 1, 1] },
  '4gb': { memory: 3500, cores: 0, db: '256M', image: 1024, horizon: [6, 4, 2, 2] },
  '8gb': { memory: 7000, cores: 2, db: '512M', image: 1024, horizon: [10, 6, 4, 4] },
  '16gb': { memory: 14_000, cores: 4, db: '1G', image: 1024, horizon: [20, 10, 6, 4] },
} as const;

export type Size = keyof typeof SIZES;

/** The biggest preset for such a part of a host. */
export function sizeFor({ memoryMiB, cores }: Share): Size {
  const fits = (size: Size): boolean => SIZES[size].memory <= memoryMiB && SIZES[size].cores <= cores;
  return (Object.keys(SIZES) as Size[]).findLast(fits) ?? '2gb';
}

/** Horizon's workers when all are busy, and the pages. */
export const loadOf = (size: Size, minimumMiB: number): Load => ({
  memoryMiB: Math.max(SIZES[size].memory, minimumMiB),
  processes: SIZES[size].horizon.reduce<number>((sum, one) => sum + one, 0) + 1,
});

export function describeSize(size: Size): string {
  const { db, horizon } = SIZES[size];
  const [urgent, deliveries, pictures, rest] = horizon;
  return `${size}: at most ${urgent + deliveries + pictures + rest} workers (${pictures} for pictures), ${db} for the database’s cache`;
}

/** What one post may carry: photos of so many MiB each. The limits of PHP and Caddy follow from it. */
export interface Limits {
  /** MiB a photo. */
  readonly photo: number;
  /** Photos a post. */
  readonly photos: number;
}

/** PHP’s `post_max_size` in MiB: a whole post and a little for what is around it. */
export const postMiB = ({ photo, photos }: Limits): number => photo * photos + 1;

/** Most parts that PHP takes in one request (`max_file_uploads`, fixed in the image). */
export const MOST_PHOTOS = 20;
