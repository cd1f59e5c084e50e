#!/bin/sh
# Sends the commands on standard input to the Valkey of this container, and prints one line for each reply that is a number or a
# text. Ends soon even if nobody waits for it.

export REDISCLI_AUTH="$VALKEY_PASSWORD"
exec timeout 5 valkey-cli
