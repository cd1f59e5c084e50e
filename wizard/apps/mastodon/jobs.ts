/** Sidekiq's queues and processes. */
import type { Jobs, Worker } from '../app.ts';
import { inValkey, redisJobs, timeIn } from '../shared/jobs.ts';
import { askRedis } from './clients.ts';
import { FAILED, LATER, MASTODON_VALKEY, queueKey } from './data.ts';
import type { MastodonOptions } from './options.ts';
import { QUEUES, SCHEDULER, SIDEKIQ } from './size.ts';

/** The newest queue: older versions have none. */
const MAYBE = 'fasp';

/** A process as Sidekiq (7 and 8) describes it every 10 seconds; after a minute without that it is gone. */
function workerIn([process = '', info = '', quiet]: readonly string[]): Worker | undefined {
  if (info === '') return undefined;
  const { hostname = '', queues = [] } = JSON.parse(info) as { hostname?: string; queues?: string[] };
  return { process, host: hostname, queues: [...new Set(queues)], isPaused: quiet === 'true' };
}

export const mastodonJobs = ({ hasValkey, sidekiq }: MastodonOptions): Jobs =>
  redisJobs(
    hasValkey ? inValkey(MASTODON_VALKEY) : { service: 'mastodon_web', argv: askRedis() },
    {
      lists: Object.fromEntries(Object.keys(QUEUES).map((name) => [name, queueKey(name)])),
      // New jobs are added at the front.
      oldest: -1,
      // Seconds, and from Sidekiq 8 on milliseconds.
      added: (job) => timeIn(job['enqueued_at']),
      later: LATER,
      failed: {
        key: FAILED,
        // By the time of death.
        nth: (n) => `zrange dead -${n + 1} -${n + 1}`,
        at: (line) => {
          const job = JSON.parse(line) as Record<string, unknown>;
          return timeIn(job['retried_at']) ?? timeIn(job['failed_at']);
        },
      },
      workers: {
        command: 'sort processes by nosort get # get *->info get *->quiet',
        lines: 3,
        parse: workerIn,
      },
    },
    {
      always: Object.keys(QUEUES).filter((name) => name !== MAYBE),
      sole: { queue: 'scheduler', means: 'Each periodic job runs twice.' },
      single: {
        [`mastodon_sidekiq${SCHEDULER in SIDEKIQ[sidekiq] ? SCHEDULER : ''}`]:
          'Each periodic job runs twice.',
      },
      failedPage: '/sidekiq/morgue',
    },
  );
