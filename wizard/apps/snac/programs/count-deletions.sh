#!/bin/sh
# Prints GoodbyeLeft (app.ts) as JSON. A file of the queue is a delivery; it counts its failures. snac gives a server up at once if it
# cannot connect to it, and keeps its name in /data/failure until a delivery succeeds.

set -eu
left=0
for file in /data/user/*/user.json; do
  if [ -e "$file" ] && [ ! -e "$(dirname "$file")/goodbye" ]; then left=$((left + 1)); fi
done
given_up=$(
  for file in /data/failure/*; do
    if [ -f "$file" ]; then
      cat "$file"
      echo
    fi
  done | jq --raw-input --slurp 'split("\n") | map(select(. != "") | {key: ., value: 99}) | from_entries'
)
# snac may remove a file meanwhile.
find /data/user/*/queue /data/queue -name '*.json' -exec cat {} + 2>/dev/null |
  jq --compact-output --slurp --argjson accounts "$left" --argjson given_up "$given_up" '
    def server: .inbox | split("/")[2];
    map(select(.type == "message" or .type == "output")) | {
      accounts: $accounts,
      deliveries: map(select(.retries == 0)) | length,
      failed: ($given_up + (map(select(.type == "output" and .retries > 0)) | group_by(server)
        | map({key: (.[0] | server), value: (map(.retries) | min)}) | from_entries))
    }'
