/** The alert rules, on made-up figures; the configuration of a site, read by Prometheus and Alertmanager. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseYaml, printYaml } from '../../wizard/yaml.ts';
import { needImages } from '../support/acme.ts';
import { render } from '../support/render.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly annotations: Readonly<Record<string, string>>;
    }[];
  }[];
}

const TEXT = readFileSync(new URL('../../compose/monitoring/rules.yaml', import.meta.url), 'utf8');
const RULES = (parseYaml(TEXT) as unknown as Rules).groups.flatMap(({ rules }) => rules);

type Series = Readonly<Record<string, string>>;

interface Case {
  readonly alert: string;
  /** Series → values, one a minute, in promtool's form. The alert fires at `at` for the first, and never for the second. */
  readonly broken: Series;
  readonly healthy: Series;
  readonly at?: string;
}

const QUEUE = 'fedi_jobs{app="a",server="v",key="queue:default",queue="default"}';
const LESS = 'fedi_certificate_least_seconds{instance="node"}';
const PAGE = 'probe_ssl_earliest_cert_expiry{instance="https://a.example.org/"}';
const CODE = (code: string): string => `caddy_http_request_duration_seconds_count{code="${code}"}`;
const SLOW = 'ruby_sidekiq_queue_latency_seconds{app="a",queue="default"}';
const DISK = '{mountpoint="/disk"}';
const REPOSITORY = '{repository="/mnt"}';

