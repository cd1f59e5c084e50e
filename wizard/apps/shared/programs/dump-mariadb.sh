#!/bin/bash
# Dumps a MariaDB or MySQL database into the file $1. Prints the number of rows of each table as JSON, counted in the dump:
# mariadb-dump writes a row a line. The password is in MYSQL_PWD.

set -euo pipefail
mariadb-dump --host="$DUMP_HOST" --port="$DUMP_PORT" --user="$DUMP_USER" ${DUMP_CA:+"--ssl-ca=$DUMP_CA"} ${DUMP_PLAIN:+--skip-ssl} \
  --single-transaction --quick --routines --triggers --hex-blob --no-tablespaces \
  --default-character-set=utf8mb4 "$DUMP_DATABASE" |
  tee "$1" |
  awk '
    /^CREATE TABLE `/ { split($0, part, "`"); table = part[2]; rows[table] += 0 }
    /^INSERT INTO `/ { split($0, part, "`"); table = part[2]; inserts = 1; next }
    inserts && /^\(/ { rows[table]++ }
    /;$/ { inserts = 0 }
    END { for (table in rows) { printf "%s\"%s\":%d", comma ? "," : "{", table, rows[table]; comma = 1 }; print comma ? "}" : "{}" }
  '
tail -c 200 "$1" | grep -q '^-- Dump completed'
sync "$1"
