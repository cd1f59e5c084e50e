/** Sizes of Mastodon: presets by memory, Sidekiq layouts, and the database connections that they need. */
import type { Share } from '../../config/question.ts';
import { biggestFor } from '../app.ts';
import type { Load } from '../app.ts';

/**
 * Presets: `memory` (MiB) and `cores` are the minimums of the host; the rest is what each part may use. Idle, a preset uses
 * less memory than its name says. `limits`: memory limits of the containers in MiB, well above what they need (15 videos
 * at once took 2.9 GiB in a Sidekiq of 25 threads); their sum may exceed the name.
 */
export const SIZES = {
  '2gb': {
    memory: 0,
    cores: 0,
    db: ['128MB', '384MB', '32MB', '60'],
    web: [1, 5],
    sidekiq: 5,
    pool: 5,
    limits: { db: 768, valkey: 512, web: 1024, sidekiq: 1536, streaming: 384 },
  },
  '4gb': {
    memory: 3500,
    cores: 0,
    db: ['256MB', '768MB', '64MB', '100'],
    web: [2, 5],
    sidekiq: 15,
    pool: 10,
    limits: { db: 1536, valkey: 768, web: 1536, sidekiq: 2048, streaming: 512 },
  },
  '8gb': {
    memory: 7000,
    // On two cores, three workers and the split Sidekiq of this preset took 715 MiB more and were no faster than 4gb.
    cores: 3,
    db: ['512MB', '1536MB', '128MB', '150'],
    web: [3, 5],
    sidekiq: 25,
    pool: 10,
    limits: { db: 3072, valkey: 1536, web: 2560, sidekiq: 4096, streaming: 512 },
  },
  '16gb': {
    memory: 14_000,
    cores: 4,
    db: ['1GB', '3GB', '256MB', '200'],
    web: [5, 5],
    sidekiq: 40,
    pool: 10,
    limits: { db: 6144, valkey: 3072, web: 4096, sidekiq: 6144, streaming: 768 },
  },
} as const;

export type Size = keyof typeof SIZES;

/** All queues of config/sidekiq.yml (v4.6) with their weights. */
export const QUEUES = {
  default: 8,
  push: 6,
  ingress: 4,
  mailers: 2,
  pull: 1,
  scheduler: 1,
  fasp: 1,
} as const;

/** Suffix of the service that only enqueues scheduled jobs. */
export const SCHEDULER = '_scheduler';

/** Layout → suffix of the service → queues; each queue once, since `scheduler` in two processes runs every job twice. */
export const SIDEKIQ = {
  one: { '': Object.keys(QUEUES) },
  split: {
    '': ['default', 'ingress', 'mailers', 'fasp'],
    _federation: ['push', 'pull'],
    [SCHEDULER]: ['scheduler'],
  },
} as const;

/** Threads of the scheduler's process. */
export const SCHEDULER_THREADS = 5;

export const sizeFor = (share: Share): Size => biggestFor(SIZES, share);

export type Layout = keyof typeof SIDEKIQ;

/** Reserved connections: migration job, tootctl, a proof, an admin with psql, and PostgreSQL's three for the superuser. */
const RESERVE = 14;

/** Database connections if every thread has one. */
export function connectionsOf(size: Size, layout: Layout): number {
  const { web, sidekiq, pool } = SIZES[size];
  const jobs = Object.keys(SIDEKIQ[layout]).reduce(
    (sum, suffix) => sum + (suffix === SCHEDULER ? SCHEDULER_THREADS : sidekiq),
    0,
  );
  return web[0] * web[1] + jobs + pool + RESERVE;
}

/** A Ruby process keeps at most one core busy; streaming and PostgreSQL use the rest. */
export const loadOf = (size: Size, layout: Layout, minimumMiB: number): Load => ({
  memoryMiB: Math.max(SIZES[size].memory, minimumMiB),
  processes: SIZES[size].web[0] + Object.keys(SIDEKIQ[layout]).length,
});

/** Describes a size. */
export function describeSize(size: Size): string {
  const { web, sidekiq, db, pool } = SIZES[size];
  const most = Math.max(...(Object.keys(SIDEKIQ) as Layout[]).map((layout) => connectionsOf(size, layout)));
  return `${size}: web ${web[0]}×${web[1]} threads, Sidekiq ${sidekiq}, streaming ${pool}; at most ${most} of ${db[3]} connections; PostgreSQL ${db[0]}`;
}
