#!/bin/sh
# Takes a host and a role, and its password from standard input. Fails unless the role can log in there and read statistics.

IFS= read -r password
PGPASSWORD=$password exec psql -h "$1" -U "$2" -d "$POSTGRES_DB" -v ON_ERROR_STOP=1 -qtAc "select 1 / pg_has_role('pg_monitor', 'member')::int"
