/** Configuration files of the monitoring. They have no secrets. */
import { TRUST_FOLDER } from '../../apps/app.ts';
import { readAsset } from '../../assets.ts';
import type { Config } from '../../config/config.ts';
import { senderOf } from '../../config/parse.ts';
import { printYaml } from '../../yaml.ts';
import { boardsOf } from './boards.ts';
import { scrapeConfigs, serversOf } from './targets.ts';

/** Directory in the site directory, and where containers mount it. */
export const FOLDER = 'monitoring';
const MOUNT = '/etc/monitoring';
/** Where the exporter of requests finds the administrator's CA certificates. */
export const CUSTOM_CA = '/etc/custom-ca';
/** Scrapes of most jobs. */
const INTERVAL = '30s';
const HOUR = 3600;

const OURS = '# Written by fedi-setup from fedi.yaml.';

/** A certificate that is valid for less than this was not renewed. Those of a lab live for 12 hours, others for 45 days or more. */
const leastSeconds = ({ tls }: Config): number => (tls.isLab ? 2 : 10 * 24) * HOUR;

/** What alert rules need to know about the site, as metrics. */
function aboutSite(config: Config): string {
  const gauge = (name: string, help: string, value: number): string =>
    `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`;
  return [
    gauge(
      'fedi_certificate_least_seconds',
      'A certificate that is valid for less was not renewed.',
      leastSeconds(config),
    ),
    ...(config.backup === undefined
      ? []
      : [
          gauge(
            'fedi_backup_every_seconds',
            'Time from one backup to the next.',
            config.backup.everyHours * HOUR,
          ),
        ]),
  ].join('');
}

const prometheus = (config: Config): object => ({
  global: {
    scrape_interval: INTERVAL,
    evaluation_interval: INTERVAL,
    external_labels: { site: config.name },
  },
  rule_files: ['rules.yaml', 'custom/rules/*.yaml'],
  scrape_config_files: ['scrape.yaml', 'custom/scrape/*.yaml'],
  ...(config.mail.server === undefined
    ? {}
    : { alerting: { alertmanagers: [{ static_configs: [{ targets: ['monitoring_alertmanager:9093'] }] }] } }),
});

function blackbox({ tls }: Config): object {
  const ca = tls.isLab
    ? `${TRUST_FOLDER}/root.crt`
    : tls.ca?.root === undefined
      ? undefined
      : `${CUSTOM_CA}/${tls.ca.root}`;
  return {
    modules: {
      page: {
        prober: 'http',
        timeout: '15s',
        http: {
          fail_if_not_ssl: true,
          preferred_ip_protocol: 'ip4',
          ...(ca === undefined ? {} : { tls_config: { ca_file: ca } }),
        },
      },
    },
  };
}

/** Mails to the owner: what happened, what it means, what to do. */
function alertmanager({ name, apps, mail: { server, from, fromName } }: Config): object {
  if (server === undefined) throw new Error('there is no mail server');
  const [app] = apps;
  const sender = from || `notifications@${app?.domain ?? 'localhost'}`;
  const host = server.host.includes(':') ? `[${server.host}]` : server.host;
  const each = (list: string): string =>
    `{{ range ${list} }}{{ .Annotations.what }}\n\nWhat it means: {{ .Annotations.means }}\nWhat to do: {{ .Annotations.next }}\nSince: {{ .StartsAt.UTC.Format "2006-01-02 15:04 UTC" }}\n\n{{ end }}`;
  return {
    global: {
      smtp_smarthost: `${host}:${server.port}`,
      smtp_from: fromName === undefined ? sender : senderOf(fromName, sender),
      smtp_hello: app?.domain,
      // Port 465 is TLS from the start, whatever this says.
      smtp_require_tls: server.security === 'starttls',
      ...(server.user === undefined
        ? {}
        : { smtp_auth_username: server.user, smtp_auth_password_file: '/tmp/password' }),
    },
    route: {
      receiver: 'owner',
      group_by: ['alertname'],
      group_wait: '30s',
      group_interval: '5m',
      repeat_interval: '1d',
    },
    receivers: [
      {
        name: 'owner',
        email_configs: [
          {
            to: app?.email,
            send_resolved: true,
            headers: {
              Subject: `${name}: {{ if eq .Status "resolved" }}solved: {{ end }}{{ (index .Alerts 0).Annotations.what }}`,
              'Auto-Submitted': 'auto-generated',
            },
            html: '',
            text: `${each('.Alerts.Firing')}{{ if .Alerts.Resolved }}Solved:\n{{ range .Alerts.Resolved }}- {{ .Annotations.what }}\n{{ end }}\n{{ end }}Prometheus watches the site ${name}. On its host, \`fedi-setup status\` shows its state.\n`,
          },
        ],
      },
    ],
  };
}

const grafana = (config: Config): Record<string, string> => ({
  'grafana/datasources/prometheus.yaml': printYaml({
    apiVersion: 1,
    datasources: [
      {
        name: 'Prometheus',
        uid: 'prometheus',
        type: 'prometheus',
        access: 'proxy',
        url: 'http://monitoring_prometheus:9090',
        isDefault: true,
        jsonData: { timeInterval: INTERVAL },
      },
    ],
  }),
  'grafana/dashboards/boards.yaml': printYaml({
    apiVersion: 1,
    providers: [
      {
        name: 'fedi-setup',
        type: 'file',
        disableDeletion: true,
        options: { path: `${MOUNT}/grafana/boards` },
      },
      { name: 'Your own', type: 'file', disableDeletion: true, options: { path: `${MOUNT}/custom/boards` } },
    ],
  }),
  ...Object.fromEntries(
    boardsOf(config).map((board) => [
      `grafana/boards/${board.uid}.json`,
      `${JSON.stringify(board, null, 1)}\n`,
    ]),
  ),
});

/** Path in the site directory → text. */
export async function monitoringFiles(config: Config): Promise<Record<string, string>> {
  const isFull = config.monitoring?.isFull === true;
  const yaml = (value: object): string => `${OURS}\n${printYaml(value)}`;
  const files: Record<string, string> = {
    'scrape.yaml': yaml({ scrape_configs: scrapeConfigs(config) }),
    'rules.yaml': await readAsset('compose/monitoring/rules.yaml'),
    'blackbox.yaml': yaml(blackbox(config)),
    'textfile/site.prom': aboutSite(config),
    ...(Object.assign({}, ...serversOf(config).map(({ exporter }) => exporter.files)) as Record<
      string,
      string
    >),
    ...(isFull ? { 'prometheus.yaml': yaml(prometheus(config)), ...grafana(config) } : {}),
    ...(isFull && config.mail.server !== undefined
      ? { 'alertmanager.yaml': yaml(alertmanager(config)) }
      : {}),
  };
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`${FOLDER}/${name}`, text]));
}
