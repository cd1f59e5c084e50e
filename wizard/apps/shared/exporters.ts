/** Accounts and settings of the exporters, by which Prometheus reads the figures of the servers in containers. */
import { shellProgram } from '../../assets.ts';
import { service } from '../../stack/compose.ts';
import type { Exporter } from './server.ts';

/** The account that may only read statistics, in every server. */
export const MONITOR = 'fedi_monitor';

const program = (name: string, ...argv: readonly string[]): readonly string[] =>
  shellProgram(`apps/shared/programs/${name}`, argv);

export const postgresExporter = (app: string, server: string): Exporter => ({
  template: 'monitoring_postgres',
  image: 'postgres-exporter',
  port: 9187,
  up: 'pg_up',
  env: (password) => ({
    DATA_SOURCE_URI: `${server}:5432/${app}?sslmode=disable`,
    DATA_SOURCE_USER: MONITOR,
    DATA_SOURCE_PASS: password,
  }),
  account: (password) => ({
    // Over the network: the image trusts its loopback address.
    check: { argv: program('try-monitor-postgres.sh', server, MONITOR), stdin: `${password.reveal()}\n` },
    act: { argv: program('create-monitor-postgres.sh', MONITOR), stdin: `${password.reveal()}\n` },
  }),
});

export const mariadbExporter = (server: string): Exporter => ({
  template: 'monitoring_mariadb',
  image: 'mysqld-exporter',
  port: 9104,
  up: 'mysql_up',
  command: [
    `--mysqld.address=${server}:3306`,
    `--mysqld.username=${MONITOR}`,
    '--tls.insecure-skip-verify',
    '--no-collect.slave_status',
  ],
  env: (password) => ({ MYSQLD_EXPORTER_PASSWORD: password }),
  account: (password) => ({
    check: { argv: program('try-monitor-mariadb.sh', server, MONITOR), stdin: `${password.reveal()}\n` },
    act: { argv: program('create-monitor-mariadb.sh', MONITOR), stdin: `${password.reveal()}\n` },
  }),
});

/** Lists and sorted sets with jobs in a Valkey. */
export interface JobKeys {
  readonly lists: readonly string[];
  readonly sets: readonly string[];
}

/** What the exporter may call: counts, no contents. `config` is not among it, since it shows passwords. */
const ALLOWED =
  '+ping +info +select +hello +client|setname +client|setinfo +latency|latest +latency|histogram +slowlog|len +eval +llen +zcard';

/** In Lua: the number of jobs by key, as text. The exporter's own way to count logs an error for each empty queue. */
const countScript = ({ lists, sets }: JobKeys): string => {
  const rows = [...lists.map((key) => ['LLEN', key]), ...sets.map((key) => ['ZCARD', key])].map(
    ([command, key]) => `  '${key}', tostring(redis.call('${command}', '${key}')),\n`,
  );
  return `return {\n${rows.join('')}}\n`;
};

export const valkeyExporter = (server: string, jobs: JobKeys): Exporter => ({
  template: 'monitoring_valkey',
  image: 'redis-exporter',
  port: 9121,
  up: 'redis_up',
  command: [
    '--config-command=-',
    '--set-client-name=false',
    `--script=/etc/monitoring/scripts/${server}.lua`,
  ],
  files: { [`scripts/${server}.lua`]: countScript(jobs) },
  env: (password) => ({
    REDIS_ADDR: `redis://${server}:6379`,
    REDIS_USER: MONITOR,
    REDIS_PASSWORD: password,
  }),
  // Valkey keeps no accounts: it gets them at each start, on standard input.
  prepare: (file, env) => {
    const one = service(file, server);
    (one.env_file ??= []).push(env);
    const keys = [...jobs.lists, ...jobs.sets].map((key) => `~${key}`).join(' ');
    const end = 'requirepass $VALKEY_PASSWORD\n';
    one['command'] = (one['command'] as string[]).map((line) =>
      line.replace(
        end,
        () => `${end}user ${MONITOR} on >$REDIS_PASSWORD resetchannels ${keys} -@all ${ALLOWED}\n`,
      ),
    );
  },
});
