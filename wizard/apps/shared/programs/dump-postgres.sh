#!/bin/sh
# Dumps a PostgreSQL database into the file $1. Prints the number of rows of each table as JSON, by the query $2. Both see the
# same snapshot, so the numbers are exact although the app writes meanwhile. The variables of libpq name the database.

set -eu
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH"
folder=$(mktemp -d)
mkfifo "$folder/to" "$folder/from"
psql -XqAt -v ON_ERROR_STOP=1 <"$folder/to" >"$folder/from" &
exec 3>"$folder/to" 4<"$folder/from"
echo 'begin isolation level repeatable read read only; select pg_export_snapshot();' >&3
read -r snapshot <&4 || exit 1
# restic compresses, and finds what is unchanged only in uncompressed data.
pg_dump --format=custom --compress=0 --snapshot="$snapshot" --file="$1"
echo "$2" >&3
read -r rows <&4 || exit 1
echo "$rows"
sync "$1"
