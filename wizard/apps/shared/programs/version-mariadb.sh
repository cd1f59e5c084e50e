#!/bin/bash
# Prints the version of the data in the directory $1, or an empty line, then the version of this image. If the file that records
# the version is missing, the redo log has the version that created it.

if [ -s "$1/mariadb_upgrade_info" ]; then
  data=$(cat "$1/mariadb_upgrade_info")
elif [ -s "$1/ib_logfile0" ]; then
  data=$(head -c 48 "$1/ib_logfile0" | tail -c 32 | tr -d '\0' | sed -n 's/^MariaDB \([0-9.]*\).*/\1/p')
fi
echo "${data:-}"
mariadbd --version | sed 's/.*Ver \([^ ]*\).*/\1/'
