#!/bin/sh
# Runs restic with the arguments from $3 on, with the lowest priority if $1 is "low". Standard input is the SSH key, if any. If $2 is
# a directory, it prints its files instead of restic's messages: for each a line with path, space and content in base64. OWN_CAS: CA
# certificates that restic trusts besides those of the image, in PEM.

set -eu
umask 077
cat >/tmp/ssh-key
if [ -n "${OWN_CAS:-}" ]; then
  printf %s "$OWN_CAS" >/tmp/ca.crt
  # Besides it, programs in Go read all in /etc/ssl/certs.
  export SSL_CERT_FILE=/tmp/ca.crt
fi
with=
if [ "$1" = low ]; then
  with='nice -n 19'
  if command -v ionice >/dev/null; then with="$with ionice -c 3"; fi
fi
folder=$2
shift 2
[ -n "$folder" ] || exec $with restic "$@"
$with restic "$@" >&2
cd "$folder"
find . -type f | while read -r path; do printf '%s %s\n' "$path" "$(base64 "$path" | tr -d '\n')"; done
