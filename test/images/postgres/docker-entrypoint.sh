#!/usr/bin/env bash
# What the official image promises, in our own words: an empty PGDATA is made
# into a cluster, anything else is left alone; then the server runs as
# "postgres". As docker-ensure-initdb.sh it ends before that. Used: POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS (each also as NAME_FILE)
# and POSTGRES_HOST_AUTH_METHOD.
set -Eeuo pipefail

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# Puts the value of NAME, or else what the file NAME_FILE holds, or else a
# default, into NAME.
from_file() {
  local name=$1 file=$1_FILE default=${2:-} value
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then
    fail "error: both $name and $file are set (but are exclusive)"
  fi
  value=${!name:-$default}
  [[ -z ${!file:-} ]] || value=$(<"${!file}")
  export "$name=$value"
  unset "$file"
}

# Needs the password of nobody: it is for the socket and for this container.
query() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" "$@"
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        echo "init: $file"
        # shellcheck disable=SC1090
        if [[ -x $file ]]; then "$file"; else . "$file"; fi
        ;;
      *.sql) echo "init: $file" && query --dbname "$POSTGRES_DB" --file "$file" ;;
      *.sql.gz) echo "init: $file" && gunzip -c "$file" | query --dbname "$POSTGRES_DB" ;;
      *.sql.xz) echo "init: $file" && xz -dc "$file" | query --dbname "$POSTGRES_DB" ;;
      *.sql.zst) echo "init: $file" && zstd -dc "$file" | query --dbname "$POSTGRES_DB" ;;
      '/docker-entrypoint-initdb.d/*') ;;
      *) echo "init: $file is left out" ;;
    esac
  done
}

# $@ is the server's command.
first_init() {
  local method=${POSTGRES_HOST_AUTH_METHOD:-} arguments
  if [[ -z $POSTGRES_PASSWORD && $method != trust ]]; then
    fail 'Error: Database is uninitialized and superuser password is not specified.' \
      '       Set POSTGRES_PASSWORD to a value that is not empty, or, to let anybody' \
      '       in without one, POSTGRES_HOST_AUTH_METHOD=trust.'
  fi
  [[ $method != trust ]] ||
    echo 'WARNING: POSTGRES_HOST_AUTH_METHOD is "trust": anybody who reaches port 5432 has full access.' >&2

  # Quotes inside the variable count, as in the original.
  eval "arguments=(${POSTGRES_INITDB_ARGS:-})"
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" \
    --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-none}") "${arguments[@]}"
  [[ -n $method ]] || method=$("$@" -C password_encryption)
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  # On the socket only: nobody outside sees a database that is half made.
  PGUSER=$POSTGRES_USER pg_ctl --pgdata="$PGDATA" --wait --silent \
    --options="-c listen_addresses='' -p ${PGPORT:-5432}" start
  if [[ -z $(query --dbname postgres -tA -v db="$POSTGRES_DB" <<<"select 1 from pg_database where datname = :'db'") ]]; then
    query --dbname postgres -v db="$POSTGRES_DB" <<<'create database :"db"'
  fi
  run_init_files
  PGUSER=$POSTGRES_USER pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
  printf '\n%s\n\n' 'PostgreSQL init process complete; ready for start up.'
}

only_init=no
if [[ ${0##*/} == docker-ensure-initdb.sh ]]; then
  only_init=yes
  if [[ ${1:-} != postgres ]]; then set -- postgres "$@"; fi
elif [[ ${1:-} == -* ]]; then
  set -- postgres "$@"
fi

server=no
if [[ ${1:-} == postgres ]]; then
  server=yes
  for word in "$@"; do
    case $word in -\? | --help | --describe-config | -V | --version) server=no ;; esac
  done
fi

if [[ $server == yes ]]; then
  install -d -m 0700 "$PGDATA" 2>/dev/null || true
  install -d -m 3775 /var/run/postgresql 2>/dev/null || true
  if ((EUID == 0)); then
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
    HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
  fi
  from_file POSTGRES_PASSWORD
  from_file POSTGRES_USER postgres
  from_file POSTGRES_DB "$POSTGRES_USER"
  from_file POSTGRES_INITDB_ARGS
  if [[ -s $PGDATA/PG_VERSION ]]; then
    printf '\n%s\n\n' 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
  else
    first_init "$@"
  fi
  [[ $only_init == no ]] || exit 0
fi

exec "$@"
