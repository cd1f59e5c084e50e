/** Pixelfed's database (MariaDB or PostgreSQL) and Redis: in containers or on external servers. */
import type { Question } from '../../config/question.ts';
import { dropService } from '../../stack/compose.ts';
import type { ComposeFile } from '../../stack/compose.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { EnvGroup } from '../../stack/env.ts';
import type { DataFolder, ImageSpec, Trial } from '../app.ts';
import {
  REDIS as ANY_REDIS,
  FINGERPRINT_KEY,
  SSL_MODES,
  SERVER_HINT,
  databaseAt,
  databaseRoots,
  numberAt,
  numberOf,
  redisRoots,
  redisTrial,
  serverOf,
  serverQuestions,
  unsafeNote,
  writesProblem,
} from '../shared/external.ts';
import type { Server, ServerKind } from '../shared/external.ts';
import { MARIADB, mariadb, mariadbDump } from '../shared/mariadb.ts';
import { POSTGRES, postgres, postgresDump } from '../shared/postgres.ts';
import { SERVER_OWNER, externalMarker } from '../shared/server.ts';
import type { ContainerServer, DataMarker, Dump, Secrets, ServerMarker } from '../shared/server.ts';
import { VALKEY as VALKEY_IMAGE, valkey } from '../shared/valkey.ts';
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
  hasCa: true,
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

/** Compose services. */
export const PIXELFED_VALKEY = 'pixelfed_valkey';

/** Prefixes of the keys of queues, and of Horizon's figures. */
export const REDIS_PREFIX = 'pixelfed-';
export const HORIZON_PREFIX = 'pixelfed-horizon:';
const SERVICES = { mariadb: 'pixelfed_db', postgresql: 'pixelfed_postgres' } as const satisfies Record<
  LocalDatabase,
  string
>;

export const dataImages: Readonly<Record<string, ImageSpec<PixelfedOptions>>> = {
  mariadb: { ...MARIADB, when: ({ database }) => database === 'mariadb' },
  postgres: { ...POSTGRES, when: ({ database }) => database === 'postgresql' },
  valkey: { ...VALKEY_IMAGE, when: ({ hasValkey }) => hasValkey },
};

export const dataFolders: readonly DataFolder<PixelfedOptions>[] = [
  {
    volume: ({ database = 'mariadb' }) => SERVICES[database],
    what: 'the database',
    name: 'db-dir',
    owner: SERVER_OWNER,
    when: ({ database }) => database !== undefined,
  },
  {
    volume: PIXELFED_VALKEY,
    what: 'Valkey',
    name: 'valkey-dir',
    owner: SERVER_OWNER,
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
  if (!hasValkey) dropService(compose, PIXELFED_VALKEY);
}

/** Queues of all versions; those that one does not have are empty. */
export const QUEUES = [
  'high',
  'default',
  'follow',
  'shared',
  'inbox',
  'feed',
  'low',
  'story',
  'delete',
  'mmo',
  'intbg',
  'groups',
  'adelete',
  'move',
  'pushnotify',
];

/** A queue in its Redis, its jobs that are due later, and those that failed. */
export const queueKey = (name: string): string => `${REDIS_PREFIX}queues:${name}`;
export const delayedKey = (name: string): string => `${queueKey(name)}:delayed`;
export const FAILED = `${HORIZON_PREFIX}failed_jobs`;
const jobKeys = { lists: QUEUES.map(queueKey), sets: [...QUEUES.map(delayedKey), FAILED] };

/** The database and Valkey in containers. */
export const pixelfedServers = ({ database, hasValkey }: PixelfedOptions): ContainerServer[] => [
  ...(database === 'mariadb' ? [mariadb(APP, SERVICES.mariadb)] : []),
  ...(database === 'postgresql' ? [postgres(APP, SERVICES.postgresql)] : []),
  ...(hasValkey ? [valkey(APP, PIXELFED_VALKEY, jobKeys)] : []),
];

/** Variables by which Laravel finds database and Redis. */
export const dataEnv = (options: PixelfedOptions, secret: Secrets): EnvGroup => ({
  ...databaseEnv(options, secret),
  ...redisEnv(options, secret),
});

function databaseEnv(app: PixelfedOptions, secret: Secrets): EnvGroup {
  const { database: local } = app;
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
    PGSSLROOTCERT: sslmode?.startsWith('verify') ? databaseRoots(app) : undefined,
    MYSQL_ATTR_SSL_CA: server.options?.get('ssl-mode') === 'VERIFY_IDENTITY' ? databaseRoots(app) : undefined,
  };
}

