#!/bin/sh
# Puts the deletion of each account into its queue, in the form in which snac puts posts there; snac chooses the servers, signs
# and tries again. The accounts stay on this host. An account has a mark once that is done.

set -eu
base=$(jq --raw-output '"https://" + .host + .prefix' /data/server.json)
for file in /data/user/*/user.json; do
  user=$(dirname "$file")
  if [ ! -e "$file" ] || [ -e "$user/goodbye" ]; then continue; fi
  actor=$base/$(basename "$user")
  id=$(date +%s.%6N)
  jq --null-input --arg actor "$actor" --arg id "$id" '{
    type: "message",
    message: {
      "@context": "https://www.w3.org/ns/activitystreams",
      id: ($actor + "#delete"),
      type: "Delete",
      actor: $actor,
      object: $actor,
      to: ["https://www.w3.org/ns/activitystreams#Public"],
      cc: [$actor + "/followers"]
    },
    retries: 0,
    ntid: $id
  }' >"$user/queue/$id.new"
  mv "$user/queue/$id.new" "$user/queue/$id.json"
  : >"$user/goodbye"
done
