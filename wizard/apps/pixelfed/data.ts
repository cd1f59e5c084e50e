/** Pixelfed's database (MariaDB or PostgreSQL) and Redis: in containers or on external servers. */
import type { Question } from '../../config/question.ts';
import { dropService } from '../../render/compose.ts';
import type { ComposeFile } from '../../render/compose.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Command } from '../../docker/engine.ts';
import type { EnvGroup } from '../../render/env.ts';
import type { DataFolder, ImageSpec, Rotation, DataMarker, ServerMarker, Trial } from '../app.ts';
import {
  PUBLIC_CAS,
  REDIS as ANY_REDIS,
  FINGERPRINT_KEY,
  SSL_MODES,
  SERVER_HINT,
  numberAt,
  numberOf,
  redisNote,
  redisProblem,
  serverOf,
  serverQuestions,
} from '../external.ts';
import type { RedisInfo, Server, ServerKind } from '../external.ts';
import { postgresEnv, changePostgresPassword } from '../postgres.ts';
import { isOlder, numbersOf } from '../../versions.ts';
import type { LocalDatabase, PixelfedOptions } from './options.ts';
import { connectionsOf } from './size.ts';

const APP = 'pixelfed';

const isPostgres = ({ scheme }: Server): boolean => scheme.startsWith('postgres');

/** TLS options of a URL: PostgreSQL's, and those of MySQL that PHP supports (it encrypts only if it verifies the certificate). */
const TLS = { postgres: { sslmode: SSL_MODES }, mysql: { 'ssl-mode': ['DISABLED', 'VERIFY_IDENTITY'] } };

const DATABASE: ServerKind = {
  key: 'database',
  name: 'MariaDB or PostgreSQL',
  schemes: { mysql: 3306, mariadb: 3306, postgresql: 5432, postgres: 5432 },
  example:
    'mysql://pixelfed:PASSWORD@db.example.org:3306/pixelfed?ssl-mode=VERIFY_IDENTITY, or postgresql://…?sslmode=require',
  path: /^[^/]+$/,
  local: [
    { value: 'mariadb', name: 'MariaDB in a container' },
    { value: 'postgresql', name: 'PostgreSQL in a container' },
  ],
  options: (server) => (isPostgres(server) ? TLS.postgres : TLS.mysql),
};

const REDIS: ServerKind = {
  ...ANY_REDIS,
  example: `${ANY_REDIS.example} (Pixelfed also uses the next number, for its cache)`,
};

export const dataQuestions: readonly Question[] = [DATABASE, REDIS].flatMap((kind) =>
  serverQuestions(APP, kind),
);

/** Image of the database → its service. */
const SERVICES = { mariadb: 'pixelfed_db', postgresql: 'pixelfed_postgres' } as const satisfies Record<
  LocalDatabase,
  string
>;

/** The user of the mariadb, postgres and valkey images. */
const OWNER = '999:999';

export const dataImages: Readonly<Record<string, ImageSpec<PixelfedOptions>>> = {
  mariadb: {
    reference: 'docker.io/library/mariadb:11.8',
    when: ({ database }) => database === 'mariadb',
    data: { parts: 2 },
  },
  postgres: {
    reference: 'docker.io/library/postgres:17-trixie',
    when: ({ database }) => database === 'postgresql',
    data: { parts: 1, fixed: true },
  },
  valkey: {
    reference: 'docker.io/valkey/valkey:8.1-trixie',
    when: ({ hasValkey }) => hasValkey,
    data: { parts: 1 },
  },
};

export const dataFolders: readonly DataFolder<PixelfedOptions>[] = [
  {
    volume: ({ database = 'mariadb' }) => SERVICES[database],
    what: 'the database',
    name: 'db-dir',
    owner: OWNER,
    when: ({ database }) => database !== undefined,
  },
  {
    volume: 'pixelfed_valkey',
    what: 'Valkey',
    name: 'valkey-dir',
    owner: OWNER,
    when: ({ hasValkey }) => hasValkey,
  },
];

/** Removes the database and Valkey services that the options do not use. */
export function shapeData(compose: ComposeFile, { database, hasValkey }: PixelfedOptions): void {
  const kept = database === undefined ? undefined : SERVICES[database];
  for (const name of Object.values(SERVICES)) {
    if (name !== kept) dropService(compose, name, name === SERVICES.mariadb ? kept : undefined);
    else delete compose.services[name]?.['profiles'];
  }
  if (!hasValkey) dropService(compose, 'pixelfed_valkey');
}

type Secrets = (name: string) => Secret;

