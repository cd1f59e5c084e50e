#!/bin/sh
# Moves the restored site directory $1 over $2 and gives its files to the user $3 (UID:GID).

set -eu
chown -R "$3" "$1"
find "$1" -mindepth 1 -maxdepth 1 -exec cp -a {} "$2/" \;
rm -rf "$1"
sync
