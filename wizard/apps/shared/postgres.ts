/** PostgreSQL in a container of an app: its role and its database have the app's name. */
import { readProgram, shellProgram, shellQuoted } from '../../assets.ts';
import { MONITOR, postgresExporter } from './exporters.ts';
import { volumeMarker } from './server.ts';
import type { ContainerServer, Dump, ServerImage } from './server.ts';

export const POSTGRES: ServerImage = {
  reference: 'docker.io/library/postgres:17-trixie',
  data: { parts: 1, fixed: 1 },
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

/** What an account cannot drop and create again in one transaction, or what a dump does not have. */
const OTHERS = `
select 'the schema ' || nspname from pg_namespace where nspname !~ '^(pg_|information_schema$|public$)'
union all select 'the extension ' || extname from pg_extension where extname <> 'plpgsql'
union all select distinct 'objects of ' || pg_get_userbyid(owner) from (
  select relowner, relnamespace from pg_class where relkind not in ('i', 'I') union all select proowner, pronamespace from pg_proc
    where not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'i') union all select typowner, typnamespace from pg_type) as all_of (owner, schema)
  where schema = 'public'::regnamespace and owner <> current_user::regrole
union all select 'foreign tables, operators, collations or text search' where 'public'::regnamespace in (
  select relnamespace from pg_class where relkind = 'f' union all select oprnamespace from pg_operator union all select collnamespace from pg_collation union all select opcnamespace from pg_opclass
  union all select cfgnamespace from pg_ts_config union all select dictnamespace from pg_ts_dict)
union all select 'the publication ' || pubname from pg_publication
union all select 'the event trigger ' || evtname from pg_event_trigger
union all select 'default privileges' where exists (select from pg_default_acl)
union all select 'large objects' where exists (select from pg_largeobject_metadata)
union all select 'the schema public, where it may create nothing' where not has_schema_privilege('public', 'create');`;

/** What the dumps of all PostgreSQL servers have in common. */
export const postgresDump: Pick<
  Dump,
  'dump' | 'restore' | 'count' | 'state' | 'reload' | 'byHand' | 'drill'
> = {
  dump: (path) => program('dump-postgres.sh', path, ROWS),
  restore: (path) => program('restore-postgres.sh', path),
  count: () => program('count-postgres.sh', ROWS),
  state: (table) => program('state-postgres.sh', table),
  reload: {
    load: (path) => shellProgram('apps/shared/programs/reload-postgres.sh', [path], 'bash'),
    besides: () => program('query-postgres.sh', OTHERS),
  },
  byHand: ({ PGDATABASE: name, PGUSER: user }, file) => [
    `dropdb --force ${shellQuoted(String(name))}`,
    `createdb --owner=${shellQuoted(String(user))} --encoding=UTF8 --template=template0 ${shellQuoted(String(name))}`,
    `pg_restore --no-owner --role=${shellQuoted(String(user))} --exit-on-error --dbname=${shellQuoted(String(name))} ${file}`,
  ],
  drill: { start: (folder, path) => program('drill-postgres.sh', folder, path, ROWS), port: 5432 },
};

/** Name, tab and value of what decides how a database sorts and stores text. PostgreSQL 15 to 17 name the columns differently. */
const TRAITS = `
with here as (select to_jsonb(d) as d from pg_database d where datname = current_database()),
names as (select d, coalesce(d->>'datlocale', d->>'daticulocale', d->>'datcollate') as locale from here)
select 'encoding', pg_encoding_to_char((d->>'encoding')::int) from here
union all select 'collation', case d->>'datlocprovider' when 'i' then 'ICU ' else '' end || regexp_replace(locale, 'utf-?8$', 'UTF-8', 'i') from names
union all select 'character types', regexp_replace(d->>'datctype', 'utf-?8$', 'UTF-8', 'i') from here
union all select format('collation of %I.%I.%I', nspname, relname, attname), coll.collname
  from pg_attribute join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace
  join pg_collation coll on coll.oid = attcollation
  where relkind in ('r', 'p', 'm') and attnum > 0 and nspname !~ '^(pg_|information_schema$)' and collname <> 'default'
order by 1;`;

/** What a dump does not have. */
const BESIDES = `
select 'the database ' || datname from pg_database where datname not in ('postgres', 'template0', 'template1', current_database())
union all select 'the role ' || rolname from pg_roles where rolname !~ '^pg_' and rolname not in (current_user, '${MONITOR}')
union all select 'settings by ALTER DATABASE or ALTER ROLE' where exists (select from pg_db_role_setting)
union all select 'the setting ' || name || ' by ALTER SYSTEM' from pg_file_settings where sourcefile like '%/postgresql.auto.conf';`;

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
  majors: {
    product: 'PostgreSQL',
    short: 'pg',
    mount: MOUNT,
    version: () => program('version-postgres.sh', `${MOUNT}/${DATA}`),
    traits: () => program('query-postgres.sh', TRAITS),
    besides: () => program('query-postgres.sh', BESIDES),
  },
  exporter: postgresExporter(app, service),
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
