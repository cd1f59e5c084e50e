#!/bin/bash
# Creates a MariaDB in the directory $1, loads the dump $2 and writes the number of rows of each table as JSON to $1/ready.
# Only its own network namespace reaches it. It runs until the container is removed, at most an hour.

set -euo pipefail
{
  mariadb-install-db --no-defaults --datadir="$1/data" --auth-root-authentication-method=normal --skip-test-db
  mariadbd --no-defaults --datadir="$1/data" --socket="$1/socket" --pid-file="$1/pid" --bind-address=127.0.0.1 --tmpdir="$1" \
    --innodb-flush-log-at-trx-commit=0 --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci &
  server=$!
  until mariadb-admin --no-defaults --socket="$1/socket" --user=root ping; do
    kill -0 "$server"
    sleep 0.2
  done
} >&2
password=$MYSQL_PWD
unset MYSQL_PWD
sql() { mariadb --no-defaults --socket="$1/socket" --user=root --default-character-set=utf8mb4 --skip-column-names --batch "${@:2}"; }
sql "$1" -e "create database \`$DUMP_DATABASE\` character set utf8mb4 collate utf8mb4_unicode_ci"
sql "$1" "$DUMP_DATABASE" <"$2"
printf "create user \`%s\`@'%%' identified by '%s'; grant all on \`%s\`.* to \`%s\`@'%%';\n" \
  "$DUMP_USER" "${password//\'/\'\'}" "$DUMP_DATABASE" "$DUMP_USER" | sql "$1"
{
  comma='{'
  for table in $(sql "$1" -e "select table_name from information_schema.tables where table_schema = '$DUMP_DATABASE' and table_type = 'BASE TABLE'"); do
    printf '%s"%s":%s' "$comma" "$table" "$(sql "$1" -e "select count(*) from \`$DUMP_DATABASE\`.\`$table\`")"
    comma=,
  done
  [ "$comma" = , ] || printf '{'
  echo '}'
} >"$1/rows"
mv "$1/rows" "$1/ready"
sleep 3600
