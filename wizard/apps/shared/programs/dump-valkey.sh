#!/bin/sh
# Copies the data of a Valkey into the file $1, as a replica gets them. The password is in REDISCLI_AUTH.

set -eu
# Its default is to wait 5 seconds for other replicas.
valkey-cli -h "$DUMP_HOST" config set repl-diskless-sync-delay 0 >&2 || true
valkey-cli -h "$DUMP_HOST" --rdb "$1" >&2
[ -s "$1" ]
echo '{}'
sync "$1"