const CASES: readonly Case[] = [
  {
    alert: 'SiteDown',
    broken: { 'probe_success{instance="x"}': '0x60' },
    healthy: { 'probe_success{instance="x"}': '0 1 0 0 1x60' },
  },
  {
    alert: 'CertificateNotRenewed',
    broken: { [PAGE]: '90000x60', [LESS]: '864000x60' },
    healthy: { [PAGE]: '900000x60', [LESS]: '864000x60' },
  },
  {
    alert: 'ManyErrors',
    broken: { [CODE('200')]: '0+60x60', [CODE('502')]: '0+6x60' },
    healthy: { [CODE('200')]: '0+600x60', [CODE('502')]: '0+6x60' },
  },
  // Some jobs always wait, but the number falls now and then.
  {
    alert: 'QueueStuck',
    broken: { [QUEUE]: '5 5 6 7 7+1x60' },
    healthy: {
      [QUEUE]: '5 9 8 9 12 11 10 11 13 9 12 9 14 8 9 10 7 8 9 5 9 8 9 12 11 10 11 13 9 12 9 14 8 9',
    },
  },
  // A queue that is empty in between, and one that Prometheus saw only at times.
  {
    alert: 'QueueStuck',
    broken: { [QUEUE]: '1x60' },
    healthy: { [QUEUE]: '1 0 1 1 1 1 1 0 1 1 1 1 0 1 1 1 1 1 0 1 1 1 1 1 1 0 1 1 1 1 1 0 1 1 1' },
  },
  {
    alert: 'QueueStuck',
    broken: { [QUEUE]: '2x60' },
    healthy: { [QUEUE]: '1 _ _ 1 _ _ 1 _ _ 1 _ _ 1 _ _ 1 _ _ 1 _ _ 1 _ _ 1 _ _ 1' },
  },
  {
    alert: 'QueueSlow',
    broken: { [SLOW]: '400x60' },
    healthy: { [SLOW]: '200x60', [SLOW.replace('default', 'pull')]: '9000x60' },
  },
  {
    alert: 'NoWorker',
    broken: { 'up{job="ruby",app="a"}': '1x60', 'ruby_sidekiq_process_concurrency{app="a"}': '5x3 stale' },
    healthy: { 'up{job="ruby",app="a"}': '1x60', 'ruby_sidekiq_process_concurrency{app="a"}': '5x60' },
  },
  {
    alert: 'DatabaseDown',
    broken: { 'pg_up{server="d"}': '0x60' },
    healthy: { 'pg_up{server="d"}': '1x60', 'mysql_up{server="e"}': '1x60' },
  },
  {
    alert: 'DatabaseDown',
    broken: { 'mysql_up{server="d"}': '0x60' },
    healthy: { 'mysql_up{server="d"}': '0 1x60' },
  },
  {
    alert: 'ConnectionsUsedUp',
    broken: {
      'pg_stat_database_numbackends{server="d",datname="a"}': '95x60',
      'pg_settings_max_connections{server="d"}': '100x60',
    },
    healthy: {
      'pg_stat_database_numbackends{server="d",datname="a"}': '50x60',
      'pg_settings_max_connections{server="d"}': '100x60',
    },
  },
  {
    alert: 'ConnectionsUsedUp',
    broken: {
      'mysql_global_status_threads_connected{server="d"}': '95x60',
      'mysql_global_variables_max_connections{server="d"}': '100x60',
    },
    healthy: {
      'mysql_global_status_threads_connected{server="d"}': '5x60',
      'mysql_global_variables_max_connections{server="d"}': '100x60',
    },
  },
  {
    alert: 'ValkeyDown',
    broken: { 'redis_up{server="v"}': '0x60' },
    healthy: { 'redis_up{server="v"}': '1x60' },
  },
  {
    alert: 'ValkeyFull',
    broken: {
      'redis_memory_used_bytes{server="v"}': '95x60',
      'redis_memory_max_bytes{server="v"}': '100x60',
    },
    // Without a limit the exporter says 0.
    healthy: {
      'redis_memory_used_bytes{server="v"}': '95x60',
      'redis_memory_max_bytes{server="v"}': '0x60',
      'redis_evicted_keys_total{server="v"}': '0x60',
    },
  },
  {
    alert: 'ValkeyFull',
    broken: { 'redis_evicted_keys_total{server="v"}': '0+5x60' },
    healthy: { 'redis_evicted_keys_total{server="v"}': '5x60' },
  },
  {
    alert: 'DiskAlmostFull',
    broken: {
      [`node_filesystem_avail_bytes${DISK}`]: '9x60',
      [`node_filesystem_size_bytes${DISK}`]: '100x60',
    },
    healthy: {
      [`node_filesystem_avail_bytes${DISK}`]: '11x60',
      [`node_filesystem_size_bytes${DISK}`]: '100x60',
    },
  },
  {
    alert: 'DiskFullSoon',
    at: '10h',
    broken: {
      [`node_filesystem_avail_bytes${DISK}`]: '400000-100x600',
      [`node_filesystem_size_bytes${DISK}`]: '1000000x600',
    },
    // As fast, but two thirds are free: often a copy that ends.
    healthy: {
      [`node_filesystem_avail_bytes${DISK}`]: '700000-20x600',
      [`node_filesystem_size_bytes${DISK}`]: '1000000x600',
    },
  },
  {
    alert: 'OtherDiskAlmostFull',
    broken: { 'fedi_disk_free_bytes{path="/b"}': '1000000x60' },
    healthy: { 'fedi_disk_free_bytes{path="/b"}': '9000000000x60' },
  },
  {
    alert: 'MemoryLow',
    broken: { node_memory_MemAvailable_bytes: '5x60', node_memory_MemTotal_bytes: '100x60' },
    healthy: { node_memory_MemAvailable_bytes: '20x60', node_memory_MemTotal_bytes: '100x60' },
  },
  {
    alert: 'OutOfMemory',
    broken: { node_vmstat_oom_kill: '0x20 1x10' },
    healthy: { node_vmstat_oom_kill: '7x60' },
  },
  {
    alert: 'BackupFailed',
    broken: { [`fedi_backup_failed${REPOSITORY}`]: '1x60' },
    healthy: { [`fedi_backup_failed${REPOSITORY}`]: '0x60' },
  },
  {
    alert: 'BackupLate',
    at: '3h',
    broken: {
      [`fedi_backup_last_timestamp_seconds${REPOSITORY}`]: '0x300',
      fedi_backup_every_seconds: '3600x300',
    },
    healthy: {
      [`fedi_backup_last_timestamp_seconds${REPOSITORY}`]: '0x300',
      fedi_backup_every_seconds: '86400x300',
    },
  },
  {
    alert: 'MaintenanceMissing',
    at: '8h',
    broken: { fedi_backup_every_seconds: '3600x600', fedi_maintain_timestamp_seconds: '0x600' },
    healthy: { fedi_backup_every_seconds: '3600x600', fedi_maintain_timestamp_seconds: '0+60x600' },
  },
  // The timer was never installed; no backups are configured.
  {
    alert: 'MaintenanceMissing',
    at: '8h',
    broken: { fedi_backup_every_seconds: '3600x600' },
    healthy: { 'up{job="node"}': '1x600' },
  },
  {
    alert: 'ExporterDown',
    broken: { 'up{job="node",instance="n"}': '0x60' },
    healthy: { 'up{job="node",instance="n"}': '0 0 0 1x60' },
  },
  {
    alert: 'AlertsNotSent',
    broken: { alertmanager_notifications_failed_total: '0+1x60' },
    healthy: {
      alertmanager_notifications_failed_total: '3x60',
      prometheus_rule_evaluation_failures_total: '0x60',
    },
  },
];

