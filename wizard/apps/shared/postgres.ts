/** PostgreSQL in a container of an app: its role and its database have the app's name. */
import { readProgram, shellProgram } from '../../assets.ts';
import { volumeMarker } from './server.ts';
import type { ContainerServer, Dump, ServerImage } from './server.ts';

export const POSTGRES: ServerImage = {
  reference: 'docker.io/library/postgres:17-trixie',
  data: { parts: 1, fixed: true },
};

const MOUNT = '/var/lib/postgresql/data';
/** Below the mount: initdb needs an empty directory, and the ownership marker is in the mount. */
const DATA = 'pgdata';

/** Text as an SQL literal. */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Table → rows, as JSON in one line. Tables of other schemas have the schema's name. */
const ROWS =
  "select coalesce(json_object_agg(case nspname when 'public' then '' else nspname || '.' end || relname, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I.%I', nspname, relname), false, true, '')))[1]::text::bigint), '{}') from pg_class join pg_namespace on pg_namespace.oid = relnamespace where relkind = 'r' and nspname !~ '^(pg_|information_schema$)';";

const program = (name: string, ...argv: readonly string[]): readonly string[] =>
  shellProgram(`apps/shared/programs/${name}`, argv);

/** What the dumps of all PostgreSQL servers have in common. */
export const postgresDump: Pick<Dump, 'dump' | 'restore' | 'count' | 'drill'> = {
  dump: (path) => program('dump-postgres.sh', path, ROWS),
  restore: (path) => program('restore-postgres.sh', path),
  count: () => program('count-postgres.sh', ROWS),
  drill: { start: (folder, path) => program('drill-postgres.sh', folder, path, ROWS), port: 5432 },
};

/** Its password is the secret `APP.db`. */
export const postgres = (app: string, service: string): ContainerServer => ({
  service,
  image: 'postgres',
  // Read when the image creates a cluster.
  env: (secret) => ({
    POSTGRES_USER: app,
    POSTGRES_DB: app,
    POSTGRES_PASSWORD: secret(`${app}.db`),
    PGDATA: `${MOUNT}/${DATA}`,
    POSTGRES_INITDB_ARGS: '--data-checksums --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8',
    POSTGRES_HOST_AUTH_METHOD: 'scram-sha-256',
  }),
  rotations: {
    [`${app}.db`]: {
      service,
      // Over its socket, as the role itself.
      change: (password) => ({
        argv: ['sh', '-c', readProgram('apps/shared/programs/psql.sh')],
        stdin: `alter role ${app} password ${literal(password.reveal())};\n`,
      }),
    },
  },
  marker: volumeMarker(service, 'postgres', { mount: MOUNT, data: `${DATA}/PG_VERSION` }),
  dump: {
    ...postgresDump,
    file: `${service}.pgdump`,
    what: `the database of ${app}`,
    image: { name: 'postgres', reference: POSTGRES.reference },
    service,
    env: (secret) => ({
      PGHOST: service,
      PGUSER: app,
      PGDATABASE: app,
      PGPASSWORD: secret(`${app}.db`),
      PGCONNECT_TIMEOUT: 10,
    }),
  },
});
