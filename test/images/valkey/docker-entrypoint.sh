#!/bin/sh
# What the official image promises, in our own words: options alone mean the
# server, and the server never runs as root. The original is built with
# protected mode off; Debian's is not, so it is switched off here.
set -eu

case ${1:-} in
  -* | *.conf) set -- valkey-server "$@" ;;
esac
if [ "${1:-}" = valkey-server ]; then
  if [ "$(id -u)" = 0 ]; then
    find . \! -user valkey -exec chown valkey '{}' +
    exec setpriv --reuid=valkey --regid=valkey --clear-groups "$0" "$@"
  fi
  umask 0077
  # shellcheck disable=SC2086
  set -- "$@" --protected-mode no ${VALKEY_EXTRA_FLAGS:-}
fi
exec "$@"
