#!/bin/bash
# Prints a checksum of the schema of a MariaDB or MySQL database and of the rows of its table $1. The password is in MYSQL_PWD.

set -euo pipefail
trap '[ $? != 124 ] || echo "no answer within a minute: another session may hold a lock" >&2' EXIT
# It may wait for a lock for a day.
client() {
  timeout 60 "$1" --host="$DUMP_HOST" --port="$DUMP_PORT" --user="$DUMP_USER" ${DUMP_CA:+"--ssl-ca=$DUMP_CA"} ${DUMP_PLAIN:+--skip-ssl} "${@:2}" "$DUMP_DATABASE"
}
schema=$(client mariadb-dump --no-data --routines --triggers --no-tablespaces --skip-comments)
rows=$(client mariadb --skip-column-names --batch -e "select * from \`$1\` order by 1")
printf '%s\n%s\n' "$schema" "$rows" | sed 's/ AUTO_INCREMENT=[0-9]*//' | sha256sum
