/** Monitoring: exporters, and on request Prometheus, Alertmanager and Grafana. */
import { OWN_CAS, TRUST_FOLDER } from '../apps/app.ts';
import type { AppStep } from '../apps/app.ts';
import { allNamesOf } from '../apps/index.ts';
import { readAsset } from '../assets.ts';
import { hasOwnDirectory } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import { grafanaAddress } from '../config/monitoring.ts';
import { randomToken } from '../secrets/store.ts';
import { dropService, joinNetwork, service } from '../stack/compose.ts';
import type { ComposeFile, Service } from '../stack/compose.ts';
import type { Component, ComponentImage } from './component.ts';
import { CUSTOM_CA, monitoringFiles } from './monitoring/files.ts';
import { endpointsOf, relayPath, serversOf } from './monitoring/targets.ts';

const ID = 'monitoring';
const BLACKBOX = 'monitoring_blackbox';
const PROMETHEUS = 'monitoring_prometheus';
const ALERTMANAGER = 'monitoring_alertmanager';
const GRAFANA = 'monitoring_grafana';
/** Networks: with Internet access, and to the catcher. */
const OUT = 'monitoring_out';
const MAIL = 'monitoring_mail';
const GRAFANA_SECRET = 'monitoring.grafana';

const isFull = ({ monitoring }: Config): boolean => monitoring?.isFull === true;
const mailsAlerts = (config: Config): boolean => isFull(config) && config.mail.server !== undefined;
const hasServer =
  (image: string) =>
  (config: Config): boolean =>
    serversOf(config).some(({ exporter }) => exporter.image === image);

const secretOf = (server: string): string => `${ID}.${server.replaceAll('_', '-')}`;
const envOf = (server: string): string => `monitoring-${server.replaceAll('_', '-')}`;

const images: Readonly<Record<string, ComponentImage>> = {
  'node-exporter': { reference: 'docker.io/prom/node-exporter:v1.9.0' },
  'blackbox-exporter': { reference: 'docker.io/prom/blackbox-exporter:v0.26.0' },
  'postgres-exporter': {
    reference: 'docker.io/prometheuscommunity/postgres-exporter:v0.17.1',
    isNeeded: hasServer('postgres-exporter'),
  },
  'mysqld-exporter': {
    reference: 'docker.io/prom/mysqld-exporter:v0.17.2',
    isNeeded: hasServer('mysqld-exporter'),
  },
  // The image without -alpine has no shell, which the health check needs.
  'redis-exporter': {
    reference: 'docker.io/oliver006/redis_exporter:v1.69.0-alpine',
    isNeeded: hasServer('redis-exporter'),
  },
  prometheus: { reference: 'docker.io/prom/prometheus:v3.5.3', isNeeded: isFull },
  alertmanager: { reference: 'docker.io/prom/alertmanager:v0.28.1', isNeeded: mailsAlerts },
  grafana: { reference: 'docker.io/grafana/grafana:12.3.1', isNeeded: isFull },
};

/** One exporter for each server: a copy of the template, on the network of the server too. */
function shapeExporters(file: ComposeFile, config: Config): void {
  const templates = new Map(
    ['monitoring_postgres', 'monitoring_mariadb', 'monitoring_valkey'].map((name) => {
      const template = service(file, name);
      dropService(file, name);
      return [name, template];
    }),
  );
  for (const { service: server, by, exporter } of serversOf(config)) {
    const env = `env/${envOf(server)}.env`;
    file.services[by] = {
      ...structuredClone(templates.get(exporter.template) as NonNullable<ReturnType<typeof service>>),
      ...(exporter.command === undefined ? {} : { command: [...exporter.command] }),
      env_file: [env],
    };
    const [network = ''] = Object.keys(service(file, server).networks ?? {});
    joinNetwork(file, by, network);
    exporter.prepare?.(file, env);
  }
}

/** The pages are requested from Caddy, as the apps do it; behind another proxy, which has the certificates, from that one. */
function shapeProbe(file: ComposeFile, config: Config): void {
  const isDirect = config.tls.proxy === undefined;
  joinNetwork(file, 'caddy', ID, isDirect ? allNamesOf(config) : []);
  if (!isDirect) joinNetwork(file, BLACKBOX, OUT);
  const volumes = (service(file, BLACKBOX).volumes ??= []);
  if (config.tls.isLab) volumes.push(`./trust:${TRUST_FOLDER}:ro`);
  if (config.tls.ca?.root !== undefined) volumes.push(`./caddy/custom:${CUSTOM_CA}:ro`);
  if (hasOwnDirectory(config)) trustOwnCas(service(file, BLACKBOX));
}

