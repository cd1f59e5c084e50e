/** Diagrams that every site has, or every site with a server of that kind. */
import type { BoardId, Panel, Unit } from '../../apps/monitoring.ts';

/** `needs`: the service of compose/monitoring.yaml whose figures it shows, or `backup`; absent: every site has them. */
type SitePanel = Panel & { readonly needs?: string };

type Lines = Readonly<Record<string, string>>;

/** @param lines legend → PromQL */
const panel = (
  board: BoardId,
  title: string,
  unit: Unit,
  about: string,
  lines: Lines,
  needs?: string,
): SitePanel => ({
  board,
  title,
  about,
  unit,
  queries: Object.entries(lines).map(([legend, expr]) => ({ expr, legend })),
  ...(needs === undefined ? {} : { needs }),
});

const number = (title: string, unit: Unit, about: string, expr: string, needs?: string): SitePanel => ({
  ...panel('overview', title, unit, about, { '': expr }, needs),
  isNumber: true,
});

const [POSTGRES, MARIADB, VALKEY] = ['monitoring_postgres', 'monitoring_mariadb', 'monitoring_valkey'];
/** The rate over what Grafana thinks fits the width of the diagram. */
const rate = (metric: string): string => `rate(${metric}[$__rate_interval])`;

export const PANELS: readonly SitePanel[] = [
  number('Pages that answer', 'short', 'Requested every minute, as a visitor does.', 'sum(probe_success)'),
  number(
    'Pages that do not answer',
    'short',
    'Run `fedi-setup doctor` if this is not 0.',
    'count(probe_success == 0) or vector(0)',
  ),
  number(
    'Alerts',
    'short',
    'That fire now. They are mailed if the site sends mail.',
    'count(ALERTS{alertstate="firing"}) or vector(0)',
  ),
  number(
    'Certificate expires in',
    's',
    'The first one to expire.',
    'min(probe_ssl_earliest_cert_expiry) - time()',
  ),
  number(
    'Free disk',
    'bytes',
    'On the disk with Docker’s data.',
    'node_filesystem_avail_bytes{mountpoint="/disk"}',
  ),
  number('Last backup', 's', 'Its age.', 'time() - max(fedi_backup_last_timestamp_seconds)', 'backup'),
  panel(
    'overview',
    'Processor',
    'percentunit',
    'Share of all cores that are busy. Near 100 % for long: pages and jobs are slow.',
    {
      busy: `1 - avg(${rate('node_cpu_seconds_total{mode="idle"}')})`,
      'waiting for the disk': `avg(${rate('node_cpu_seconds_total{mode="iowait"}')})`,
    },
  ),
  panel('overview', 'Memory', 'bytes', 'Memory that programs could still get, and swap in use.', {
    available: 'node_memory_MemAvailable_bytes',
    all: 'node_memory_MemTotal_bytes',
    'swap in use': 'node_memory_SwapTotal_bytes - node_memory_SwapFree_bytes',
  }),
  panel('overview', 'Requests', 'reqps', 'Answered by Caddy, by status.', {
    '{{code}}': `sum by (code) (${rate('caddy_http_request_duration_seconds_count')})`,
  }),
  panel(
    'overview',
    'Jobs that wait',
    'short',
    'In all queues. They should fall to few within minutes.',
    {
      '{{app}}': 'sum by (app) (fedi_jobs{queue!=""})',
    },
    VALKEY,
  ),
  panel(
    'overview',
    'Targets',
    'short',
    'Exporters and services that Prometheus reaches, of all that it knows.',
    {
      reached: 'sum(up)',
      all: 'count(up)',
    },
  ),
  panel('overview', 'Processes that the kernel stopped', 'short', 'Because memory was used up.', {
    stopped: 'increase(node_vmstat_oom_kill[$__rate_interval])',
  }),

  panel(
    'web',
    'Time of a request from inside',
    's',
    'Of the pages that are requested every minute, by phase.',
    {
      '{{instance}} {{phase}}': 'sum by (instance, phase) (probe_http_duration_seconds)',
    },
  ),
  panel('web', 'Errors', 'percentunit', 'Share of the requests that end with 5xx.', {
    errors: `(sum(${rate('caddy_http_request_duration_seconds_count{code=~"5.."}')}) or vector(0)) / sum(${rate('caddy_http_request_duration_seconds_count')})`,
  }),
  panel(
    'web',
    'Duration at Caddy',
    's',
    'Half of the requests end within the lower time, 95 % within the upper.',
    {
      '50 %': `histogram_quantile(0.5, sum by (le) (${rate('caddy_http_request_duration_seconds_bucket')}))`,
      '95 %': `histogram_quantile(0.95, sum by (le) (${rate('caddy_http_request_duration_seconds_bucket')}))`,
    },
  ),
  panel('web', 'Sent to visitors', 'Bps', 'Bytes of all answers.', {
    bytes: `sum(${rate('caddy_http_response_size_bytes_sum')})`,
  }),
  panel(
    'web',
    'Requests in progress',
    'short',
    'Event streams and WebSockets count for as long as they are open.',
    {
      '{{handler}}': 'sum by (handler) (caddy_http_requests_in_flight)',
    },
  ),

  panel(
    'queues',
    'Waiting jobs',
    'short',
    'By queue. A queue that only grows has no worker, or too few.',
    {
      '{{app}} {{queue}}': 'sum by (app, queue) (fedi_jobs{queue!=""})',
    },
    VALKEY,
  ),
  panel(
    'queues',
    'Jobs that are due later, or failed',
    'short',
    'Mostly deliveries to servers that do not answer.',
    {
      '{{app}} {{key}}':
        'sum by (app, key) (fedi_jobs{queue=""}) > 0 or sum by (app) (fedi_jobs{queue=""}) * 0',
    },
    VALKEY,
  ),
  panel(
    'queues',
    'Memory of Valkey',
    'percentunit',
    'Share of what it may use. When it is full, it rejects new jobs.',
    {
      '{{server}}': 'redis_memory_used_bytes / (redis_memory_max_bytes > 0)',
    },
    VALKEY,
  ),
  panel(
    'queues',
    'Commands of Valkey',
    'ops',
    'Of the app and its workers.',
    {
      '{{server}}': rate('redis_commands_processed_total'),
    },
    VALKEY,
  ),

  panel(
    'database',
    'PostgreSQL: connections',
    'short',
    'By state. The last line is the limit.',
    {
      '{{server}} {{state}}': 'sum by (server, state) (pg_stat_activity_count) > 0',
      '{{server}} limit': 'pg_settings_max_connections',
    },
    POSTGRES,
  ),
  panel(
    'database',
    'PostgreSQL: transactions',
    'ops',
    'Rolled back ones are errors or conflicts.',
    {
      '{{server}} committed': `sum by (server) (${rate('pg_stat_database_xact_commit')})`,
      '{{server}} rolled back': `sum by (server) (${rate('pg_stat_database_xact_rollback')})`,
    },
    POSTGRES,
  ),
  panel(
    'database',
    'PostgreSQL: cache hit ratio',
    'percentunit',
    'Share of the blocks that were not read from the disk. Below 95 %, more memory for the database helps.',
    {
      '{{server}}':
        'sum by (server) (pg_stat_database_blks_hit) / (sum by (server) (pg_stat_database_blks_hit) + sum by (server) (pg_stat_database_blks_read))',
    },
    POSTGRES,
  ),
  panel(
    'database',
    'PostgreSQL: longest transaction',
    's',
    'A transaction that runs for hours keeps PostgreSQL from removing deleted rows.',
    {
      '{{server}}': 'max by (server) (pg_long_running_transactions_oldest_timestamp_seconds)',
    },
    POSTGRES,
  ),
  panel(
    'database',
    'MariaDB: connections',
    'short',
    'The last line is the limit.',
    {
      '{{server}} in use': 'mysql_global_status_threads_connected',
      '{{server}} running': 'mysql_global_status_threads_running',
      '{{server}} limit': 'mysql_global_variables_max_connections',
    },
    MARIADB,
  ),
  panel(
    'database',
    'MariaDB: queries',
    'ops',
    'Slow ones take longer than ten seconds.',
    {
      '{{server}}': rate('mysql_global_status_queries'),
      '{{server}} slow': rate('mysql_global_status_slow_queries'),
    },
    MARIADB,
  ),
  panel(
    'database',
    'MariaDB: cache hit ratio',
    'percentunit',
    'Share of the reads that did not reach the disk. Below 95 %, a larger buffer helps.',
    {
      '{{server}}':
        '1 - mysql_global_status_innodb_buffer_pool_reads / mysql_global_status_innodb_buffer_pool_read_requests',
    },
    MARIADB,
  ),

  panel('storage', 'Free disk', 'bytes', 'On the disk with Docker’s data.', {
    free: 'node_filesystem_avail_bytes{mountpoint="/disk"}',
    size: 'node_filesystem_size_bytes{mountpoint="/disk"}',
  }),
  panel('storage', 'Disk activity', 'Bps', 'Bytes read and written, by device.', {
    '{{device}} read': rate('node_disk_read_bytes_total'),
    '{{device}} written': rate('node_disk_written_bytes_total'),
  }),
  panel(
    'storage',
    'Disk utilization',
    'percentunit',
    'Share of the time. Near 100 % for long: the disk is the limit.',
    {
      '{{device}}': rate('node_disk_io_time_seconds_total'),
    },
  ),
  panel(
    'storage',
    'PostgreSQL: size',
    'bytes',
    'Of the database on the disk.',
    {
      '{{server}}': 'sum by (server) (pg_database_size_bytes)',
    },
    POSTGRES,
  ),
  panel(
    'storage',
    'Valkey: size in memory',
    'bytes',
    'Of its data.',
    { '{{server}}': 'redis_memory_used_bytes' },
    VALKEY,
  ),
  panel('storage', 'Data of Prometheus', 'bytes', 'On the disk; at most 2 GB.', {
    size: 'prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_wal_storage_size_bytes',
  }),
];
