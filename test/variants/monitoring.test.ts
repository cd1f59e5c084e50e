/**
 * A site with Mastodon and Pixelfed that is monitored: real exporters, Prometheus and Alertmanager from Debian's packages; of Grafana
 * only a stand-in, which draws nothing. Mastodon is the stand-in with the gem that the original sends its metrics by.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseYaml, printYaml } from '../../wizard/yaml.ts';
import { needImages } from '../support/acme.ts';
import { isOfficial, mastodonAnswers } from '../support/mastodon-images.ts';
import { monitoringImages } from '../support/monitoring.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, environment, logsOf, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 20 * 60_000;
/** Scrapes are half a minute apart, and many figures need two of them. */
const SOON = { timeout: 5 * 60_000, interval: 2000 };
const site = testSite('monitor', 190);
const env: NodeJS.ProcessEnv = {
  ...site.env,
  ...mastodonAnswers(`mon-m.${site.domain}`),
  ...pixelfedAnswers(`mon-p.${site.domain}`),
  ...monitoringImages(),
  FEDI_APPS: 'mastodon,pixelfed',
  FEDI_MAIL_MODE: 'catcher',
  FEDI_MONITORING_MODE: 'full',
  FEDI_MONITORING_PORT: '3010',
};
if (!isOfficial) {
  needImages('mastodon-metrics');
  env['FEDI_IMAGES_MASTODON'] = 'fedi-setup/mastodon-metrics:trixie';
}

const id = (service: string): string => site.containers()[service] ?? 'none';
const run = (...argv: string[]): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment() });
/** A shell line in a container; its exit code and all of its output. */
function sh(service: string, line: string): { readonly code: number; readonly text: string } {
  const { status, stdout, stderr } = spawnSync('docker', ['exec', id(service), 'sh', '-c', line], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return { code: status ?? -1, text: stdout + stderr };
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

function api<T>(path: string): T {
  const { code, text } = sh('monitoring_prometheus', `wget -q -O - 'http://127.0.0.1:9090/api/v1/${path}'`);
  expect(code, text).toBe(0);
  return (JSON.parse(text) as { data: T }).data;
}
const query = (promql: string): readonly Sample[] =>
  api<{ result: readonly Sample[] }>(`query?query=${encodeURIComponent(promql).replaceAll("'", '%27')}`)
    .result;

const secrets = (): Readonly<Record<string, { readonly value: string }>> =>
  (JSON.parse(site.read('secrets.json')) as { secrets: Record<string, { value: string }> }).secrets;

interface Board {
  readonly uid: string;
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
}
const BOARDS = ['overview', 'web', 'queues', 'database', 'storage'];
const boards = (): Board[] =>
  BOARDS.map((name) => JSON.parse(site.read(`monitoring/grafana/boards/${name}.json`)) as Board);

interface Rule {
  readonly alert: string;
  expr: string;
  for?: string;
}

/** The site's rules, with other limits and without waiting, as the administrator's own. */
function hurry(change: (rule: Rule) => Rule): void {
  const { groups } = parseYaml(site.read('monitoring/rules.yaml')) as unknown as {
    groups: { name: string; rules: Rule[] }[];
  };
  const rules = groups.flatMap((group) => group.rules).map((rule) => change({ ...rule, for: '0s' }));
  const folder = join(site.folder, 'monitoring/custom/rules');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'fast.yaml'), printYaml({ groups: [{ name: 'fast', interval: '10s', rules }] }));
  docker('restart', id('monitoring_prometheus'));
}

/** Mails about an alert that arrived in the catcher. */
async function mails(
  about: string,
): Promise<readonly { readonly subject: string; readonly text: string; readonly to: string }[]> {
  const { events } = await run('mail', '--json');
  return (events as unknown as { event: string; subject: string; text: string; to: string }[]).filter(
    ({ event, subject, text }) =>
      event === 'mail' && subject.startsWith(`${site.name}: `) && `${subject}${text}`.includes(about),
  );
}
const arrives = (about: string): Promise<unknown> =>
  expect.poll(async () => (await mails(about)).length, SOON).toBeGreaterThan(0);

afterAll(() => site.remove());
beforeAll(async () => {
  const first = await site.apply([], { env });
  expect(first.code, first.stderr).toBe(0);
}, PATIENCE_MS);

