/** Metrics of web, Sidekiq and streaming. The first two send theirs to a container with the gem prometheus_exporter. */
import type { ComposeFile } from '../../stack/compose.ts';
import { dropService, service } from '../../stack/compose.ts';
import type { AppMonitoring } from '../monitoring.ts';

const COLLECTOR = 'mastodon_metrics';
const PORT = 9394;

/** In each Ruby process: it serves nothing, since several processes of Puma cannot listen on one port. */
const SENDS = {
  MASTODON_PROMETHEUS_EXPORTER_ENABLED: 'true',
  MASTODON_PROMETHEUS_EXPORTER_WEB_DETAILED_METRICS: 'true',
  MASTODON_PROMETHEUS_EXPORTER_SIDEKIQ_DETAILED_METRICS: 'true',
  PROMETHEUS_EXPORTER_HOST: COLLECTOR,
  PROMETHEUS_EXPORTER_PORT: String(PORT),
};

/** Call it before services are copied. */
export function shapeMonitoring(compose: ComposeFile, isMonitored: boolean): void {
  if (!isMonitored) dropService(compose, COLLECTOR);
  else
    for (const name of ['mastodon_web', 'mastodon_sidekiq']) {
      const one = service(compose, name);
      one.environment = { ...one.environment, ...SENDS };
    }
}

/** @param domain of the pages */
export const mastodonMonitoring = (domain: string): AppMonitoring => ({
  probes: [`https://${domain}/api/v2/instance`],
  endpoints: [
    { job: 'ruby', service: COLLECTOR, port: PORT, isExporter: true },
    { job: 'streaming', service: 'mastodon_streaming', port: 4000, isExporter: false },
  ],
  panels: [
    {
      board: 'web',
      title: 'Mastodon: requests to Rails',
      about: 'By status. 5xx are errors of Mastodon: look at `fedi-setup logs mastodon_web`.',
      unit: 'reqps',
      queries: [
        { expr: 'sum by (status) (rate(ruby_http_requests_total[$__rate_interval]))', legend: '{{status}}' },
      ],
    },
    {
      board: 'web',
      title: 'Mastodon: busy threads of Puma',
      about: 'If none is free for long, people wait: a larger size has more.',
      unit: 'short',
      queries: [
        { expr: 'sum(ruby_puma_max_threads) - sum(ruby_puma_thread_pool_capacity)', legend: 'busy' },
        { expr: 'sum(ruby_puma_max_threads)', legend: 'all' },
        { expr: 'sum(ruby_puma_request_backlog)', legend: 'waiting requests' },
      ],
    },
    {
      board: 'web',
      title: 'Mastodon: time per request',
      about: 'Mean, and how much of it the database and Valkey take.',
      unit: 's',
      queries: [
        {
          expr: 'sum(rate(ruby_http_request_duration_seconds_sum[$__rate_interval])) / sum(rate(ruby_http_request_duration_seconds_count[$__rate_interval]))',
          legend: 'all',
        },
        {
          expr: 'sum(rate(ruby_http_request_sql_duration_seconds_sum[$__rate_interval])) / sum(rate(ruby_http_request_duration_seconds_count[$__rate_interval]))',
          legend: 'database',
        },
        {
          expr: 'sum(rate(ruby_http_request_redis_duration_seconds_sum[$__rate_interval])) / sum(rate(ruby_http_request_duration_seconds_count[$__rate_interval]))',
          legend: 'Valkey',
        },
      ],
    },
    {
      board: 'web',
      title: 'Mastodon: memory of Ruby',
      about: 'Resident memory of all processes of Puma and Sidekiq.',
      unit: 'bytes',
      queries: [{ expr: 'sum by (type) (ruby_rss)', legend: '{{type}}' }],
    },
    {
      board: 'web',
      title: 'Mastodon: live updates',
      about: 'Open connections to the streaming server.',
      unit: 'short',
      queries: [{ expr: 'sum by (type) (connected_clients{job="streaming"})', legend: '{{type}}' }],
    },
    {
      board: 'queues',
      title: 'Mastodon: latency of Sidekiq’s queues',
      about:
        'How long the oldest job of a queue has waited. Minutes in `pull` are harmless, in `default` posts are late.',
      unit: 's',
      queries: [{ expr: 'max by (queue) (ruby_sidekiq_queue_latency_seconds)', legend: '{{queue}}' }],
    },
    {
      board: 'queues',
      title: 'Mastodon: busy threads of Sidekiq',
      about: 'If all are busy for long while jobs wait, more threads or processes help.',
      unit: 'short',
      queries: [
        { expr: 'sum(ruby_sidekiq_process_busy)', legend: 'busy' },
        { expr: 'sum(ruby_sidekiq_process_concurrency)', legend: 'all' },
      ],
    },
    {
      board: 'queues',
      title: 'Mastodon: jobs that ended',
      about: 'Failed ones are tried again: mostly deliveries to servers that do not answer.',
      unit: 'ops',
      queries: [
        { expr: 'sum(rate(ruby_sidekiq_jobs_total[$__rate_interval]))', legend: 'all' },
        {
          expr: 'sum(rate(ruby_sidekiq_failed_jobs_total[$__rate_interval])) or vector(0)',
          legend: 'failed',
        },
      ],
    },
    {
      board: 'database',
      title: 'Mastodon: connections of Ruby',
      about: 'Of the pools of all processes. Waiting threads mean that a pool is too small.',
      unit: 'short',
      queries: [
        { expr: 'sum by (type) (ruby_active_record_connection_pool_busy)', legend: 'busy: {{type}}' },
        { expr: 'sum by (type) (ruby_active_record_connection_pool_waiting)', legend: 'waiting: {{type}}' },
      ],
    },
  ],
});
