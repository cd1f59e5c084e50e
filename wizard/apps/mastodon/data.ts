/** Where Mastodon's data live: in containers of its own or on servers that the person runs. */
import type { Config } from '../../config/config.ts';
import type { Answers, Question } from '../../config/question.ts';
import type { Secret } from '../../secrets/secret.ts';
import type { Command } from '../../docker/engine.ts';
import type { EnvGroup } from '../../render/env.ts';
import type { Rotation, Seal, ServerSeal, Trial } from '../app.ts';
import {
  REDIS,
  SEAL_KEY,
  SERVER_HINT,
  isExternal,
  numberAt,
  numberOf,
  serverOf,
  serverQuestions,
} from '../external.ts';
import type { ServerKind } from '../external.ts';
import { literal, tellPostgres } from '../postgres.ts';
import { runner } from './runner.ts';
import { connectionsOf } from './size.ts';
import type { Layout, Size } from './size.ts';
import { MINIMUM } from './version.ts';

const APP = 'mastodon';

const DATABASE: ServerKind = {
  key: 'database',
  name: 'PostgreSQL',
  schemes: { postgresql: 5432, postgres: 5432 },
  example: 'postgresql://mastodon:PASSWORD@db.example.org:5432/mastodon?sslmode=require',
  path: /^[^/]+$/,
};

export const dataQuestions: readonly Question[] = [DATABASE, REDIS].flatMap((kind) =>
  serverQuestions(APP, kind),
);

export const hasDatabase = (answers: Answers): boolean => !isExternal(answers, APP, DATABASE);
export const hasValkey = (answers: Answers): boolean => !isExternal(answers, APP, REDIS);

type Secrets = (name: string) => Secret;

/** Variables that lead Rails and streaming alike to database and Redis. */
export function dataEnv({ answers }: Config, secret: Secrets): EnvGroup {
  return { ...databaseEnv(answers, secret), ...redisEnv(answers, secret) };
}

function databaseEnv(answers: Answers, secret: Secrets): EnvGroup {
  if (hasDatabase(answers)) {
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
  };
}

/**
 * The same for streaming, whose words for TLS are others: its `require` checks the certificate too, which libpq's does not,
 * and it cannot try.
 */
export function streamingDataEnv(data: EnvGroup): EnvGroup {
  const mode = data['DB_SSLMODE'];
  const own = mode === 'require' ? 'no-verify' : mode === 'prefer' || mode === 'allow' ? undefined : mode;
  // The driver is Ruby's own.
  return { ...data, DB_SSLMODE: own, REDIS_DRIVER: undefined };
}

