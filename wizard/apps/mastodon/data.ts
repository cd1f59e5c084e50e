/** Mastodon's database and Redis: in containers or on external servers. */
import { isIP } from 'node:net';
import type { Question } from '../../config/question.ts';
import type { Command } from '../../docker/engine.ts';
import type { EnvGroup } from '../../stack/env.ts';
import type { Trial } from '../app.ts';
import {
  PUBLIC_CAS,
  REDIS,
  FINGERPRINT_KEY,
  SERVER_HINT,
  SSL_MODES,
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
import { POSTGRES, literal, postgres, postgresDump } from '../shared/postgres.ts';
import { externalMarker } from '../shared/server.ts';
import type { ContainerServer, DataMarker, Dump, Secrets, ServerMarker } from '../shared/server.ts';
import { valkey } from '../shared/valkey.ts';
import { redisMarkerAt, sqlFromInput, sqlIn, tryRedis } from './clients.ts';
import type { MastodonOptions } from './options.ts';
import { rails } from './runner.ts';
import { QUEUES, connectionsOf } from './size.ts';
import { MINIMUM } from './version.ts';

const APP = 'mastodon';
/** Compose services. */
const DB = 'mastodon_db';
export const MASTODON_VALKEY = 'mastodon_valkey';

const DATABASE: ServerKind = {
  key: 'database',
  name: 'PostgreSQL',
  schemes: { postgresql: 5432, postgres: 5432 },
  example: 'postgresql://mastodon:PASSWORD@db.example.org:5432/mastodon?sslmode=require',
  path: /^[^/]+$/,
  hasCa: true,
  // node-postgres sends no IP address to the TLS library, which then compares the certificate with `localhost`.
  refuse: ({ host, options }) =>
    isIP(host) !== 0 && options.get('sslmode')?.startsWith('verify')
      ? 'Mastodon’s streaming server can verify a certificate only for a host name. Use a name instead of the IP address, or sslmode=require.'
      : undefined,
  options: () => ({ sslmode: SSL_MODES }),
};

export const dataQuestions: readonly Question[] = [DATABASE, REDIS].flatMap((kind) =>
  serverQuestions(APP, kind),
);

/** Variables by which Rails and streaming find database and Redis. */
export function dataEnv(options: MastodonOptions, secret: Secrets): EnvGroup {
  return { ...databaseEnv(options, secret), ...redisEnv(options, secret) };
}

function databaseEnv(options: MastodonOptions, secret: Secrets): EnvGroup {
  if (options.hasDatabase) {
    return {
      DB_HOST: DB,
      DB_PORT: 5432,
      DB_NAME: 'mastodon',
      DB_USER: 'mastodon',
      DB_PASS: secret('mastodon.db'),
    };
  }
  const server = serverOf(APP, DATABASE, secret);
  return {
    DB_HOST: server.host,
    DB_PORT: server.port,
    DB_NAME: server.name,
    DB_USER: server.user,
    DB_PASS: server.password,
    DB_SSLMODE: server.options.get('sslmode') ?? undefined,
    PGSSLROOTCERT: rootsFor(server, options),
  };
}

/** Read by libpq, which otherwise looks for CA certificates in the home directory. */
const rootsFor = ({ options }: Server, app: MastodonOptions): string | undefined =>
  options.get('sslmode')?.startsWith('verify') ? databaseRoots(app) : undefined;

/**
 * The same for streaming, which has other TLS modes: its `require` verifies the certificate, libpq's does not, and it has
 * no mode that tries TLS first.
 */
export function streamingDataEnv(data: EnvGroup): EnvGroup {
  const mode = data['DB_SSLMODE'];
  const own = mode === 'require' ? 'no-verify' : mode === 'prefer' || mode === 'allow' ? undefined : mode;
  const roots = data['PGSSLROOTCERT'];
  return {
    ...data,
    DB_SSLMODE: own,
    // Node.js brings the public CAs.
    PGSSLROOTCERT: undefined,
    SSL_CERT_FILE: undefined,
    NODE_EXTRA_CA_CERTS: roots === undefined || roots === PUBLIC_CAS ? data['SSL_CERT_FILE'] : roots,
    // For Ruby only.
    REDIS_DRIVER: undefined,
  };
}

function redisEnv(options: MastodonOptions, secret: Secrets): EnvGroup {
  if (options.hasValkey) {
    return {
      REDIS_HOST: MASTODON_VALKEY,
      REDIS_PORT: 6379,
      REDIS_PASSWORD: secret('mastodon.valkey'),
    };
  }
  const server = serverOf(APP, REDIS, secret);
  // TLS needs the URL form, and the driver written in Ruby.
  return server.scheme === 'rediss'
    ? { REDIS_URL: secret(`apps.${APP}.${REDIS.key}-url`), REDIS_DRIVER: 'ruby', ...redisRoots(options) }
    : {
        REDIS_HOST: server.host,
        REDIS_PORT: server.port,
        REDIS_DB: server.name || undefined,
        REDIS_USER: server.user || undefined,
        REDIS_PASSWORD: server.password,
      };
}

/** Variables by which libpq finds the database. */
const clientEnv =
  (options: MastodonOptions) =>
  (secret: Secrets): EnvGroup => {
    const server = serverOf(APP, DATABASE, secret);
    return {
      PGHOST: server.host,
      PGPORT: server.port,
      PGDATABASE: server.name,
      PGUSER: server.user,
      PGPASSWORD: server.password,
      PGSSLMODE: server.options.get('sslmode') ?? undefined,
      PGSSLROOTCERT: rootsFor(server, options),
      PGCONNECT_TIMEOUT: 10,
    };
  };

const PSQL = ['psql', '-v', 'ON_ERROR_STOP=1', '-qtA'];

/** Sidekiq's queue in its Redis. */
export const queueKey = (name: string): string => `queue:${name}`;
/** Sorted sets of Sidekiq's jobs that are due later, and the one of those that failed for good. */
export const LATER = ['retry', 'schedule'];
export const FAILED = 'dead';
const jobKeys = { lists: Object.keys(QUEUES).map(queueKey), sets: [...LATER, FAILED] };

/** PostgreSQL and Valkey in containers. */
export const mastodonServers = ({ hasDatabase, hasValkey }: MastodonOptions): ContainerServer[] => [
  ...(hasDatabase ? [postgres(APP, DB)] : []),
  ...(hasValkey ? [valkey(APP, MASTODON_VALKEY, jobKeys)] : []),
];

export const mastodonDumps = (options: MastodonOptions): Dump[] =>
  options.hasDatabase
    ? []
    : [
        {
          ...postgresDump,
          file: `${DB}.pgdump`,
          what: 'the database of mastodon',
          image: { name: 'postgres', reference: POSTGRES.reference },
          env: clientEnv(options),
        },
      ];

export const mastodonMarkers = (options: MastodonOptions): DataMarker[] => [
  ...mastodonServers(options).flatMap(({ marker }) => marker ?? []),
  ...(options.hasDatabase ? [] : [databaseMarker(options)]),
  ...(options.hasValkey ? [] : [redisMarker(options)]),
];

/** In an external database the comment of an empty table, which dumps include. */
const databaseMarker = (options: MastodonOptions): ServerMarker => ({
  image: APP,
  place: (secret) => databaseAt(serverOf(APP, DATABASE, secret)),
  env: clientEnv(options),
  read: sqlIn("select obj_description(to_regclass('public.fedi_setup'), 'pg_class')"),
  data: sqlIn("select to_regclass('public.accounts') is not null"),
  write: (text) => ({
    argv: sqlFromInput(),
    stdin: `create table if not exists public.fedi_setup ();\ncomment on table public.fedi_setup is ${literal(text.trim())};\n`,
  }),
});

const redisMarker = (options: MastodonOptions): ServerMarker =>
  externalMarker({
    storeName: 'redis',
    image: APP,
    place: (secret) => {
      const server = serverOf(APP, REDIS, secret);
      return numberAt(server, numberOf(server));
    },
    env: (secret) => redisEnv(options, secret),
    at: (action) => redisMarkerAt(action, FINGERPRINT_KEY),
  });

/**
 * A query with one value, and the service that runs it: the database's container, over TCP as the app's role (the image
 * trusts its loopback address), or Rails if the database is external.
 */
export function query({ hasDatabase }: MastodonOptions, sql: string): { service: string; check: Command } {
  return hasDatabase
    ? {
        service: DB,
        check: { argv: [...PSQL, '-h', '127.0.0.1', '-U', 'mastodon', '-d', 'mastodon', '-c', sql] },
      }
    : {
        service: 'mastodon_web',
        check: rails('query.rb', { sql }),
      };
}

export function mastodonTrials(options: MastodonOptions): Trial[] {
  const trials: Trial[] = [];
  if (!options.hasDatabase) {
    const needed = connectionsOf(options.size, options.sidekiq);
    trials.push({
      id: 'mastodon.database',
      title: 'Your PostgreSQL for Mastodon',
      image: APP,
      argv: sqlIn(
        "select current_setting('server_version_num'), current_setting('max_connections'), has_schema_privilege('public', 'create'), getdatabaseencoding(), pg_is_in_recovery(), current_setting('default_transaction_read_only'), case when current_setting('fsync') = 'off' then 'fsync' when current_setting('full_page_writes') = 'off' then 'full_page_writes' end",
      ),
      env: clientEnv(options),
      problem: (stdout) => {
        const [version = '', connections = '', mayCreate = '', encoding = '', replica, readOnly] = stdout
          .trim()
          .split('|');
        const refusal = writesProblem(replica === 't', readOnly === 'on');
        if (refusal !== undefined) return refusal;
        if (Number(version) < MINIMUM.postgres.number)
          return `it is older than ${MINIMUM.postgres.words} (${version}).`;
        if (Number(connections) < needed)
          return `it allows ${connections} connections; this size needs ${needed}. Raise max_connections, or use a smaller --mastodon-size.`;
        if (mayCreate !== 't')
          return 'the user may not create tables. Make it the owner of the database (ALTER DATABASE … OWNER TO …).';
        if (encoding !== 'UTF8') return `the database is encoded as ${encoding}; it must be UTF8.`;
        return undefined;
      },
      note: (stdout) => unsafeNote(stdout.trim().split('|')[6] ?? ''),
      hint: SERVER_HINT,
      caFlag: '--mastodon-database-ca',
    });
  }
  if (!options.hasValkey)
    trials.push(
      redisTrial(
        { id: APP, name: 'Mastodon' },
        { argv: tryRedis(), env: (secret) => redisEnv(options, secret) },
        MINIMUM.redis,
      ),
    );
  return trials;
}
