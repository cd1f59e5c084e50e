#!/bin/sh
# Replaces the files in the directory $2 by those in $1, with owners and modes, and compares them.

set -eu
find "$2" -mindepth 1 -delete
cp -a "$1/." "$2/"
diff -rq "$1" "$2" >&2
sync