/** Variables of the database and Valkey services. */
export function serverEnv(
  { database, hasValkey }: PixelfedOptions,
  secret: Secrets,
): Record<string, EnvGroup> {
  return {
    ...(database === 'mariadb'
      ? {
          'pixelfed-db': {
            MARIADB_DATABASE: 'pixelfed',
            MARIADB_USER: 'pixelfed',
            MARIADB_PASSWORD: secret('pixelfed.db'),
            MARIADB_ROOT_PASSWORD: secret('pixelfed.db-root'),
            MARIADB_ROOT_HOST: 'localhost',
            // Upgrades the system tables after an upgrade of MariaDB.
            MARIADB_AUTO_UPGRADE: 1,
          },
        }
      : {}),
    ...(database === 'postgresql'
      ? {
          'pixelfed-postgres': postgresEnv('pixelfed', secret('pixelfed.db')),
        }
      : {}),
    ...(hasValkey ? { 'pixelfed-valkey': { VALKEY_PASSWORD: secret('pixelfed.valkey') } } : {}),
  };
}

/** Variables by which Laravel finds database and Redis. */
export const dataEnv = (options: PixelfedOptions, secret: Secrets): EnvGroup => ({
  ...databaseEnv(options, secret),
  ...redisEnv(options, secret),
});

function databaseEnv({ database: local }: PixelfedOptions, secret: Secrets): EnvGroup {
  const server: Pick<Server, 'host' | 'port' | 'name' | 'user' | 'password'> & Partial<Server> =
    local === undefined
      ? serverOf(APP, DATABASE, secret)
      : {
          host: SERVICES[local],
          port: local === 'mariadb' ? 3306 : 5432,
          name: 'pixelfed',
          user: 'pixelfed',
          password: secret('pixelfed.db'),
        };
  const pgsql = local === 'postgresql' || (server.scheme?.startsWith('postgres') ?? false);
  const sslmode = server.options?.get('sslmode') ?? undefined;
  return {
    // Laravel's `mariadb` driver is too strict for Pixelfed's queries (upstream's #6082).
    DB_CONNECTION: pgsql ? 'pgsql' : 'mysql',
    DB_HOST: server.host,
    DB_PORT: server.port,
    DB_DATABASE: server.name,
    DB_USERNAME: server.user,
    DB_PASSWORD: server.password,
    // The name of UTF-8 differs.
    DB_CHARSET: pgsql ? 'utf8' : 'utf8mb4',
    DB_COLLATION: pgsql ? undefined : 'utf8mb4_unicode_ci',
    DB_SSLMODE: sslmode,
    // Read by libpq.
    PGSSLROOTCERT: sslmode?.startsWith('verify') ? PUBLIC_CAS : undefined,
    MYSQL_ATTR_SSL_CA: server.options?.get('ssl-mode') === 'VERIFY_IDENTITY' ? PUBLIC_CAS : undefined,
  };
}

function redisEnv({ hasValkey }: PixelfedOptions, secret: Secrets): EnvGroup {
  const server: Pick<Server, 'host' | 'port' | 'password'> & Partial<Server> = hasValkey
    ? { host: 'pixelfed_valkey', port: 6379, password: secret('pixelfed.valkey') }
    : serverOf(APP, REDIS, secret);
  const tls = server.scheme === 'rediss';
  const number = numberOf(server);
  return {
    REDIS_CLIENT: 'phpredis',
    REDIS_SCHEME: tls ? 'tls' : undefined,
    // Some of Pixelfed's connections ignore REDIS_SCHEME; all of them accept the scheme in the host.
    REDIS_HOST: `${tls ? 'tls://' : ''}${server.host}`,
    REDIS_PORT: server.port,
    REDIS_USERNAME: server.user || undefined,
    REDIS_PASSWORD: server.password,
    // Renamed by 0.14; the second is the older name.
    REDIS_DB: number,
    REDIS_DATABASE: number,
    // `cache:clear` empties this database. The default, number 1, may belong to another program.
    ...(hasValkey ? {} : { REDIS_CACHE_DB: number + 1, REDIS_DATABASE_SESSION: number + 1 }),
  };
}

/** Whether the URL of an external database requires TLS: older versions ignore that silently. */
export function wantsTls({ database }: PixelfedOptions, find: (name: string) => Secret | undefined): boolean {
  const address = find(`apps.${APP}.${DATABASE.key}-url`);
  if (database !== undefined || address === undefined) return false;
  const { options } = serverOf(APP, DATABASE, () => address);
  const mode = options.get('sslmode') ?? options.get('ssl-mode') ?? '';
  return /^(require|verify)/i.test(mode);
}

/** PHP in the app: prints the cipher of its database connection, or an empty line. */
export const CIPHER = `$row = (array) $app['db']->selectOne($app['db']->getDriverName() === 'pgsql' ? 'select cipher from pg_stat_ssl where pid = pg_backend_pid()' : "show session status like 'Ssl_cipher'");
echo end($row), PHP_EOL;`;

