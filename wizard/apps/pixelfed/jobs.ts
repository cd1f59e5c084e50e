/** Horizon's queues and supervisors. */
import type { Jobs, Worker } from '../app.ts';
import { inValkey, redisJobs, timeIn } from '../shared/jobs.ts';
import { FAILED, HORIZON_PREFIX, PIXELFED_VALKEY, QUEUES, delayedKey, queueKey } from './data.ts';
import type { PixelfedOptions } from './options.ts';
import { client } from './php.ts';

const supervisor = `${HORIZON_PREFIX}supervisor:*`;

/** A supervisor as Horizon describes it every second; half a minute later it is gone. */
function workerIn([master = '', status, processes = '']: readonly string[]): Worker | undefined {
  if (processes === '') return undefined;
  // `{"redis:high,default":2}`: a connection, its queues, and the number of their workers; `[]`: none.
  const pools = Object.entries(JSON.parse(processes) as Record<string, number>);
  return {
    process: master,
    // Its host, and four random characters.
    host: master.replace(/-[^-]+$/, ''),
    queues: pools.flatMap(([name, count]) =>
      count === 0 ? [] : name.slice(name.indexOf(':') + 1).split(','),
    ),
    isPaused: status !== 'running',
  };
}

export const pixelfedJobs = ({ hasValkey }: PixelfedOptions): Jobs =>
  redisJobs(
    hasValkey ? inValkey(PIXELFED_VALKEY) : { service: 'pixelfed_web', argv: client('ask-redis.php') },
    {
      lists: Object.fromEntries(QUEUES.map((name) => [name, queueKey(name)])),
      // New jobs are added at the end.
      oldest: 0,
      // Horizon's, then Laravel's (12 and later); both in seconds.
      added: (job) => timeIn(job['pushedAt']) ?? timeIn(job['createdAt']),
      later: QUEUES.map(delayedKey),
      failed: {
        key: FAILED,
        // By the time, as a negative number.
        nth: (n) => `sort ${FAILED} by nosort limit ${n} 1 get ${HORIZON_PREFIX}*->failed_at`,
        at: timeIn,
      },
      workers: {
        command: `sort ${HORIZON_PREFIX}supervisors by nosort get ${['master', 'status', 'processes'].map((field) => `${supervisor}->${field}`).join(' get ')}`,
        lines: 3,
        parse: workerIn,
      },
    },
    {
      always: ['default'],
      sole: {
        queue: 'default',
        means:
          'Jobs of this server may run on the other one, with its files and settings. If that is a copy of this site, both deliver the same posts.',
      },
      single: { pixelfed_scheduler: 'Each periodic task runs twice.' },
      failedPage: '/horizon/failed',
    },
  );
