#!/bin/sh
# Prints GoodbyeLeft (app.ts) as JSON. A file of the queue is a delivery; it counts its failures.

accounts=$(find /data/user -mindepth 2 -maxdepth 2 -name user.json | wc -l)
find /data/queue -name '*.json' -exec cat {} + | jq --compact-output --slurp --argjson accounts "$accounts" '
  map(select(.type == "output")) | {
    accounts: $accounts,
    deliveries: map(select((.retries // 0) == 0)) | length,
    failed: map(select((.retries // 0) > 0)) | group_by(.inbox | split("/")[2])
      | map({key: (.[0].inbox | split("/")[2]), value: (map(.retries) | min)}) | from_entries
  }'
