#!/bin/sh
# Prints the number of rows of each table of a PostgreSQL database as JSON, by the query $1.

PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH" exec psql -XqAt -v ON_ERROR_STOP=1 -c "$1"