const IMAGE = { prometheus: 'fedi-setup/prometheus:trixie', alertmanager: 'fedi-setup/alertmanager:trixie' };
/** Runs a program of an image; the directory is mounted at /work. Returns its output; throws with it if the program fails. */
function inImage(image: string, folder: string, ...argv: readonly string[]): string {
  const [entry = '', ...rest] = argv;
  return execFileSync(
    'docker',
    [
      'run',
      '--rm',
      '--pull=never',
      '--network=none',
      '--user=0:0',
      `--volume=${folder}:/work:ro`,
      '--workdir=/work',
      `--entrypoint=${entry}`,
      image,
      ...rest,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
  );
}

let folder = '';
beforeAll(() => {
  needImages('prometheus', 'alertmanager');
  folder = tempFolder();
  writeTree(folder, { 'rules.yaml': TEXT });
});

/** Whether an alert fires, as promtool counts it. */
const expected = ({ alert, at = '25m' }: Case, series: Series, fires: boolean): object => ({
  interval: '1m',
  input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
  promql_expr_test: [
    {
      expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
      eval_time: at,
      exp_samples: fires ? [{ labels: '{}', value: 1 }] : [],
    },
  ],
});

describe('alert rules', () => {
  test('each has a case', () => {
    expect(new Set(CASES.map(({ alert }) => alert))).toEqual(new Set(RULES.map(({ alert }) => alert)));
  });

  test('fire when something is broken, and only then', () => {
    const tests = CASES.flatMap((one) => [
      expected(one, one.broken, true),
      expected(one, one.healthy, false),
    ]);
    writeTree(folder, {
      'tests.yaml': printYaml({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests }),
    });
    expect(inImage(IMAGE.prometheus, folder, 'promtool', 'test', 'rules', 'tests.yaml')).toContain('SUCCESS');
  });

  test('a rule that never fires is found', () => {
    const [one] = CASES as [Case];
    writeTree(folder, {
      'wrong.yaml': printYaml({
        rule_files: ['rules.yaml'],
        evaluation_interval: '1m',
        tests: [expected(one, one.healthy, true)],
      }),
    });
    expect(() => inImage(IMAGE.prometheus, folder, 'promtool', 'test', 'rules', 'wrong.yaml')).toThrow(
      /FAILED/,
    );
  });

  test('the text of an alert has the figures', () => {
    const alert_rule_test = [
      {
        eval_time: '25m',
        alertname: 'QueueStuck',
        exp_alerts: [
          {
            exp_labels: { app: 'a', server: 'v', key: 'queue:default', queue: 'default' },
            exp_annotations: {
              ...RULES.find(({ alert }) => alert === 'QueueStuck')?.annotations,
              what: 'No worker takes jobs from the queue default of a; 5 wait.',
            },
          },
        ],
      },
    ];
    writeTree(folder, {
      'text.yaml': printYaml({
        rule_files: ['rules.yaml'],
        evaluation_interval: '1m',
        tests: [{ interval: '1m', input_series: [{ series: QUEUE, values: '5x60' }], alert_rule_test }],
      }),
    });
    expect(inImage(IMAGE.prometheus, folder, 'promtool', 'test', 'rules', 'text.yaml')).toContain('SUCCESS');
  });

  test.each(RULES.map((rule) => [rule.alert, rule] as const))(
    '%s says what to do, by a command',
    (_, { annotations }) => {
      expect(Object.keys(annotations).toSorted()).toEqual(['means', 'next', 'what']);
      expect(annotations['next']).toMatch(/`fedi-setup [a-z]+[^`]*`/);
    },
  );
});

describe.each([
  [
    'port 465',
    {
      'mail.mode': 'smtp',
      'mail.host': 'smtp.example.org',
      'mail.port': '465',
      'mail.user': 'anna',
      'tls.mode': 'acme',
    },
  ],
  [
    'STARTTLS, a name in quotes',
    {
      'mail.mode': 'smtp',
      'mail.host': 'smtp.example.org',
      'mail.port': '587',
      'mail.from': 'Ann, A <a@example.org>',
      'tls.mode': 'acme',
    },
  ],
  ['the catcher', { 'mail.mode': 'catcher', 'tls.mode': 'internal' }],
])('the configuration with %s', (_, answers) => {
  let site = '';
  beforeAll(async () => {
    site = tempFolder();
    const { files } = await render({
      apps: 'mastodon,pixelfed',
      'apps.mastodon.domain': 'm.example.org',
      'apps.mastodon.admin': 'anna',
      'apps.mastodon.email': 'anna@example.org',
      'apps.mastodon.size': '2gb',
      'apps.pixelfed.domain': 'p.example.org',
      'apps.pixelfed.admin': 'anna',
      'apps.pixelfed.email': 'anna@example.org',
      'apps.pixelfed.size': '2gb',
      'monitoring.mode': 'full',
      ...answers,
    });
    writeTree(site, Object.fromEntries(files.map(({ path, text }) => [path, text])));
  });

  test('is accepted by Prometheus', () => {
    expect(
      inImage(IMAGE.prometheus, join(site, 'monitoring'), 'promtool', 'check', 'config', 'prometheus.yaml'),
    ).toContain('SUCCESS');
  });
  test('is accepted by Alertmanager', () => {
    expect(
      inImage(IMAGE.alertmanager, join(site, 'monitoring'), 'amtool', 'check-config', 'alertmanager.yaml'),
    ).toContain('SUCCESS');
  });
});
