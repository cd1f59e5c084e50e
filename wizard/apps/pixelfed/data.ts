/** Pixelfed's database (MariaDB or PostgreSQL) and Redis: in containers or on external servers. */
import { readProgram } from '../../assets.ts';
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
import { client } from './php.ts';
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

/** Horizon's minimum. */
const OLDEST_REDIS = 5;

export function dataTrials(options: PixelfedOptions): Trial[] {
  const trials: Trial[] = [];
  if (options.database === undefined) {
    trials.push({
      id: 'pixelfed.database',
      title: 'Your database for Pixelfed',
      image: APP,
      argv: client('try-database.php'),
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
      argv: client('try-redis.php'),
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
  const at = (action: string): string[] => client('redis-marker.php', action, FINGERPRINT_KEY, String(after));
  return {
    storeName,
    image: APP,
    place: (secret) => {
      const server = serverOf(APP, REDIS, secret);
      return numberAt(server, numberOf(server) + after);
    },
    env: (secret) => redisEnv(options, secret),
    read: at('read'),
    data: at('data'),
    write: (text) => ({ argv: at('write'), stdin: text }),
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
  const at = (action: string): string[] => client('database-marker.php', action);
  return {
    image: APP,
    place: (secret) => {
      const { host, port, name } = serverOf(APP, DATABASE, secret);
      return `the database ${name} at ${host}:${port}`;
    },
    env: (secret) => databaseEnv(options, secret),
    read: at('read'),
    data: at('data'),
    write: (text) => ({ argv: at('write'), stdin: text }),
  };
}

/** As root, with the container's password or, if an interrupted run has changed that already, with the new one. */
const changeMariadbPassword =
  (account: string) =>
  (password: Secret, secret: Secrets): Command => ({
    argv: ['sh', '-c', readProgram('apps/pixelfed/programs/change-mariadb-password.sh'), 'sh', account],
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
