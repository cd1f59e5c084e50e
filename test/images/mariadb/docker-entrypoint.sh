#!/usr/bin/env bash
# What the official image promises, in our own words: an empty data directory is
# made into a database, in place, and one in which there is a folder "mysql" is
# left alone; then the server runs as "mysql". Sourced, it does nothing but bring
# its functions, of which these keep name and meaning: docker_setup_env,
# docker_verify_minimum_env, docker_mariadb_init. Used: MARIADB_ROOT_PASSWORD,
# MARIADB_RANDOM_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD,
# MARIADB_ROOT_HOST, MARIADB_DATABASE, MARIADB_USER, MARIADB_PASSWORD (each
# password also as NAME_FILE) and MARIADB_AUTO_UPGRADE.
set -eo pipefail
shopt -s nullglob

say() { printf '%s [%s] [Entrypoint]: %s\n' "$(date --rfc-3339=seconds)" "$1" "$2"; }

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

# What the server's command $2… says about the setting $1.
setting() {
  local name=$1
  shift
  "$@" --verbose --help 2>/dev/null | awk -v name="$name" '$1 == name && /^[^ ]/ { print $2; exit }'
}

# $@ is the server's command, in this and in what follows.
docker_setup_env() {
  DATADIR=$(setting datadir "$@")
  SOCKET=$(setting socket "$@")
  from_file MARIADB_ROOT_PASSWORD
  from_file MARIADB_PASSWORD
  DATABASE_ALREADY_EXISTS=
  if [[ -d $DATADIR/mysql ]]; then DATABASE_ALREADY_EXISTS=true; fi
}

docker_verify_minimum_env() {
  if [[ -z $MARIADB_ROOT_PASSWORD && -z $MARIADB_ALLOW_EMPTY_ROOT_PASSWORD && -z $MARIADB_RANDOM_ROOT_PASSWORD ]]; then
    fail 'Database is uninitialized and password option is not specified' \
      'You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_HASH, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD'
  fi
}

# On the socket only: nobody outside sees a database that is half made.
start_aside() {
  "$@" --skip-networking --socket="$SOCKET" --wsrep-on=OFF --expire-logs-days=0 --loose-innodb-buffer-pool-load-at-startup=0 &
  aside=$!
  local i
  for ((i = 0; i < 300; i++)); do
    if mariadb-admin --protocol=socket --socket="$SOCKET" -uroot --silent ping >/dev/null 2>&1; then return; fi
    kill -0 "$aside" 2>/dev/null || break
    sleep 0.1
  done
  fail 'Unable to start server.'
}

stop_aside() {
  kill "$aside"
  wait "$aside" || fail 'Unable to shut down server.'
}

sql() { MYSQL_PWD=${password:-} mariadb --protocol=socket --socket="$SOCKET" -uroot "$@"; }

docker_mariadb_init() {
  local password=
  say Note 'Initializing database files'
  mariadb-install-db --datadir="$DATADIR" --rpm --auth-root-authentication-method=normal "${@:2}" \
    --cross-bootstrap --skip-test-db --skip-log-bin >/dev/null
  start_aside "$@"
  mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo | sql mysql
  if [[ -n $MARIADB_RANDOM_ROOT_PASSWORD ]]; then
    MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
    say Note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
  fi
  local root health host=${MARIADB_ROOT_HOST:-%}
  root=$(quote "$MARIADB_ROOT_PASSWORD")
  health=$(head -c 24 /dev/urandom | base64)
  # Written before the accounts are.
  (umask 077 && printf '[mariadb-client]\nport=3306\nsocket=%s\nuser=healthcheck\npassword=%s\n' \
    "$SOCKET" "$health" >"$DATADIR/.my-healthcheck.cnf")
  {
    echo "SET @@SESSION.SQL_LOG_BIN=0;"
    echo "SET PASSWORD FOR 'root'@'localhost' = PASSWORD($root);"
    if [[ $host != localhost ]]; then
      echo "CREATE USER 'root'@$(quote "$host") IDENTIFIED BY $root; GRANT ALL ON *.* TO 'root'@$(quote "$host") WITH GRANT OPTION;"
    fi
    for where in 127.0.0.1 ::1 localhost; do
      echo "CREATE USER IF NOT EXISTS healthcheck@'$where' IDENTIFIED BY '$health'; GRANT USAGE ON *.* TO healthcheck@'$where';"
    done
    if [[ -n $MARIADB_DATABASE ]]; then
      echo "CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;"
    fi
    if [[ -n $MARIADB_USER && -n $MARIADB_PASSWORD ]]; then
      echo "CREATE USER $(quote "$MARIADB_USER")@'%' IDENTIFIED BY $(quote "$MARIADB_PASSWORD");"
      if [[ -n $MARIADB_DATABASE ]]; then
        echo "GRANT ALL ON \`${MARIADB_DATABASE//_/\\_}\`.* TO $(quote "$MARIADB_USER")@'%';"
      fi
    fi
  } | sql
  password=$MARIADB_ROOT_PASSWORD
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    say Note "running $file"
    case $file in
      # shellcheck disable=SC1090
      *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) sql ${MARIADB_DATABASE:+"$MARIADB_DATABASE"} <"$file" ;;
      *) say Warn "ignoring $file" >&2 ;;
    esac
  done
  stop_aside
  mariadbd --version | sed 's/.*Ver \([^ ]*\).*/\1/' | tr -d '\n' >"$DATADIR/mariadb_upgrade_info"
  say Note 'MariaDB init process done. Ready for start up.'
}

main() {
  if [[ ${1:-} == -* ]]; then set -- mariadbd "$@"; fi
  if [[ ${1:-} == mariadbd ]]; then
    docker_setup_env "$@"
    mkdir -p "$DATADIR"
    if ((EUID == 0)); then
      find "$DATADIR" "${SOCKET%/*}" \! -user mysql -exec chown mysql: '{}' +
      exec setpriv --reuid=mysql --regid=mysql --init-groups "${BASH_SOURCE[0]}" "$@"
    fi
    if [[ -z $DATABASE_ALREADY_EXISTS ]]; then
      docker_verify_minimum_env
      docker_mariadb_init "$@"
    elif [[ -n $MARIADB_AUTO_UPGRADE ]]; then
      # The original compares the version in that file with its own; here there is one version only.
      [[ -f $DATADIR/mariadb_upgrade_info ]] && say Note 'MariaDB upgrade not required' || say Note 'MariaDB upgrade information missing, assuming required'
    fi
    unset MARIADB_PASSWORD MARIADB_ROOT_PASSWORD
  fi
  exec "$@"
}

is_sourced() { [[ ${FUNCNAME[1]:-} == source ]]; }
is_sourced || main "$@"
