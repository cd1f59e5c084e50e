#!/bin/sh
# Prints "NAME NUMBER" for each directory below $1: how many files it has.

set -eu
for folder in "$1"/*/; do
  printf '%s %s\n' "$(basename "$folder")" "$(find "$folder" -type f 2>/dev/null | wc -l)"
done
