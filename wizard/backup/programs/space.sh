#!/bin/sh
# Prints the KiB used below the directories, then the KiB free in the first one.

set -eu
du -skc "$@" | tail -n 1 | cut -f 1
df -Pk "$1" | tail -n 1 | awk '{ print $4 }'
