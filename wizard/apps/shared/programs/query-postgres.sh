#!/bin/sh
# Prints the rows of the query $1, columns separated by tabs. Over the network, the variables of libpq name the database; in the
# container of the server, those of the image do.

export PGUSER="${PGUSER:-${POSTGRES_USER:-}}" PGDATABASE="${PGDATABASE:-${POSTGRES_DB:-}}" PGPASSWORD="${PGPASSWORD:-${POSTGRES_PASSWORD:-}}"
export PGHOST="${PGHOST:-127.0.0.1}"
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH" exec psql -XqAt -F "$(printf '\t')" -v ON_ERROR_STOP=1 -c "$1"
