#!/bin/sh
# Loads the dump $1 into a PostgreSQL database that is empty. The variables of libpq name the database.

set -eu
# Each needs the server's maintenance_work_mem.
jobs=$(nproc)
[ "$jobs" -le 4 ] || jobs=4
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH"
pg_restore --jobs="$jobs" --no-owner --no-privileges --exit-on-error --dbname="$PGDATABASE" "$1"
psql -Xq -v ON_ERROR_STOP=1 -c analyze
