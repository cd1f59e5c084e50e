#!/bin/sh
# Creates a PostgreSQL cluster in the directory $1, loads the dump $2 and prints the number of rows of each table as JSON, by
# the query $3. It has no network. The socket is in $1 too. With a file $1/wait it runs until that file is removed.

set -eu
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH"
initdb --pgdata="$1/data" --username="$PGUSER" --auth=trust --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8 >&2
pg_ctl --pgdata="$1/data" --wait --silent --log="$1/log" \
  --options="-c listen_addresses= -c unix_socket_directories=$1 -c fsync=off -c full_page_writes=off" start >&2
export PGHOST="$1"
createdb "$PGDATABASE"
pg_restore --no-owner --no-privileges --exit-on-error --dbname="$PGDATABASE" "$2"
psql -XqAt -v ON_ERROR_STOP=1 -c "$3"
touch "$1/ready"
while [ -e "$1/wait" ]; do sleep 0.2; done
pg_ctl --pgdata="$1/data" --mode=immediate --silent stop >&2