describe.sequential('a monitored site', { timeout: PATIENCE_MS }, () => {
  test('the second run has nothing to do', async () => {
    const { code, events } = await site.apply([], { env });
    expect([code, events.some(({ event }) => event === 'unchanged')]).toEqual([0, true]);
  });

  test('Prometheus reaches every target', async () => {
    await expect.poll(() => query('up == 0').map(({ metric }) => metric['instance']), SOON).toEqual([]);
    const jobs = query('count by (job) (up)').map(({ metric }) => metric['job']);
    expect(jobs.toSorted()).toEqual(
      ['alertmanager', 'caddy', 'mariadb', 'node', 'postgres', 'probe', 'prometheus', 'ruby', 'streaming', 'valkey'], // prettier-ignore
    );
    await expect.poll(() => query('probe_success == 1').length, SOON).toBe(3);
    for (const up of ['pg_up', 'mysql_up', 'redis_up'])
      // The exporters start before their accounts are there.
      await expect
        .poll(() => query(up).map(({ value }) => value[1]), { ...SOON, message: up })
        .not.toContain('0');
  });

  test('every query of every board returns data', async () => {
    await run('maintain');
    const empty = (): string[] =>
      boards().flatMap(({ uid, panels }) =>
        panels.flatMap(({ title, targets }) =>
          targets.flatMap(({ expr }) =>
            // The stand-in has no database driver for the gem to measure.
            /_sql_duration_/.test(expr) || query(expr.replaceAll('$__rate_interval', '5m')).length > 0
              ? []
              : [`${uid}: ${title}: ${expr}`],
          ),
        ),
      );
    await expect.poll(empty, { ...SOON, interval: 15_000 }).toEqual([]);
  });

  test('every rule is evaluated without an error, and nothing fires', async () => {
    const { groups } = api<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>(
      'rules',
    );
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(15);
    expect(rules.filter(({ health, lastError }) => health !== 'ok' || lastError !== undefined)).toEqual([]);
    expect(query('ALERTS{alertstate="firing"}').map(({ metric }) => metric['alertname'])).toEqual([]);
  });

  test('Grafana lists the boards to its owner only, on the loopback address', async () => {
    const get = (path: string, auth?: string): Promise<{ status: number | undefined; text: string }> =>
      new Promise((resolve, reject) => {
        request({ host: site.bind, port: 3010, path, ...(auth === undefined ? {} : { auth }) }, (reply) => {
          let text = '';
          reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          reply.on('end', () => resolve({ status: reply.statusCode, text }));
        })
          .on('error', reject)
          .end();
      });
    const login = `admin:${secrets()['monitoring.grafana']?.value ?? ''}`;
    expect((await get('/api/search')).status).toBe(401);
    const { text } = await get('/api/search', login);
    expect((JSON.parse(text) as { uid: string }[]).map(({ uid }) => uid).toSorted()).toEqual(
      BOARDS.toSorted(),
    );
    const proxied = await get('/api/datasources/proxy/uid/prometheus/api/v1/query?query=up', login);
    expect(proxied.text).toContain('monitoring_node');
    expect(docker('port', id('monitoring_grafana'))).toBe(`3000/tcp -> ${site.bind}:3010`);
  });

  test('no secret is in metrics, in labels, in configurations or in logs', () => {
    const values = Object.values(secrets()).map(({ value }) => value);
    const targets = api<{ activeTargets: { scrapeUrl: string }[] }>('targets').activeTargets.map(({ scrapeUrl }) => scrapeUrl); // prettier-ignore
    const pages = targets.map((url) => sh('monitoring_prometheus', `wget -q -O - '${url}'`).text);
    expect(Math.min(...pages.map(({ length }) => length))).toBeGreaterThan(100);
    const more = [
      JSON.stringify(api('status/config')),
      JSON.stringify(api('label/__name__/values')),
      JSON.stringify(query('{__name__=~".+"}')),
      ...Object.entries(site.containers()).flatMap(([name, one]) => (name.startsWith('monitoring_') ? [logsOf(one)] : [])), // prettier-ignore
    ];
    const all = [...pages, ...more].join('\n');
    expect(values.filter((value) => all.includes(value))).toEqual([]);
    // The same search finds what is there.
    expect(all).toContain('monitoring_node');
  });

  test('the exporters’ accounts read statistics, and no data', () => {
    const password = (server: string): string => secrets()[`monitoring.${server}`]?.value ?? '';
    const postgres = (sql: string): string =>
      sh('mastodon_db', `PGPASSWORD=${password('mastodon-db')} psql -h mastodon_db -U fedi_monitor -d mastodon -c '${sql}'`).text; // prettier-ignore
    expect(postgres('select count(*) from pg_stat_activity')).toContain('1 row');
    expect(postgres('select * from users')).toContain('permission denied');
    expect(postgres('create table public.x ()')).toContain('permission denied');
    const mariadb = (sql: string): string =>
      sh('pixelfed_db', `MYSQL_PWD=${password('pixelfed-db')} mariadb -h pixelfed_db -u fedi_monitor -e '${sql}'`).text; // prettier-ignore
    expect(mariadb('show global status like "Uptime"')).toContain('Uptime');
    expect(mariadb('select * from pixelfed.users')).toMatch(/denied/);
    const valkey = (command: string): string =>
      sh('mastodon_valkey', `REDISCLI_AUTH=${password('mastodon-valkey')} valkey-cli --user fedi_monitor ${command}`).text; // prettier-ignore
    expect(valkey('llen queue:default')).toMatch(/^\d+$/m);
    for (const command of [
      'lrange queue:default 0 1',
      'config get requirepass',
      'keys "*"',
      'get x',
      'llen other',
      'flushall',
    ])
      expect(valkey(command), command).toContain('NOPERM');
  });

  test('apps do not reach Prometheus, and Caddy’s administration stays closed', () => {
    for (const name of ['mastodon_web', 'pixelfed_web'])
      expect(sh(name, 'curl -sS -m 5 http://monitoring_prometheus:9090/').text).toContain(
        'Could not resolve host',
      );
    expect(sh('monitoring_prometheus', 'wget -q -O - -T 5 http://caddy:2024/metrics').text).toContain(
      'caddy_http',
    );
    expect(sh('monitoring_prometheus', 'wget -q -O - -T 5 http://caddy:2019/config/').code).not.toBe(0);
    expect(sh('monitoring_prometheus', 'wget -q -O - -T 5 http://caddy:2024/').code).not.toBe(0);
  });

  test('alerts arrive by mail: workers that are stopped, a page, a certificate, a disk', async () => {
    hurry((rule) =>
      rule.alert === 'QueueStuck'
        ? { ...rule, expr: rule.expr.replaceAll('[10m]', '[3m]').replace('>= 8', '>= 3') }
        : rule.alert === 'CertificateNotRenewed'
          ? {
              ...rule,
              expr: rule.expr.replace(
                'fedi_certificate_least_seconds',
                '(fedi_certificate_least_seconds * 100)',
              ),
            }
          : rule.alert === 'DiskAlmostFull'
            ? { ...rule, expr: rule.expr.replace('< 0.1', '< 1.01') }
            : rule,
    );
    docker('stop', id('mastodon_sidekiq'));
    docker(...`exec ${id('mastodon_web')} bundle exec rails runner`.split(' '), '3.times { PostProcessMediaWorker.perform_async(0) }'); // prettier-ignore
    docker('stop', id('pixelfed_web'));
    await arrives('/api/service/health-check does not answer.');
    await arrives('was not renewed.');
    await arrives('of the disk with Docker’s data is free.');
    await arrives('No worker of mastodon has reported');
    await arrives('No worker takes jobs from the queue default of mastodon; 3 wait.');
    const [down] = await mails('/api/service/health-check does not answer.');
    expect(down).toMatchObject({ to: 'anna@fedi.test' });
    expect(down?.text).toContain('What it means: People cannot use this page.');
    expect(down?.text).toContain('What to do: Run `fedi-setup status`');
  });

  test('they are solved, and that is mailed too', async () => {
    docker('start', id('mastodon_sidekiq'), id('pixelfed_web'));
    await expect
      .poll(() => query('ALERTS{alertstate="firing",alertname=~"SiteDown|NoWorker|QueueStuck"}').length, SOON)
      .toBe(0);
    await expect
      .poll(
        async () => (await mails('does not answer.')).some(({ subject }) => subject.includes('solved: ')),
        { ...SOON, timeout: 8 * 60_000 },
      )
      .toBe(true);
  });

  test('an exporter that is down is an alert; the account is created again on request', async () => {
    docker('stop', id('monitoring_mastodon_valkey'));
    await arrives('Prometheus gets no metrics from monitoring_mastodon_valkey:9121');
    docker('start', id('monitoring_mastodon_valkey'));
    sh(
      'mastodon_db',
      'psql -U mastodon -d mastodon -c "alter role fedi_monitor nologin" -c "select pg_terminate_backend(pid) from pg_stat_activity where usename = \'fedi_monitor\'"',
    );
    await expect.poll(() => query('pg_up == 0').length, SOON).toBe(1);
    const rotated = await run(
      'secrets',
      'rotate',
      'monitoring.mastodon-db',
      '--confirm',
      'monitoring.mastodon-db',
    );
    expect(rotated.code, rotated.stderr).toBe(0);
    await expect.poll(() => query('pg_up == 1').length, SOON).toBe(1);
  });

  test('doctor finds what does not answer; the site works without Prometheus', async () => {
    docker('stop', id('monitoring_prometheus'));
    const { events } = await run('doctor', '--json');
    expect(events).toContainEqual(
      expect.objectContaining({
        event: 'finding',
        what: expect.stringContaining('monitoring_prometheus has stopped'),
      }),
    );
    expect((await run('prove')).code).toBe(0);
    docker('start', id('monitoring_prometheus'));
  });

  test('without monitoring, nothing of it is left but its figures', async () => {
    const off = await site.apply(['--monitoring-mode', 'off'], { env: { ...env, FEDI_MONITORING_MODE: '' } });
    expect(off.code, off.stderr).toBe(0);
    expect(Object.keys(site.containers()).filter((name) => /monitoring|metrics/.test(name))).toEqual([]);
    expect(docker('network', 'ls', '--format', '{{.Name}}').split('\n').filter((name) => name.startsWith(`${site.name}_monitoring`))).toEqual([]); // prettier-ignore
    // The image of the tests has it in its name.
    expect(site.read('compose.yaml').replaceAll('mastodon-metrics:', '')).not.toMatch(
      /monitoring|METRICS|exporter/i,
    );
  });
});
