#!/bin/sh
# Takes the arguments of find-wrong-uploads.sh. Fixes owners everywhere, but makes only public files readable.

cd /data || exit 1
all=$1 uid=$3 owner=$3:$4 shown=$5 from=$6
shift 6
find . -name lost+found -prune -o ! -uid "$uid" \( "$all" -o -uid 0 -o -uid "$uid" \) -exec chown -h "$owner" {} + &&
  find "./$shown" -name lost+found -prune -o -type d ! -perm -701 \( "$all" -o -uid 0 -o -uid "$uid" \) -exec chmod u+rwx,go+rx {} + &&
  find "./$shown" -name lost+found -prune -o -type f ! -perm -604 \( "$all" -o -uid 0 -o -uid "$uid" \) -exec chmod u+rw,go+r {} + || exit 1
for file; do
  if [ -s "$shown/$file" ] || [ ! -s "$from/$shown/$file" ]; then continue; fi
  folder=${shown}/${file%/*}
  [ "$file" != "${file%/*}" ] || folder=$shown
  [ -d "$folder" ] || { mkdir -p "$folder" && chown "$owner" "$folder"; } || exit 1
  rm -f "$shown/$file" && cp "$from/$shown/$file" "$shown/$file" && chown "$owner" "$shown/$file" && chmod 644 "$shown/$file" || exit 1
done
