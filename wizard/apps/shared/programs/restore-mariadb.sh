#!/bin/bash
# Loads the dump $1 into a MariaDB or MySQL database that is empty. The password is in MYSQL_PWD.

exec mariadb --host="$DUMP_HOST" --port="$DUMP_PORT" --user="$DUMP_USER" ${DUMP_CA:+"--ssl-ca=$DUMP_CA"} ${DUMP_PLAIN:+--skip-ssl} --default-character-set=utf8mb4 "$DUMP_DATABASE" <"$1"
