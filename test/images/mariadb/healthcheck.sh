#!/usr/bin/env bash
# What the official image's healthcheck.sh promises, in our own words, for the
# tests that our stacks name: --connect (over TCP, by the account that the entry
# point made) and --innodb_initialized.
set -eo pipefail

file=/var/lib/mysql/.my-healthcheck.cnf

ask() { mariadb --defaults-extra-file="$file" --protocol="$1" --host=localhost --skip-column-names --batch --execute "$2"; }

(($#)) || { echo 'At least one argument required' >&2; exit 1; }
for test in "$@"; do
  case $test in
    # Refused credentials are an answer too: the server is there.
    --connect)
      said=$(ask tcp 'select @@skip_networking' 2>&1) || [[ $said == *'Access denied'* ]] ||
        { echo 'healthcheck connect failed' >&2; exit 1; }
      [[ $said != 1 ]]
      ;;
    --innodb_initialized)
      [[ $(ask socket "select 1 from information_schema.engines where engine = 'innodb' and support in ('YES', 'DEFAULT', 'ENABLED')") == 1 ]] ||
        { echo 'healthcheck innodb_initialized failed' >&2; exit 1; }
      ;;
    *)
      echo "Unknown healthcheck option $test" >&2
      exit 1
      ;;
  esac
done
