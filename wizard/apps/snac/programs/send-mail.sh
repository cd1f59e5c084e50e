#!/bin/sh
# Takes a message, its sender and its recipient. jq turns server.json into a curl configuration, which curl reads from standard
# input because it may contain a password. As in snac, STARTTLS is required on port 587 and not used on other ports.

jq --raw-output '(.smtp_url // "smtp://localhost") as $url
| (env.HOSTNAME // "localhost") as $here
| "url = \($url | rtrimstr("/") + "/" + $here | tojson)",
  (if ($url | test("^smtp://.*:587/?$")) then "ssl-reqd" else empty end),
  (if (.smtp_username // "") != "" then "user = \("\(.smtp_username):\(.smtp_password // "")" | tojson)" else empty end)' /data/server.json |
curl --silent --show-error --verbose --connect-timeout 20 --max-time 60 --config - --mail-from "$2" --mail-rcpt "$3" --upload-file /dev/fd/3 3<<END
$1
END
