/** Horizon's queues. */
import type { Jobs } from '../app.ts';
import { inValkey, redisJobs, timeIn } from '../shared/jobs.ts';
import { HORIZON_PREFIX, PIXELFED_VALKEY, REDIS_PREFIX } from './data.ts';
import type { PixelfedOptions } from './options.ts';
import { client } from './php.ts';

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

export const pixelfedJobs = ({ hasValkey }: PixelfedOptions): Jobs =>
  redisJobs(
    hasValkey ? inValkey(PIXELFED_VALKEY) : { service: 'pixelfed_web', argv: client('ask-redis.php') },
    {
      lists: Object.fromEntries(QUEUES.map((name) => [name, keyOf(name)])),
      // New jobs are added at the end.
      oldest: 0,
      // Horizon's, then Laravel's (12 and later); both in seconds.
      added: (job) => timeIn(job['pushedAt']) ?? timeIn(job['createdAt']),
      later: QUEUES.map((name) => `${keyOf(name)}:delayed`),
      failed: [`${HORIZON_PREFIX}failed_jobs`],
    },
  );
