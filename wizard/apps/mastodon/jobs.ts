/** Sidekiq's queues. */
import type { Jobs } from '../app.ts';
import { inValkey, redisJobs, timeIn } from '../shared/jobs.ts';
import { askRedis } from './clients.ts';
import { MASTODON_VALKEY } from './data.ts';
import type { MastodonOptions } from './options.ts';
import { QUEUES } from './size.ts';

export const mastodonJobs = ({ hasValkey }: MastodonOptions): Jobs =>
  redisJobs(hasValkey ? inValkey(MASTODON_VALKEY) : { service: 'mastodon_web', argv: askRedis() }, {
    lists: Object.fromEntries(Object.keys(QUEUES).map((name) => [name, `queue:${name}`])),
    // New jobs are added at the front.
    oldest: -1,
    // Seconds, and from Sidekiq 8 on milliseconds.
    added: (job) => timeIn(job['enqueued_at']),
    later: ['retry', 'schedule'],
    failed: ['dead'],
  });
