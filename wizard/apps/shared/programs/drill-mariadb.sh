#!/bin/bash
# Creates a MariaDB in the directory $1, loads the dump $2 and prints the number of rows of each table as JSON. It has no
# network. The socket is $1/socket. With a file $1/wait it runs until that file is removed.

set -euo pipefail
{
  mariadb-install-db --no-defaults --datadir="$1/data" --auth-root-authentication-method=normal --skip-test-db
  mariadbd --no-defaults --datadir="$1/data" --socket="$1/socket" --pid-file="$1/pid" --skip-networking --tmpdir="$1" \
    --innodb-flush-log-at-trx-commit=0 --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci &
  server=$!
  until mariadb-admin --no-defaults --socket="$1/socket" --user=root ping; do
    kill -0 "$server"
    sleep 0.2
  done
} >&2
sql() { mariadb --no-defaults --socket="$1/socket" --user=root --default-character-set=utf8mb4 --skip-column-names --batch "${@:2}"; }
sql "$1" -e "create database \`$DUMP_DATABASE\`"
sql "$1" "$DUMP_DATABASE" <"$2"
comma='{'
for table in $(sql "$1" -e "select table_name from information_schema.tables where table_schema = '$DUMP_DATABASE' and table_type = 'BASE TABLE'"); do
  printf '%s"%s":%s' "$comma" "$table" "$(sql "$1" -e "select count(*) from \`$DUMP_DATABASE\`.\`$table\`")"
  comma=,
done
[ "$comma" = , ] || printf '{'
echo '}'
touch "$1/ready"
while [ -e "$1/wait" ]; do sleep 0.2; done
kill -KILL "$server"
