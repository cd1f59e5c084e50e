/** An external PostgreSQL is replaced by a dump in one transaction: completely, or not at all. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { postgresDump } from '../../wizard/apps/shared/postgres.ts';
import { needImages } from '../support/acme.ts';
import { docker } from '../support/site.ts';

needImages('postgres');
const SERVER = 'test-reload-postgres';
const PATH = 'PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin';

/** What an app may have, so that the order of drops matters. */
const OBJECTS = `
create type mood as enum ('a', 'b'); create domain pos as int check (value > 0);
create type span as range (subtype = int4); create type pair as (a int, b mood);
create table "Accounts" (id bigint generated always as identity primary key, name text, m mood, p pos);
create table statuses (id int primary key, account bigint references "Accounts");
create view v as select * from "Accounts"; create materialized view mv as select count(*) from "Accounts";
create function number(t text) returns bigint language plpgsql as $$ begin return 1; end $$;
create table parted (id int default number('a')) partition by range (id);
create table parted_1 partition of parted for values from (1) to (10);
create table schema_migrations (version text); insert into schema_migrations values ('1');
insert into "Accounts" (name, m, p) select 'before', 'a', i from generate_series(1, 200000) i;
create table fedi_setup (); comment on table fedi_setup is 'marker'; grant select on "Accounts" to guest;
do $$ begin for i in 1..100 loop execute format('create table t%s (id bigserial, a text unique)', i); end loop; end $$;`;
/** What a new version may do to it. */
const CHANGES = `
alter table "Accounts" add mood text; drop table statuses; create table newer (id serial); drop table t1 cascade;
update "Accounts" set name = 'after'; insert into schema_migrations values ('2');`;

/** Runs a client as the account of the app, over TCP. */
const client = (argv: readonly string[], stdin = '') =>
  spawnSync(
    'docker',
    [
      ...`exec -i -u root -e ${PATH} -e PGHOST=127.0.0.1 -e PGUSER=app -e PGPASSWORD=a -e PGDATABASE=app ${SERVER}`.split(
        ' ',
      ),
      ...argv,
    ],
    { input: stdin, encoding: 'utf8' },
  );
const sql = (query: string): string => {
  const { status, stdout, stderr } = client(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1'], query);
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
};
const admin = (query: string, database = 'app'): string =>
  docker(...`exec -u postgres -e ${PATH} ${SERVER} psql -XqAt -d ${database} -c`.split(' '), query);
const state = (): string => client(postgresDump.state?.('schema_migrations') ?? []).stdout;
const besides = (): string => client(postgresDump.reload?.besides() ?? []).stdout.trim();
const load = (file: string) => client(postgresDump.reload?.load(file) ?? []);
const DUMP = '/tmp/app.pgdump';

beforeAll(async () => {
  spawnSync('docker', ['rm', '--force', '--volumes', SERVER]);
  docker(
    ...`run --detach --name ${SERVER} --env POSTGRES_USER=postgres --env POSTGRES_PASSWORD=p fedi-setup/postgres:trixie`.split(
      ' ',
    ),
  );
  await vi.waitFor(
    () => docker('exec', SERVER, 'psql', '-h', '127.0.0.1', '-U', 'postgres', '-c', 'select 1'),
    {
      timeout: 60_000,
      interval: 200,
    },
  );
  admin("create role app login password 'a'", 'postgres');
  admin('create role guest', 'postgres');
  admin("create database app owner app encoding 'UTF8' template template0", 'postgres');
  admin('grant all on schema public to app');
  sql(OBJECTS);
});
afterAll(() => void spawnSync('docker', ['rm', '--force', '--volumes', SERVER]));

test('everything is as before: schema, rows, rights, marker', () => {
  expect(besides()).toBe('');
  const before = state();
  expect(client(postgresDump.dump(DUMP)).status).toBe(0);
  sql(CHANGES);
  expect(state()).not.toBe(before);
  expect(load(DUMP).status).toBe(0);
  expect(state()).toBe(before);
  expect(sql('select count(*), max(name) from "Accounts"')).toBe('200000|before');
  expect(
    sql(
      "select obj_description('fedi_setup'::regclass), has_table_privilege('guest', '\"Accounts\"', 'select')",
    ),
  ).toBe('marker|t');
});

test('a dump that ends too early changes nothing', () => {
  sql(CHANGES);
  const changed = state();
  client(['sh', '-c', `head -c $(($(stat -c %s ${DUMP}) - 700)) ${DUMP} >/tmp/cut.pgdump`]);
  expect(load('/tmp/cut.pgdump').status).not.toBe(0);
  expect([state(), sql('select max(name) from "Accounts"')]).toEqual([changed, 'after']);
});

test('a connection that is lost halfway changes nothing, and the next run is complete', async () => {
  const changed = state();
  // The server ends the session while the rows are being loaded.
  admin('create schema outside');
  admin(`create function outside.kill() returns event_trigger language plpgsql as $$ begin
    if exists (select from pg_class where relname = 'statuses') then perform pg_terminate_backend(pg_backend_pid()); end if; end $$`);
  admin('create event trigger kill on ddl_command_end execute function outside.kill()');
  expect(load(DUMP).status).not.toBe(0);
  admin('drop event trigger kill; drop schema outside cascade');
  expect([state(), sql('select max(name) from "Accounts"')]).toEqual([changed, 'after']);
  expect(load(DUMP).status).toBe(0);
  expect(sql('select max(name) from "Accounts"')).toBe('before');
});

test('a lock of another session: an error, no endless wait', () => {
  // Its limit is a minute.
  docker(
    ...`exec --detach -u postgres -e ${PATH} ${SERVER} psql -d app -c`.split(' '),
    'begin; select count(*) from "Accounts"; select pg_sleep(90)',
  );
  const { status, stderr } = load(DUMP);
  expect([status === 0, stderr]).toEqual([false, expect.stringContaining('lock timeout')]);
});

test.each([
  ['create table theirs (a int)', 'objects of postgres'],
  ['create extension pg_trgm', 'the extension pg_trgm'],
  ['create schema other', 'the schema other'],
  ['create publication p', 'the publication p'],
  [
    'create function public.log() returns event_trigger language plpgsql as $$ begin end $$; create event trigger log on sql_drop execute function log()',
    'the event trigger log',
  ],
  ['alter default privileges grant select on tables to guest', 'default privileges'],
  ['select lo_create(0)', 'large objects'],
])('%s: cannot be replaced', (statement, words) => {
  admin(statement);
  expect(besides().split('\n')).toContain(words);
});
