/** What Prometheus scrapes, and what is requested of the site. */
import { appOf } from '../../apps/index.ts';
import type { MetricsEndpoint } from '../../apps/monitoring.ts';
import type { ContainerServer } from '../../apps/shared/server.ts';
import type { Config } from '../../config/config.ts';

/** A server in a container, with the Compose service of its exporter. */
export interface Exported extends ContainerServer {
  readonly app: string;
  readonly by: string;
}

export const serversOf = ({ apps }: Config): Exported[] =>
  apps.flatMap(({ id, options }) =>
    (appOf(id).servers?.(options) ?? []).map((server) => ({
      ...server,
      app: id,
      by: `monitoring_${server.service}`,
    })),
  );

export const endpointsOf = ({ apps }: Config): (MetricsEndpoint & { readonly app: string })[] =>
  apps.flatMap((app) =>
    (appOf(app.id).monitoring(app).endpoints ?? []).map((one) => ({ ...one, app: app.id })),
  );

/** Port of Caddy's container with metrics. */
const CADDY_PORT = 2024;

/** Path on that port, with the metrics of a service that Caddy passes on. */
export const relayPath = ({ service }: MetricsEndpoint): string => `/${service}/metrics`;

interface Job {
  readonly job_name: string;
  readonly [setting: string]: unknown;
}

const job = (name: string, groups: readonly object[], more: object = {}): Job[] =>
  groups.length === 0 ? [] : [{ job_name: name, ...more, static_configs: groups }];

const at = (service: string, port: number, labels?: Readonly<Record<string, string>>): object => ({
  targets: [`${service}:${port}`],
  ...(labels === undefined ? {} : { labels }),
});

/** Only the metrics that rules and boards use: the others of these exporters are many. */
const keep = (regex: string): object => ({
  metric_relabel_configs: [{ source_labels: ['__name__'], regex, action: 'keep' }],
});

/** `scrape_configs` of Prometheus. */
export function scrapeConfigs(config: Config): Job[] {
  const servers = serversOf(config);
  const of = (template: string): object[] =>
    servers
      .filter(({ exporter }) => exporter.template === template)
      .map(({ app, service, by, exporter }) => at(by, exporter.port, { app, server: service }));
  const endpoints = endpointsOf(config);
  const probes = config.apps.flatMap((app) =>
    appOf(app.id)
      .monitoring(app)
      .probes.map((url) => ({ targets: [url], labels: { app: app.id } })),
  );
  return [
    ...job('node', [at('monitoring_node', 9100)]),
    ...job('caddy', [at('caddy', CADDY_PORT)], keep('(caddy_|process_|go_memstats_sys).*')),
    ...job('postgres', of('monitoring_postgres'), keep('(pg_|process_).*')),
    ...job(
      'mariadb',
      of('monitoring_mariadb'),
      keep(
        '(mysql_(up|exporter|global_status|global_variables_(max_connections|innodb_buffer_pool_size|version)|version)|process_).*',
      ),
    ),
    ...job('valkey', of('monitoring_valkey'), {
      metric_relabel_configs: [
        { source_labels: ['__name__'], regex: '(redis_|process_).*', action: 'keep' },
        // Jobs by key, and the name of the queue if it is the list of one.
        {
          source_labels: ['__name__'],
          regex: 'redis_script_values',
          target_label: '__name__',
          replacement: 'fedi_jobs',
        },
        { regex: 'filename', action: 'labeldrop' },
        { source_labels: ['key'], regex: '(?:.*[:-])?queues?:([^:]+)', target_label: 'queue' },
      ],
    }),
    ...endpoints.flatMap((one) =>
      one.isExporter
        ? job(one.job, [at(one.service, one.port, { app: one.app })])
        : job(one.job, [at('caddy', CADDY_PORT, { app: one.app, instance: `${one.service}:${one.port}` })], {
            metrics_path: relayPath(one),
          }),
    ),
    ...job('probe', probes, {
      metrics_path: '/probe',
      params: { module: ['page'] },
      scrape_interval: '1m',
      scrape_timeout: '20s',
      relabel_configs: [
        { source_labels: ['__address__'], target_label: '__param_target' },
        { source_labels: ['__param_target'], target_label: 'instance' },
        { target_label: '__address__', replacement: 'monitoring_blackbox:9115' },
      ],
    }),
    ...(config.monitoring?.isFull === true
      ? [
          ...job('prometheus', [at('localhost', 9090)]),
          ...(config.mail.server === undefined
            ? []
            : job('alertmanager', [at('monitoring_alertmanager', 9093)])),
        ]
      : []),
  ];
}