/** Programs in Go read that file and, besides it, all in the image's /etc/ssl/certs. */
function trustOwnCas(one: Service): void {
  one.environment = { ...one.environment, SSL_CERT_FILE: OWN_CAS };
  (one.volumes ??= []).push(`./trust:${TRUST_FOLDER}:ro`);
}

function shapeAlerts(file: ComposeFile, config: Config): void {
  if (!mailsAlerts(config)) dropService(file, ALERTMANAGER);
  else if (config.mail.server?.isCatcher === true) {
    const one = service(file, ALERTMANAGER);
    delete one.networks?.[OUT];
    file.networks[MAIL] = { internal: true };
    joinNetwork(file, ALERTMANAGER, MAIL);
    joinNetwork(file, config.mail.server.host, MAIL);
  } else if (config.ownCas !== undefined) trustOwnCas(service(file, ALERTMANAGER));
}

function shape(file: ComposeFile, config: Config): void {
  shapeExporters(file, config);
  shapeProbe(file, config);
  shapeAlerts(file, config);
  for (const one of endpointsOf(config)) if (one.isExporter) joinNetwork(file, one.service, ID);
  if (isFull(config)) return;
  dropService(file, PROMETHEUS);
  dropService(file, GRAFANA);
  if (config.tls.proxy === undefined) delete file.networks[OUT];
}

/** Counts requests, and passes on the metrics of services that share no network with Prometheus. */
async function caddy(
  files: Readonly<Record<string, string>>,
  config: Config,
): Promise<Record<string, string>> {
  const global = files['caddy/tls/global.caddy'] ?? '';
  const relays = endpointsOf(config)
    .filter(({ isExporter }) => !isExporter)
    .map(
      (one) =>
        `handle ${relayPath(one)} {\n\trewrite * /metrics\n\treverse_proxy ${one.service}:${one.port} {\n\t\timport app_headers\n\t}\n}\n`,
    );
  return {
    ...files,
    'caddy/tls/global.caddy': `${global}metrics\n`,
    'caddy/sites/monitoring.caddy': await readAsset('caddy/monitoring.caddy'),
    ...(relays.length === 0 ? {} : { 'caddy/monitoring/relays.caddy': relays.join('') }),
  };
}

export const MONITORING: Component = {
  id: ID,
  images,
  isWanted: ({ monitoring }) => monitoring !== undefined,
  owns: (name) => name === ID || name.startsWith(`${ID}_`),
  variables: (config) => ({
    GRAFANA_BIND: grafanaAddress(config.bind),
    GRAFANA_PORT: String(config.monitoring?.port),
  }),
  shape,
  caddy,
  files: monitoringFiles,
  secrets: (config) => [
    ...serversOf(config).map(({ service: server }) => ({
      name: secretOf(server),
      class: 'free' as const,
      about: `Password of the account that reads the statistics of ${server}.`,
      make: randomToken,
    })),
    ...(isFull(config)
      ? [
          {
            name: GRAFANA_SECRET,
            class: 'free' as const,
            about: 'Password of the user admin in Grafana.',
            make: randomToken,
          },
        ]
      : []),
  ],
  env: (config, secret) => ({
    ...Object.fromEntries(
      serversOf(config).map(({ service: server, exporter }) => [
        envOf(server),
        exporter.env(secret(secretOf(server))),
      ]),
    ),
    ...(isFull(config)
      ? { 'monitoring-grafana': { GF_SECURITY_ADMIN_PASSWORD: secret(GRAFANA_SECRET) } }
      : {}),
    ...(mailsAlerts(config)
      ? {
          'monitoring-alertmanager': {
            SMTP_PASSWORD: config.mail.server?.user === undefined ? undefined : secret('mail.password'),
          },
        }
      : {}),
  }),
  steps: (config, secret) =>
    serversOf(config).flatMap(({ service: server, exporter }): AppStep[] => {
      const account = exporter.account?.(secret(secretOf(server)));
      return account === undefined
        ? []
        : [
            {
              id: `${ID}.${server}`,
              title: `Account of the exporter in ${server}`,
              service: server,
              ...account,
              hint: `Look at \`docker compose logs ${server}\`.`,
            },
          ];
    }),
  // Figures that are worth nothing without their site.
  derived: ['monitoring_disk', PROMETHEUS, ALERTMANAGER],
};
