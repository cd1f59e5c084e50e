#!/bin/bash
# Prints the number of rows of each table of a MariaDB or MySQL database as JSON. The password is in MYSQL_PWD.

set -euo pipefail
sql() {
  mariadb --host="$DUMP_HOST" --port="$DUMP_PORT" --user="$DUMP_USER" ${DUMP_CA:+"--ssl-ca=$DUMP_CA"} ${DUMP_PLAIN:+--skip-ssl} --skip-column-names --batch -e "$1" "$DUMP_DATABASE"
}
comma='{'
for table in $(sql "select table_name from information_schema.tables where table_schema = database() and table_type = 'BASE TABLE'"); do
  printf '%s"%s":%s' "$comma" "$table" "$(sql "select count(*) from \`$table\`")"
  comma=,
done
[ "$comma" = , ] || printf '{'
echo '}'
