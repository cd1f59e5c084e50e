/** Mastodon's database and Redis: in containers or on external servers. */
import type { Question } from '../../config/question.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Command } from '../../docker/engine.ts';
import type { EnvGroup } from '../../render/env.ts';
import type { Rotation, DataMarker, ServerMarker, Trial } from '../app.ts';
import {
  PUBLIC_CAS,
  REDIS,
  FINGERPRINT_KEY,
  SERVER_HINT,
  SSL_MODES,
  numberAt,
  numberOf,
  redisNote,
  redisProblem,
  serverOf,
  serverQuestions,
} from '../external.ts';
import type { RedisInfo, Server, ServerKind } from '../external.ts';
import { literal, changePostgresPassword } from '../postgres.ts';
import { redisMarkerAt, sqlFromInput, sqlIn, tryRedis } from './clients.ts';
import type { MastodonOptions } from './options.ts';
import { rails } from './runner.ts';
import { connectionsOf } from './size.ts';
import { MINIMUM } from './version.ts';

const APP = 'mastodon';

const DATABASE: ServerKind = {
  key: 'database',
  name: 'PostgreSQL',
  schemes: { postgresql: 5432, postgres: 5432 },
  example: 'postgresql://mastodon:PASSWORD@db.example.org:5432/mastodon?sslmode=require',
  path: /^[^/]+$/,
  options: () => ({ sslmode: SSL_MODES }),
};

export const dataQuestions: readonly Question[] = [DATABASE, REDIS].flatMap((kind) =>
  serverQuestions(APP, kind),
);

type Secrets = (name: string) => Secret;

/** Variables by which Rails and streaming find database and Redis. */
export function dataEnv(options: MastodonOptions, secret: Secrets): EnvGroup {
  return { ...databaseEnv(options, secret), ...redisEnv(options, secret) };
}

