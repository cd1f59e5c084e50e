#!/bin/sh
# Creates a PostgreSQL cluster in the directory $1, loads the dump $2 and writes the number of rows of each table as JSON to
# $1/ready, by the query $3. Only its own network namespace reaches it. It runs until the container is removed, at most an hour.

set -eu
# Other values may lead to an external server.
export PGHOST="$1" PGPORT=5432 PGSSLMODE=disable
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH"
# The provider is new in version 17.
builtin=--locale-provider=builtin
[ "${PG_MAJOR:-17}" -ge 17 ] || builtin=
initdb --pgdata="$1/data" --username="$PGUSER" --auth=trust $builtin --locale=C.UTF-8 --encoding=UTF8 >&2
pg_ctl --pgdata="$1/data" --wait --silent --log="$1/log" \
  --options="-c listen_addresses=127.0.0.1 -c unix_socket_directories=$1 -c fsync=off -c full_page_writes=off" start >&2
createdb "$PGDATABASE"
pg_restore --no-owner --no-privileges --exit-on-error --dbname="$PGDATABASE" "$2"
psql -XqAt -v ON_ERROR_STOP=1 -c "$3" >"$1/rows"
mv "$1/rows" "$1/ready"
sleep 3600
