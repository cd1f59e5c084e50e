#!/bin/sh
# Prints what the Valkey server of this container says about memory and evicted keys.

export REDISCLI_AUTH="$VALKEY_PASSWORD"
printf 'info memory\ninfo stats\n' | timeout 5 valkey-cli | grep -E '^(used_memory|maxmemory|evicted_keys|rejected_connections):'
