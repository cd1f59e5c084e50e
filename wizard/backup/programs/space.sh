#!/bin/sh
# Prints the KiB used below the directory $2, then the KiB free in the directory $1.

set -eu
du -sk "$2" | cut -f 1
df -Pk "$1" | tail -n 1 | awk '{ print $4 }'
