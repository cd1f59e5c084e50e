/** How big Pixelfed's parts are: presets by memory. */
import type { Share } from '../../config/question.ts';
import { biggestFor } from '../app.ts';
import type { Load } from '../app.ts';

/**
 * `memory`, `cores`: from how many MiB and cores of the host on. `db`: the database's own cache, in MiB. `image`: what one picture
 * job may use, in MiB. `horizon`: most processes for what is urgent, deliveries, pictures, the rest. `balance`: `auto` keeps one
 * process for each queue whatever their most (15 of 50 MiB, in 0.12); `false` lets every process take from all, in their order.
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

/** Horizon's workers when all are busy, and the pages. */
export const loadOf = (size: Size, minimumMiB: number): Load => ({
  memoryMiB: Math.max(SIZES[size].memory, minimumMiB),
  processes: workersOf(size) + 1,
});

/** Kept free: web, the gate, artisan, a proof, a person with a client. */
const RESERVE = 30;

/** Connections to the database when every worker has one. */
export const connectionsOf = (size: Size): number => workersOf(size) + RESERVE;

export function describeSize(size: Size): string {
  const { db, horizon } = SIZES[size];
  const [urgent, deliveries, pictures, rest] = horizon;
  return `${size}: at most ${urgent + deliveries + pictures + rest} workers (${pictures} for pictures), ${db}M for the database’s cache`;
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

/** Bytes that Caddy lets through: a little more than PHP, whose refusal the app can put into words. */
export const bodyBytes = (limits: Limits): number => (postMiB(limits) + 1) * 1024 ** 2;

/** Minutes that Caddy waits for one: at 1 Mbit/s, and some for the answer. */
export const bodyMinutes = (limits: Limits): number =>
  Math.max(20, Math.ceil((bodyBytes(limits) * 8) / 1e6 / 60) + 5);

/** Most parts that PHP takes in one request (`max_file_uploads`, fixed in the image). */
export const MOST_PHOTOS = 20;
