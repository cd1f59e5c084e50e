#!/bin/sh
# Copies the dumps in $1 to the directory $2 as NAME-$3.SUFFIX, keeps the newest $4 of each, and gives them to the owner $5.

set -eu
umask 077
for dump in "$1"/*.pgdump "$1"/*.sql; do
  [ -f "$dump" ] || continue
  file=${dump##*/}
  name=${file%.*}
  suffix=${file##*.}
  target=$2/$name-$3.$suffix
  cp "$dump" "$target.new"
  chown "$5" "$target.new"
  mv "$target.new" "$target"
  # The time in the name sorts as text.
  ls -1r "$2" | grep "^$name-[0-9T-]*\.$suffix$" | tail -n "+$(($4 + 1))" | while read -r old; do
    rm -f "$2/$old"
  done
done
