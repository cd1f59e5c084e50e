#!/bin/sh
# Takes a host and a user, and its password from standard input. Fails unless the user can log in there and read statistics.

IFS= read -r password
MYSQL_PWD=$password exec mariadb -h "$1" -u "$2" -e 'show engine innodb status' >/dev/null
