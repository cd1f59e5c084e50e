#!/usr/bin/env bash
# What the official image promises, in our own words: an empty data directory is
# made into a database, anything else is left alone; then the server runs as
# "mysql". Used: MARIADB_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD,
# MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_ROOT_HOST, MARIADB_DATABASE,
# MARIADB_USER, MARIADB_PASSWORD (each password also as NAME_FILE) and
# MARIADB_AUTO_UPGRADE.
set -Eeuo pipefail

say() { printf '%s [%s] [Entrypoint]: %s\n' "$(date --iso-8601=seconds)" "$1" "$2"; }

fail() {
  say ERROR "$1" >&2
  shift
  if (($#)); then printf '\t%s\n' "$@" >&2; fi
  exit 1
}

# Puts the value of NAME, or else what the file NAME_FILE holds, into NAME.
from_file() {
  local name=$1 file=$1_FILE value
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then fail "Both $name and $file are set (but are exclusive)"; fi
  value=${!name:-}
  [[ -z ${!file:-} ]] || value=$(<"${!file}")
  export "$name=$value"
  unset "$file"
}

# Text as an SQL literal.
quote() {
  local text=${1//\\/\\\\}
  printf "'%s'" "${text//\'/\\\'}"
}

socket=/run/mysqld/mysqld.sock
datadir=/var/lib/mysql

# $@ is the server's command. On the socket only: nobody outside sees a database that is half made.
start_aside() {
  "$@" --skip-networking --socket="$socket" --wsrep-on=OFF --expire-logs-days=0 --loose-innodb-buffer-pool-load-at-startup=0 &
  aside=$!
  local i
  for ((i = 0; i < 300; i++)); do
    if mariadb-admin --protocol=socket --socket="$socket" -uroot --silent ping >/dev/null 2>&1; then return; fi
    kill -0 "$aside" 2>/dev/null || break
    sleep 0.1
  done
  fail 'Unable to start server.'
}

stop_aside() {
  kill "$aside"
  wait "$aside" || fail 'Unable to shut down server.'
}

first_init() {
  from_file MARIADB_ROOT_PASSWORD
  from_file MARIADB_PASSWORD
  if [[ -z $MARIADB_ROOT_PASSWORD && -z ${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-} && -z ${MARIADB_RANDOM_ROOT_PASSWORD:-} ]]; then
    fail 'Database is uninitialized and password option is not specified' \
      'You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_HASH, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD'
  fi
  say Note 'Initializing database files'
  mariadb-install-db --datadir="$datadir" --skip-test-db --auth-root-authentication-method=normal \
    --skip-name-resolve --skip-log-bin --cross-bootstrap >/dev/null
  start_aside "$@"
  if [[ -n ${MARIADB_RANDOM_ROOT_PASSWORD:-} ]]; then
    MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
    say Note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
  fi
  local root health host=${MARIADB_ROOT_HOST:-%}
  root=$(quote "$MARIADB_ROOT_PASSWORD")
  health=$(head -c 24 /dev/urandom | base64)
  {
    echo "SET @@SESSION.SQL_LOG_BIN=0;"
    echo "SET PASSWORD FOR 'root'@'localhost' = PASSWORD($root);"
    if [[ $host != localhost ]]; then
      echo "CREATE USER 'root'@$(quote "$host") IDENTIFIED BY $root; GRANT ALL ON *.* TO 'root'@$(quote "$host") WITH GRANT OPTION;"
    fi
    for where in 127.0.0.1 ::1 localhost; do
      echo "CREATE USER IF NOT EXISTS healthcheck@'$where' IDENTIFIED BY '$health'; GRANT USAGE ON *.* TO healthcheck@'$where';"
    done
    if [[ -n ${MARIADB_DATABASE:-} ]]; then
      echo "CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;"
    fi
    if [[ -n ${MARIADB_USER:-} && -n $MARIADB_PASSWORD ]]; then
      echo "CREATE USER $(quote "$MARIADB_USER")@'%' IDENTIFIED BY $(quote "$MARIADB_PASSWORD");"
      if [[ -n ${MARIADB_DATABASE:-} ]]; then
        echo "GRANT ALL ON \`${MARIADB_DATABASE//_/\\_}\`.* TO $(quote "$MARIADB_USER")@'%';"
      fi
    fi
  } | mariadb --protocol=socket --socket="$socket" -uroot
  (umask 077 && printf '[mariadb-client]\nport=3306\nsocket=%s\nuser=healthcheck\npassword=%s\n' \
    "$socket" "$health" >"$datadir/.my-healthcheck.cnf")
  local file
  for file in /docker-entrypoint-initdb.d/*.sql; do
    [[ -f $file ]] || continue
    say Note "running $file"
    MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --protocol=socket --socket="$socket" -uroot ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} <"$file"
  done
  stop_aside
  say Note 'MariaDB init process done. Ready for start up.'
}

if [[ ${1:-} == -* ]]; then set -- mariadbd "$@"; fi

if [[ ${1:-} == mariadbd ]]; then
  if ((EUID == 0)); then
    find "$datadir" /run/mysqld \! -user mysql -exec chown mysql: '{}' +
    exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" "$@"
  fi
  if [[ -d $datadir/mysql ]]; then
    if [[ -n ${MARIADB_AUTO_UPGRADE:-} ]]; then
      # Marked by the server itself; nothing to do as long as it is of the same version.
      mariadb-upgrade --check-if-upgrade-is-needed --silent --datadir="$datadir" 2>/dev/null &&
        say Note 'MariaDB upgrade needed' || say Note 'MariaDB upgrade not required'
    fi
  else
    first_init "$@"
  fi
  unset MARIADB_PASSWORD MARIADB_ROOT_PASSWORD
fi

exec "$@"
