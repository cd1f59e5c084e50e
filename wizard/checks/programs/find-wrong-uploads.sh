#!/bin/sh
# Takes WHOSE MOST UID GID SHOWN FROM FILE…, with the volume at /data. WHOSE: `-true`, or `-false` in a custom data directory,
# where only files of root and of the app count as the app's. Such a directory may be a file system with its own lost+found.
# Prints at most MOST lines of each kind: `foreign PATH`, `others UID PATH`, `closed PATH` and `missing FILE`.
# Mode 0711, which the app gives to folders, counts as readable.

cd /data || exit 1
all=$1 most=$2 uid=$3 shown=$5
shift 6
tell() { head -n "$most" | sed "s|^\(\./\)*||; s|^|$1 |"; }
find . -name lost+found -prune -o ! -uid "$uid" \( "$all" -o -uid 0 -o -uid "$uid" \) -print | tell foreign
[ "$all" = -true ] ||
  find . -name lost+found -prune -o ! \( -uid 0 -o -uid "$uid" \) -printf '%U %P\n' | tell others
{
  find "./$shown" -name lost+found -prune -o -type d ! -perm -701 \( "$all" -o -uid 0 -o -uid "$uid" \) -print
  find "./$shown" -name lost+found -prune -o -type f ! -perm -604 \( "$all" -o -uid 0 -o -uid "$uid" \) -print
} | tell closed
for file; do [ -s "$shown/$file" ] || echo "missing $file"; done
