#!/bin/sh
# Takes an account in SQL, and from standard input its new password and the last one of root. Connects as root, with the
# container's password or, if an interrupted run has changed that already, with the last one.

IFS= read -r new
IFS= read -r last
for root in "$MARIADB_ROOT_PASSWORD" "$last"; do
  printf "alter user %s identified by '%s';\n" "$1" "$new" | MYSQL_PWD=$root mariadb -uroot && exit 0
done
exit 1
