#!/bin/sh
# Prints "KIB DIRECTORY" for each argument and the directories directly in it, with the lowest priority.

set -eu
idle=
if command -v ionice >/dev/null; then idle='ionice -c 3'; fi
for folder in "$@"; do
  # A file may be removed meanwhile.
  nice -n 19 $idle du -kd1 "$folder" 2>/dev/null || true
done
