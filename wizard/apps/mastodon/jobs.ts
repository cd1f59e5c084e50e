/** Sidekiq's queues. */
import type { Jobs } from '../app.ts';
import { timeIn, valkeyJobs } from '../shared/jobs.ts';
import { MASTODON_VALKEY } from './data.ts';
import type { MastodonOptions } from './options.ts';
import { QUEUES } from './size.ts';

export const mastodonJobs = ({ hasValkey }: MastodonOptions): Jobs | undefined =>
  hasValkey
    ? valkeyJobs(MASTODON_VALKEY, {
        lists: Object.fromEntries(Object.keys(QUEUES).map((name) => [name, `queue:${name}`])),
        // New jobs are added at the front.
        oldest: -1,
        // Seconds, and from Sidekiq 8 on milliseconds.
        added: (job) => timeIn(job['enqueued_at']),
        retries: ['retry'],
        failed: ['dead'],
      })
    : undefined;
