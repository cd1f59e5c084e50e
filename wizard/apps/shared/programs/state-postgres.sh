#!/bin/sh
# Prints a checksum of the schema of a PostgreSQL database and of the rows of its table $1. The variables of libpq name the database.

set -eu
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH"
# pg_dump sets its own limit.
export PGOPTIONS="${PGOPTIONS:-} -c lock_timeout=60s"
schema=$(pg_dump --schema-only --lock-wait-timeout=60s --no-owner --no-privileges)
rows=$(psql -XqAt -v ON_ERROR_STOP=1 -c "select * from \"$1\" order by 1")
# Comments have the versions of server and client, commands of psql a random key.
printf '%s\n%s\n' "$schema" "$rows" | sed '/^--/d; /^\\/d' | sha256sum
