/** Sizes of Pixelfed: presets by memory. */
import type { Share } from '../../config/question.ts';
import { biggestFor } from '../app.ts';
import type { Load } from '../app.ts';

/**
 * `memory` (MiB), `cores`: minimums of the host. `db`: the database's cache, in MiB. `image`: memory of one picture job, in
 * MiB. `horizon`: maximum processes for urgent jobs, deliveries, pictures, the rest. `balance`: `auto` keeps at least one
 * process per queue (15 of 50 MiB, in 0.12); with `false` every process serves all its queues, in their order.
 */
export const SIZES = {
  '2gb': {
    memory: 0,
    cores: 0,
    db: 128,
    image: 512,
    horizon: [4, 2, 1, 1],
    balance: 'false',
    limits: { db: 768, valkey: 512, web: 1024, horizon: 1536, scheduler: 512 },
  },
  '4gb': {
    memory: 3500,
    cores: 0,
    db: 256,
    image: 1024,
    horizon: [6, 4, 2, 2],
    balance: 'auto',
    limits: { db: 1536, valkey: 768, web: 1536, horizon: 2048, scheduler: 512 },
  },
  '8gb': {
    memory: 7000,
    cores: 2,
    db: 512,
    image: 1024,
    horizon: [10, 6, 4, 4],
    balance: 'auto',
    limits: { db: 3072, valkey: 1536, web: 2560, horizon: 4096, scheduler: 768 },
  },
  '16gb': {
    memory: 14_000,
    cores: 4,
    db: 1024,
    image: 1024,
    horizon: [20, 10, 6, 4],
    balance: 'auto',
    limits: { db: 6144, valkey: 3072, web: 4096, horizon: 6144, scheduler: 1024 },
  },
} as const;

export type Size = keyof typeof SIZES;

export const sizeFor = (share: Share): Size => biggestFor(SIZES, share);

const workersOf = (size: Size): number => SIZES[size].horizon.reduce<number>((sum, one) => sum + one, 0);

/** All workers of Horizon, and one process for the pages. */
export const loadOf = (size: Size, minimumMiB: number): Load => ({
  memoryMiB: Math.max(SIZES[size].memory, minimumMiB),
  processes: workersOf(size) + 1,
});

/** Reserved connections: web, migration job, artisan, a proof, an admin with a client. */
const RESERVE = 30;

/** Database connections if every worker has one. */
export const connectionsOf = (size: Size): number => workersOf(size) + RESERVE;

export function describeSize(size: Size): string {
  const { db, horizon } = SIZES[size];
  const [urgent, deliveries, pictures, rest] = horizon;
  return `${size}: at most ${urgent + deliveries + pictures + rest} workers (${pictures} for pictures), ${db}M for the database’s cache`;
}

/** Limits of a post. Those of PHP and Caddy follow from them. */
export interface Limits {
  /** MiB per photo. */
  readonly photo: number;
  /** Photos per post. */
  readonly photos: number;
}

/** PHP’s `post_max_size` in MiB: a whole post and some overhead. */
export const postMiB = ({ photo, photos }: Limits): number => photo * photos + 1;

/** Caddy's body limit in bytes: a little above PHP's, since the app can explain PHP's refusal. */
export const bodyBytes = (limits: Limits): number => (postMiB(limits) + 1) * 1024 ** 2;

/** Caddy's time limit for a body in minutes: at 1 Mbit/s, plus time for the response. */
export const bodyMinutes = (limits: Limits): number =>
  Math.max(20, Math.ceil((bodyBytes(limits) * 8) / 1e6 / 60) + 5);

/** Maximum files that PHP accepts in a request (`max_file_uploads`, fixed in the image). */
export const MOST_PHOTOS = 20;
