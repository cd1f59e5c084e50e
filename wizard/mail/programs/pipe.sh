#!/bin/sh
# Arguments: an address and a port. Connects, and joins the connection with standard input and output.
# Caddy's image has nc; images made from Debian have bash.

if command -v nc >/dev/null; then exec nc "$1" "$2"; fi
exec bash -c 'exec 3<>"/dev/tcp/$1/$2" || exit 1
cat <&0 >&3 &
cat <&3
kill %1' bash "$1" "$2"