function databaseEnv({ hasDatabase }: MastodonOptions, secret: Secrets): EnvGroup {
  if (hasDatabase) {
    return {
      DB_HOST: 'mastodon_db',
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
    PGSSLROOTCERT: rootsFor(server),
  };
}

/** Read by libpq, which otherwise looks for CA certificates in the home directory. */
const rootsFor = ({ options }: Server): string | undefined =>
  options.get('sslmode')?.startsWith('verify') ? PUBLIC_CAS : undefined;

/**
 * The same for streaming, which has other TLS modes: its `require` verifies the certificate, libpq's does not, and it has
 * no mode that tries TLS first.
 */
export function streamingDataEnv(data: EnvGroup): EnvGroup {
  const mode = data['DB_SSLMODE'];
  const own = mode === 'require' ? 'no-verify' : mode === 'prefer' || mode === 'allow' ? undefined : mode;
  // The Redis driver is for Ruby only, and Node.js brings its own CA certificates.
  return { ...data, DB_SSLMODE: own, PGSSLROOTCERT: undefined, REDIS_DRIVER: undefined };
}

function redisEnv({ hasValkey }: MastodonOptions, secret: Secrets): EnvGroup {
  if (hasValkey) {
    return {
      REDIS_HOST: 'mastodon_valkey',
      REDIS_PORT: 6379,
      REDIS_PASSWORD: secret('mastodon.valkey'),
    };
  }
  const server = serverOf(APP, REDIS, secret);
  // TLS needs the URL form, and the driver written in Ruby.
  return server.scheme === 'rediss'
    ? { REDIS_URL: secret(`apps.${APP}.${REDIS.key}-url`), REDIS_DRIVER: 'ruby' }
    : {
        REDIS_HOST: server.host,
        REDIS_PORT: server.port,
        REDIS_DB: server.name || undefined,
        REDIS_USER: server.user || undefined,
        REDIS_PASSWORD: server.password,
      };
}

/** Variables by which libpq finds the database. */
function clientEnv(secret: Secrets): EnvGroup {
  const server = serverOf(APP, DATABASE, secret);
  return {
    PGHOST: server.host,
    PGPORT: server.port,
    PGDATABASE: server.name,
    PGUSER: server.user,
    PGPASSWORD: server.password,
    PGSSLMODE: server.options.get('sslmode') ?? undefined,
    PGSSLROOTCERT: rootsFor(server),
    PGCONNECT_TIMEOUT: 10,
  };
}

const PSQL = ['psql', '-v', 'ON_ERROR_STOP=1', '-qtA'];

export const mastodonMarkers = (options: MastodonOptions): DataMarker[] => [
  databaseMarker(options),
  ...(options.hasValkey ? [] : [redisMarker(options)]),
];

/** A file in the database's volume; in an external database the comment of an empty table, which dumps include. */
function databaseMarker({ hasDatabase }: MastodonOptions): DataMarker {
  if (hasDatabase) {
    return {
      service: 'mastodon_db',
      image: 'postgres',
      volume: 'mastodon_db',
      mount: '/var/lib/postgresql/data',
      data: '/var/lib/postgresql/data/pgdata/PG_VERSION',
      owner: '999:999',
    };
  }
  return {
    image: APP,
    place: (secret) => {
      const { host, port, name } = serverOf(APP, DATABASE, secret);
      return `the database ${name} at ${host}:${port}`;
    },
    env: clientEnv,
    read: sqlIn("select obj_description(to_regclass('public.fedi_setup'), 'pg_class')"),
    data: sqlIn("select to_regclass('public.accounts') is not null"),
    write: (text) => ({
      argv: sqlFromInput(),
      stdin: `create table if not exists public.fedi_setup ();\ncomment on table public.fedi_setup is ${literal(text.trim())};\n`,
    }),
  };
}

const redisMarker = (options: MastodonOptions): ServerMarker => ({
  storeName: 'redis',
  image: APP,
  place: (secret) => {
    const server = serverOf(APP, REDIS, secret);
    return numberAt(server, numberOf(server));
  },
  env: (secret) => redisEnv(options, secret),
  read: redisMarkerAt('read', FINGERPRINT_KEY),
  data: redisMarkerAt('data', FINGERPRINT_KEY),
  write: (text) => ({
    argv: redisMarkerAt('write', FINGERPRINT_KEY),
    stdin: text,
  }),
});

export const mastodonRotations = ({ hasDatabase }: MastodonOptions): Record<string, Rotation> =>
  hasDatabase
    ? { 'mastodon.db': { service: 'mastodon_db', change: changePostgresPassword('mastodon') } }
    : {};

/**
 * A query with one value, and the service that runs it: the database's container, over TCP as the app's role (the image
 * trusts its loopback address), or Rails if the database is external.
 */
export function query({ hasDatabase }: MastodonOptions, sql: string): { service: string; check: Command } {
  return hasDatabase
    ? {
        service: 'mastodon_db',
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
        "select current_setting('server_version_num'), current_setting('max_connections'), has_schema_privilege('public', 'create'), getdatabaseencoding()",
      ),
      env: clientEnv,
      problem: (stdout) => {
        const [version = '', connections = '', mayCreate = '', encoding = ''] = stdout.trim().split('|');
        if (Number(version) < MINIMUM.postgres.number)
          return `it is older than ${MINIMUM.postgres.words} (${version}).`;
        if (Number(connections) < needed)
          return `it allows ${connections} connections; this size needs ${needed}. Raise max_connections, or use a smaller --mastodon-size.`;
        if (mayCreate !== 't')
          return 'the user may not create tables. Make it the owner of the database (ALTER DATABASE … OWNER TO …).';
        if (encoding !== 'UTF8') return `the database is encoded as ${encoding}; it must be UTF8.`;
        return undefined;
      },
      hint: SERVER_HINT,
    });
  }
  if (!options.hasValkey) {
    trials.push({
      id: 'mastodon.redis',
      title: 'Your Redis for Mastodon',
      image: APP,
      argv: tryRedis(),
      env: (secret) => redisEnv(options, secret),
      problem: (stdout) => redisProblem(JSON.parse(stdout) as RedisInfo, MINIMUM.redis),
      note: (stdout) => redisNote(JSON.parse(stdout) as RedisInfo),
      hint: SERVER_HINT,
    });
  }
  return trials;
}
