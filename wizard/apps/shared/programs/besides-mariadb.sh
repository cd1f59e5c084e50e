#!/bin/bash
# Prints databases and users that are neither the app's nor the image's. Runs in the container of the server, as root.

MYSQL_PWD=$MARIADB_ROOT_PASSWORD exec mariadb -uroot --skip-column-names --batch -e "
select concat('the database ', schema_name) from information_schema.schemata
  where schema_name not in ('information_schema', 'mysql', 'performance_schema', 'sys', '$MARIADB_DATABASE')
union all select concat('the user ', user, '@', host) from mysql.global_priv
  where user not in ('root', 'mariadb.sys', 'healthcheck', 'PUBLIC', '', 'fedi_monitor', '$MARIADB_USER')"