function redisEnv(answers: Answers, secret: Secrets): EnvGroup {
  if (hasValkey(answers)) {
    return {
      REDIS_HOST: 'mastodon_valkey',
      REDIS_PORT: 6379,
      REDIS_PASSWORD: secret('mastodon.valkey'),
    };
  }
  const server = serverOf(APP, REDIS, secret);
  // Only the address can say TLS, and only the driver written in Ruby can speak it.
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

/** How libpq's own programs find the database. */
function clientEnv(secret: Secrets): EnvGroup {
  const server = serverOf(APP, DATABASE, secret);
  return {
    PGHOST: server.host,
    PGPORT: server.port,
    PGDATABASE: server.name,
    PGUSER: server.user,
    PGPASSWORD: server.password,
    PGSSLMODE: server.options.get('sslmode') ?? undefined,
    PGCONNECT_TIMEOUT: 10,
  };
}

const PSQL = ['psql', '-v', 'ON_ERROR_STOP=1', '-qtA'];

export const mastodonSeals = (answers: Answers): Seal[] => [
  databaseSeal(answers),
  ...(hasValkey(answers) ? [] : [REDIS_SEAL]),
];

/** In the volume of the database; in an external one the comment of an empty table, which every dump carries along. */
function databaseSeal(answers: Answers): Seal {
  if (hasDatabase(answers)) {
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
    image: 'postgres',
    place: (secret) => {
      const { host, port, name } = serverOf(APP, DATABASE, secret);
      return `the database ${name} at ${host}:${port}`;
    },
    env: clientEnv,
    read: [...PSQL, '-c', "select obj_description(to_regclass('public.fedi_setup'), 'pg_class')"],
    data: [...PSQL, '-c', "select to_regclass('public.accounts') is not null"],
    write: (text) => ({
      argv: PSQL,
      stdin: `create table if not exists public.fedi_setup ();\ncomment on table public.fedi_setup is ${literal(text.trim())};\n`,
    }),
  };
}

/** A command of Redis at the number that the address names. Of its own shell: only what is not secret stands in it. */
const valkey = (command: string): string =>
  `valkey-cli -e -h "$REDIS_HOST" -p "$REDIS_PORT" -n "$REDIS_DB" \${REDIS_USER:+--user "$REDIS_USER"} \${REDIS_TLS:+--tls} ${command}`;

function valkeyEnv(secret: Secrets): EnvGroup {
  const server = serverOf(APP, REDIS, secret);
  return {
    REDIS_HOST: server.host,
    REDIS_PORT: server.port,
    REDIS_DB: numberOf(server),
    REDIS_USER: server.user || undefined,
    REDIS_TLS: server.scheme === 'rediss' ? 'yes' : undefined,
    REDISCLI_AUTH: server.password,
  };
}

const REDIS_SEAL: ServerSeal = {
  beside: 'redis',
  image: 'valkey',
  place: (secret) => {
    const server = serverOf(APP, REDIS, secret);
    return numberAt(server, numberOf(server));
  },
  env: valkeyEnv,
  read: ['sh', '-c', valkey(`get ${SEAL_KEY}`)],
  data: ['sh', '-c', `[ "$(${valkey('dbsize')})" = 0 ] || echo t`],
  write: (text) => ({ argv: ['sh', '-c', valkey(`-x set ${SEAL_KEY}`)], stdin: text.trim() }),
};

export const mastodonRotations = (answers: Answers): Record<string, Rotation> =>
  hasDatabase(answers) ? { 'mastodon.db': { service: 'mastodon_db', tell: tellPostgres('mastodon') } } : {};

/**
 * A query that yields one value, and where it is asked: in the database's own container over TCP as the app's role (the
 * image trusts its own loopback), or through Rails where the database is elsewhere.
 */
export function query(answers: Answers, sql: string): { service: string; check: Command } {
  return hasDatabase(answers)
    ? {
        service: 'mastodon_db',
        check: { argv: [...PSQL, '-h', '127.0.0.1', '-U', 'mastodon', '-d', 'mastodon', '-c', sql] },
      }
    : {
        service: 'mastodon_web',
        check: runner("puts ActiveRecord::Base.connection.select_value(values['sql'])", { sql }),
      };
}

export function mastodonTrials({ answers }: Config): Trial[] {
  const trials: Trial[] = [];
  if (!hasDatabase(answers)) {
    const needed = connectionsOf(
      String(answers['apps.mastodon.size']) as Size,
      String(answers['apps.mastodon.sidekiq']) as Layout,
    );
    trials.push({
      id: 'mastodon.database',
      title: 'Your PostgreSQL for Mastodon',
      image: 'postgres',
      argv: [
        ...PSQL,
        '-c',
        "select current_setting('server_version_num'), current_setting('max_connections'), has_schema_privilege('public', 'create'), getdatabaseencoding()",
      ],
      env: clientEnv,
      problem: (stdout) => {
        const [version = '', connections = '', mayCreate = '', encoding = ''] = stdout.trim().split('|');
        if (Number(version) < MINIMUM.postgres.number)
          return `it is older than ${MINIMUM.postgres.words} (${version}).`;
        if (Number(connections) < needed)
          return `it allows ${connections} connections; this size needs ${needed}. Raise max_connections, or take a smaller --mastodon-size.`;
        if (mayCreate !== 't')
          return 'the user may not make tables. Make it the owner of the database (ALTER DATABASE … OWNER TO …).';
        if (encoding !== 'UTF8') return `the database is encoded as ${encoding}; it has to be UTF8.`;
        return undefined;
      },
      hint: SERVER_HINT,
    });
  }
  if (!hasValkey(answers)) {
    trials.push({
      id: 'mastodon.redis',
      title: 'Your Redis for Mastodon',
      image: 'valkey',
      argv: ['sh', '-c', `${valkey('info server')} 2>&1`],
      env: valkeyEnv,
      problem: (said) => {
        // The client goes on with number 0 where it may not have another.
        const refused = /^SELECT .*/m.exec(said)?.[0];
        if (refused !== undefined) return `${refused}.`;
        const version = /redis_version:(\d+)/.exec(said)?.[1];
        if (version === undefined) return said.trim().split('\n').at(-1) || 'it did not answer.';
        return Number(version) < MINIMUM.redis
          ? `it is older than ${MINIMUM.redis}.0 (${version}).`
          : undefined;
      },
      hint: SERVER_HINT,
    });
  }
  return trials;
}
