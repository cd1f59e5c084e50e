#!/bin/sh
# Takes the name of a user, and its password from standard input. Creates the user, or sets the password; it may only read
# statistics. Runs in the container of the server, as root. The password is random, without quotes.

IFS= read -r new
MYSQL_PWD=$MARIADB_ROOT_PASSWORD exec mariadb -uroot <<END
create user if not exists '$1'@'%';
alter user '$1'@'%' identified by '$new' with max_user_connections 5;
grant process, binlog monitor on *.* to '$1'@'%';
grant select on performance_schema.* to '$1'@'%';
END
