/** Horizon's queues. */
import type { Jobs } from '../app.ts';
import { timeIn, valkeyJobs } from '../shared/jobs.ts';
import { HORIZON_PREFIX, PIXELFED_VALKEY, REDIS_PREFIX } from './data.ts';
import type { PixelfedOptions } from './options.ts';

/** Of all versions; those that one does not have are empty. */
const QUEUES = [
  'high',
  'default',
  'follow',
  'shared',
  'inbox',
  'feed',
  'low',
  'story',
  'delete',
  'mmo',
  'intbg',
  'groups',
  'adelete',
  'move',
  'pushnotify',
];

const keyOf = (name: string): string => `${REDIS_PREFIX}queues:${name}`;

export const pixelfedJobs = ({ hasValkey }: PixelfedOptions): Jobs | undefined =>
  hasValkey
    ? valkeyJobs(PIXELFED_VALKEY, {
        lists: Object.fromEntries(QUEUES.map((name) => [name, keyOf(name)])),
        // New jobs are added at the end.
        oldest: 0,
        // Horizon's, then Laravel's (12 and later); both in seconds.
        added: (job) => timeIn(job['pushedAt']) ?? timeIn(job['createdAt']),
        retries: QUEUES.map((name) => `${keyOf(name)}:delayed`),
        failed: [`${HORIZON_PREFIX}failed_jobs`],
      })
    : undefined;