function redisEnv(options: PixelfedOptions, secret: Secrets): EnvGroup {
  const { hasValkey } = options;
  const server: Pick<Server, 'host' | 'port' | 'password'> & Partial<Server> = hasValkey
    ? { host: PIXELFED_VALKEY, port: 6379, password: secret('pixelfed.valkey') }
    : serverOf(APP, REDIS, secret);
  const tls = server.scheme === 'rediss';
  const number = numberOf(server);
  return {
    REDIS_CLIENT: 'phpredis',
    ...(tls ? redisRoots(options) : {}),
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
  const [version = '', connections = '', encoding = '', collation = '', mayCreate = '', replica, readOnly] = (
    JSON.parse(stdout) as unknown[]
  ).map(String);
  const refusal = writesProblem(replica === '1', readOnly === '1');
  if (refusal !== undefined) return refusal;
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
      note: (stdout) => unsafeNote(String((JSON.parse(stdout) as unknown[])[7] ?? '')),
      hint: SERVER_HINT,
      caFlag: '--pixelfed-database-ca',
    });
  }
  if (!options.hasValkey)
    trials.push(
      redisTrial(
        { id: APP, name: 'Pixelfed' },
        { argv: client('try-redis.php'), env: (secret) => redisEnv(options, secret) },
        OLDEST_REDIS,
      ),
    );
  return trials;
}

/** The kind of an external database is known only from its URL, which is a secret. */
export const pixelfedDumps = (options: PixelfedOptions, secret: Secrets): Dump[] => {
  if (options.database !== undefined) return [];
  const server = serverOf(APP, DATABASE, secret);
  const roots = databaseRoots(options);
  const what = 'the database of pixelfed';
  const sslmode = server.options.get('sslmode') ?? undefined;
  return isPostgres(server)
    ? [
        {
          ...postgresDump,
          file: `${SERVICES.postgresql}.pgdump`,
          what,
          image: { name: 'postgres', reference: POSTGRES.reference },
          env: () => ({
            PGHOST: server.host,
            PGPORT: server.port,
            PGDATABASE: server.name,
            PGUSER: server.user,
            PGPASSWORD: server.password,
            PGSSLMODE: sslmode,
            PGSSLROOTCERT: sslmode?.startsWith('verify') ? roots : undefined,
            PGCONNECT_TIMEOUT: 10,
          }),
        },
      ]
    : [
        {
          ...mariadbDump,
          file: `${SERVICES.mariadb}.sql`,
          what,
          image: { name: 'mariadb', reference: MARIADB.reference },
          env: () => ({
            DUMP_HOST: server.host,
            DUMP_PORT: server.port,
            DUMP_USER: server.user,
            DUMP_DATABASE: server.name,
            MYSQL_PWD: server.password,
            // As PHP does: it encrypts only if it verifies the certificate.
            ...(server.options.get('ssl-mode') === 'VERIFY_IDENTITY'
              ? { DUMP_CA: roots }
              : { DUMP_PLAIN: 1 }),
          }),
        },
      ];
};

export const pixelfedMarkers = (options: PixelfedOptions): DataMarker[] => [
  ...pixelfedServers(options).flatMap(({ marker }) => marker ?? []),
  ...(options.database === undefined ? [databaseMarker(options)] : []),
  ...(options.hasValkey ? [] : [redisMarker(options, 'redis', 0), redisMarker(options, 'cache', 1)]),
];

/** @param after offset from the database number in the URL */
const redisMarker = (options: PixelfedOptions, storeName: string, after: number): ServerMarker =>
  externalMarker({
    storeName,
    image: APP,
    place: (secret) => {
      const server = serverOf(APP, REDIS, secret);
      return numberAt(server, numberOf(server) + after);
    },
    env: (secret) => redisEnv(options, secret),
    at: (action) => client('redis-marker.php', action, FINGERPRINT_KEY, String(after)),
  });

/** In an external database the comment of a table, which dumps include. */
const databaseMarker = (options: PixelfedOptions): ServerMarker =>
  externalMarker({
    image: APP,
    place: (secret) => databaseAt(serverOf(APP, DATABASE, secret)),
    env: (secret) => databaseEnv(options, secret),
    at: (action) => client('database-marker.php', action),
  });
