#!/bin/sh
# Deletes all accounts. The server, which runs, sends what that puts into its queue.

set -eu
for file in /data/user/*/user.json; do
  [ -e "$file" ] || continue
  snac deluser /data "$(basename "$(dirname "$file")")"
done
