#!/bin/sh
# Prints figures of the PostgreSQL server of this container as lines `name value`.

export PGHOST=127.0.0.1 PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB" PGPASSWORD="$POSTGRES_PASSWORD" PGCONNECT_TIMEOUT=5
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH" exec psql -XqAt -F ' ' -c "
  select 'connections', count(*) from pg_stat_activity where backend_type = 'client backend'
  union all select 'connections.most', setting::bigint from pg_settings where name = 'max_connections'
  union all select 'blocks.hit', sum(blks_hit)::bigint from pg_stat_database
  union all select 'blocks.read', sum(blks_read)::bigint from pg_stat_database"