/** PHP with `$db`: connected as Laravel connects, by the same variables. Errors go to standard error. */
const connected = (script: string): string => `
error_reporting(0);
try {
  $pg = getenv('DB_CONNECTION') === 'pgsql';
  $ca = getenv('MYSQL_ATTR_SSL_CA');
  $at = 'host='.getenv('DB_HOST').';port='.getenv('DB_PORT').';dbname='.($pg ? "'".getenv('DB_DATABASE')."'" : getenv('DB_DATABASE'));
  $db = new PDO(
    $pg ? "pgsql:$at;sslmode=".(getenv('DB_SSLMODE') ?: 'prefer') : "mysql:$at;charset=utf8mb4",
    getenv('DB_USERNAME'), getenv('DB_PASSWORD'),
    [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 10] + (!$pg && $ca ? [1009 => $ca] : []),
  );
  ${script}
} catch (Throwable $e) {
  fwrite(STDERR, trim(preg_replace('/^SQLSTATE\\\\[\\\\w+\\\\]:?( \\\\[\\\\d+\\\\])? ?/', '', $e->getMessage())).PHP_EOL);
  exit(1);
}`;

const php = (script: string): string[] => ['php', '-r', connected(script)];

/** Preparing a statement checks the required rights without executing it. */
const EXAMINE = `
  $row = $pg
    ? $db->query("select current_setting('server_version'), current_setting('max_connections'), getdatabaseencoding(), '', has_schema_privilege('public', 'create')::int")->fetch(PDO::FETCH_NUM)
    : $db->query('select version(), @@max_connections, @@character_set_database, @@collation_database, 1')->fetch(PDO::FETCH_NUM);
  if (!$pg) $db->exec("prepare fedi_setup from 'create table fedi_setup_trial (id int)'");
  echo json_encode($row);`;

/** Minimum versions, from upstream's documentation. */
const MINIMUM = { postgres: '10', mysql: '5.7', mariadb: '10.3' } as const;

function databaseProblem(stdout: string, needed: number): string | undefined {
  const [version = '', connections = '', encoding = '', collation = '', mayCreate = ''] = (
    JSON.parse(stdout) as unknown[]
  ).map(String);
  const mysql = collation !== '';
  const kind = !mysql ? 'postgres' : /mariadb/i.test(version) ? 'mariadb' : 'mysql';
  // MariaDB may prefix its version with 5.5.5- for old clients.
  if (isOlder(numbersOf(version.replace(/^5\.5\.5-/, '')) ?? [], numbersOf(MINIMUM[kind]) ?? []))
    return `it is older than ${MINIMUM[kind]} (${version}).`;
  if (Number(connections) < needed)
    return `it allows ${connections} connections; this size needs ${needed}. Raise max_connections, or use a smaller --pixelfed-size.`;
  if (mayCreate !== '1')
    return 'the user may not create tables. Make it the owner of the database (ALTER DATABASE … OWNER TO …).';
  if (!mysql)
    return encoding === 'UTF8' ? undefined : `the database is encoded as ${encoding}; it must be UTF8.`;
  if (encoding !== 'utf8mb4' || collation.includes('uca1400'))
    return `the database’s collation is ${collation}; it must be utf8mb4, with a collation that Pixelfed supports: ALTER DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci.`;
  return undefined;
}

/** PHP with `$redis`: connected as Laravel connects. Errors go to standard error. */
const redisPhp = (script: string): string[] => [
  'php',
  '-r',
  `
error_reporting(0);
try {
  $redis = new Redis;
  $redis->connect(getenv('REDIS_HOST'), (int) getenv('REDIS_PORT'), 10);
  $user = getenv('REDIS_USERNAME');
  $redis->auth($user ? [$user, getenv('REDIS_PASSWORD')] : getenv('REDIS_PASSWORD'));
  ${script}
} catch (Throwable $e) {
  fwrite(STDERR, $e->getMessage().PHP_EOL);
  exit(1);
}`,
];

const TRY_REDIS = `
  foreach (['REDIS_DB', 'REDIS_CACHE_DB'] as $name)
    if (!$redis->select((int) getenv($name))) throw new Exception('it has no database '.getenv($name).': '.$redis->getLastError());
  $memory = $redis->info('memory');
  echo json_encode(['version' => $redis->info('server')['redis_version'] ?? null, 'policy' => $memory['maxmemory_policy'] ?? null, 'maxmemory' => $memory['maxmemory'] ?? null]);`;

/** Horizon's minimum. */
const OLDEST_REDIS = 5;

