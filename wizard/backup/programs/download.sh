#!/bin/sh
# Makes the directory $2 equal to the bucket $1: downloads new and changed files, removes those that are gone. Ends with 28 if the
# disk has too little space, and prints the bytes needed and free. Compares size and time, so it sends no request for each file.

set -eu
# Attributes of the files keep type and headers of the objects.
options='--config= --metadata --use-server-modtime --contimeout=20s --timeout=2m --retries=3 --low-level-retries=4'
size=$(rclone $options size --json "bucket:$1")
bytes=$(echo "$size" | sed 's/.*"bytes": *\([0-9]*\).*/\1/')
used=$(($(du -sk "$2" | cut -f 1) * 1024))
free=$(($(df -Pk "$2" | tail -n 1 | awk '{ print $4 }') * 1024))
if [ $((bytes - used)) -gt "$free" ]; then
  printf '%s\n' $((bytes - used)) "$free"
  exit 28
fi
idle=
if command -v ionice >/dev/null; then idle='ionice -c 3'; fi
exec nice -n 19 $idle rclone $options sync "bucket:$1" "$2"