export function dataTrials(options: PixelfedOptions): Trial[] {
  const trials: Trial[] = [];
  if (options.database === undefined) {
    trials.push({
      id: 'pixelfed.database',
      title: 'Your database for Pixelfed',
      image: APP,
      argv: php(EXAMINE),
      env: (secret) => databaseEnv(options, secret),
      problem: (stdout) => databaseProblem(stdout, connectionsOf(options.size)),
      hint: SERVER_HINT,
    });
  }
  if (!options.hasValkey) {
    trials.push({
      id: 'pixelfed.redis',
      title: 'Your Redis for Pixelfed',
      image: APP,
      argv: redisPhp(TRY_REDIS),
      env: (secret) => redisEnv(options, secret),
      problem: (stdout) => redisProblem(JSON.parse(stdout) as RedisInfo, OLDEST_REDIS),
      note: (stdout) => redisNote(JSON.parse(stdout) as RedisInfo),
      hint: SERVER_HINT,
    });
  }
  return trials;
}

export const pixelfedMarkers = (options: PixelfedOptions): DataMarker[] => [
  databaseMarker(options),
  ...(options.hasValkey ? [] : [redisMarker(options, 'redis', 0), redisMarker(options, 'cache', 1)]),
];

/** @param after offset from the database number in the URL */
function redisMarker(options: PixelfedOptions, storeName: string, after: number): ServerMarker {
  const at = (script: string): string[] =>
    redisPhp(`$redis->select(getenv('REDIS_DB') + ${after});\n  ${script}`);
  return {
    storeName,
    image: APP,
    place: (secret) => {
      const server = serverOf(APP, REDIS, secret);
      return numberAt(server, numberOf(server) + after);
    },
    env: (secret) => redisEnv(options, secret),
    read: at(`echo $redis->get('${FINGERPRINT_KEY}') ?: '';`),
    data: at(`echo $redis->dbSize() > 0 ? 't' : 'f';`),
    write: (text) => ({
      argv: at(
        `if (!$redis->set('${FINGERPRINT_KEY}', trim(stream_get_contents(STDIN)))) throw new Exception($redis->getLastError());`,
      ),
      stdin: text,
    }),
  };
}

/** A file in the database's volume; in an external database the comment of a table, which dumps include. */
function databaseMarker(options: PixelfedOptions): DataMarker {
  const { database: local } = options;
  if (local !== undefined) {
    const [image, mount, data] =
      local === 'mariadb'
        ? ['mariadb', '/var/lib/mysql', 'ibdata1']
        : ['postgres', '/var/lib/postgresql/data', 'pgdata/PG_VERSION'];
    return {
      service: SERVICES[local],
      image,
      volume: SERVICES[local],
      mount,
      data: `${mount}/${data}`,
      owner: OWNER,
    };
  }
  return {
    image: APP,
    place: (secret) => {
      const { host, port, name } = serverOf(APP, DATABASE, secret);
      return `the database ${name} at ${host}:${port}`;
    },
    env: (secret) => databaseEnv(options, secret),
    read: php(
      `echo $db->query($pg ? "select obj_description(to_regclass('public.fedi_setup'), 'pg_class')" : "select table_comment from information_schema.tables where table_schema = database() and table_name = 'fedi_setup'")->fetchColumn() ?: '';`,
    ),
    data: php(
      `echo $db->query("select count(*) from information_schema.tables where table_name in ('users', 'migrations') and table_schema = ".($pg ? "'public'" : 'database()'))->fetchColumn() > 0 ? 't' : 'f';`,
    ),
    write: (text) => ({
      argv: php(
        `$text = $db->quote(trim(stream_get_contents(STDIN)));
  $db->exec('create table if not exists fedi_setup (id int)');
  $db->exec($pg ? "comment on table fedi_setup is $text" : "alter table fedi_setup comment = $text");`,
      ),
      stdin: text,
    }),
  };
}

/** As root, with the container's password or, if an interrupted run has changed that already, with the new one. */
const changeMariadbPassword =
  (account: string) =>
  (password: Secret, secret: Secrets): Command => ({
    argv: [
      'sh',
      '-c',
      'IFS= read -r new; IFS= read -r last; for root in "$MARIADB_ROOT_PASSWORD" "$last"; do printf "alter user %s identified by \'%s\';\\n" "$0" "$new" | MYSQL_PWD=$root mariadb -uroot && exit 0; done; exit 1',
      account,
    ],
    stdin: `${password.reveal()}\n${secret('pixelfed.db-root').reveal()}\n`,
  });

/** Passwords of the database in a container must be changed in the database first. */
export function pixelfedRotations({ database: local }: PixelfedOptions): Record<string, Rotation> {
  if (local === undefined) return {};
  const service = SERVICES[local];
  return local === 'postgresql'
    ? { 'pixelfed.db': { service, change: changePostgresPassword('pixelfed') } }
    : {
        'pixelfed.db': { service, change: changeMariadbPassword("'pixelfed'@'%'") },
        'pixelfed.db-root': { service, change: changeMariadbPassword("'root'@'localhost'") },
      };
}
