#!/bin/sh
# Copies media from $2 to $3, one of which is a directory, the other "bucket:NAME", by lists of files in the directory $4.
# $1 is what to do:
#   plan   prints files, bytes, bytes in the directory cache, files and bytes that $3 lacks, and the bytes free in $5
#   copy   copies what $3 lacks or has with another size
#   check  compares hashes, copies what differs again, and prints how many files were compared by hash, by size only, and were
#          copied again; 20: some still differ, and their names are printed
#   end    while nothing writes: copies and removes until $3 has what $2 has, then prints files and bytes, and some files with
#          their hashes; 21: something is missing
#   fill   copies the files whose names $3 lacks, and prints how many
#   remove deletes from $2 what was moved
# $5 is the directory of the two; all its directories have media. $6 lists the top directories with media in a bucket, $7 those of them that nobody may read. $8 is the
# Cache-Control of uploaded objects, $9 the owner of downloaded files. Standard input: directories below $3 whose files only the
# app may read. TYPES is the file of MIME types that rclone reads. START names this move; OURS=1: files in $3 that $2 lacks are from an earlier move. ACL=1: objects have ACLs.

set -eu
verb=$1 from=$2 to=$3 work=$4 folder=$5 media=$6 hidden=$7 cache=$8 owner=$9
export LC_ALL=C TMPDIR="$work"
tab=$(printf '\t')
known=$media
# Directories of this host that a later version of the app may have added.
for one in "$folder"/*/; do
  name=$(basename "$one")
  case " $media lost+found * " in
  *" $name "*) ;;
  *) if [ -d "$one" ]; then media="$media $name"; fi ;;
  esac
done
# Visitors wait for nothing but the end.
if [ "$verb" != end ]; then
  renice -n 19 -p $$ >/dev/null 2>&1 || true
  ionice -c 3 -p $$ 2>/dev/null || true
fi
if [ "${TYPES:-}" != '' ] && [ ! -e "$TYPES" ]; then
  # Types that rclone does not know.
  printf '%s\n' 'video/mp4 mp4 m4v' 'video/quicktime mov' 'video/webm webm' 'audio/mpeg mp3' 'audio/mp4 m4a' \
    'audio/ogg oga ogg opus' 'audio/flac flac' 'audio/wav wav' 'image/heic heic' 'image/avif avif' \
    'image/vnd.microsoft.icon ico' 'application/gzip gz' >"$TYPES"
fi
clone() {
  rclone --config= --contimeout=20s --timeout=2m --retries=3 --low-level-retries=4 --stats=15s --stats-one-line \
    --stats-log-level=NOTICE "$@"
}
# Writes the sorted list $2 of the files with media in $1: path, tab, size, and with the format psh a tab and the hash.
list() {
  clone lsf -R --files-only --separator "$tab" --format "${3:-ps}" "$1" >"$work/raw"
  awk -F "$tab" -v names="$media" 'BEGIN { n = split(names, a, " "); for (i = 1; i <= n; i++) keep[a[i]] = 1 }
    index($1, "/") { split($1, parts, "/"); if (parts[1] in keep) print }' "$work/raw" | sort >"$2.new"
  rm "$work/raw"
  mv "$2.new" "$2"
}
both() { list "$from" "$work/from" && list "$to" "$work/to"; }
names() { cut -f 1 "$1"; }
sum() { awk -F "$tab" '{ n++; b += $2 } END { printf "%d\n%.0f\n", n, b }' "$1"; }
lacking() { comm -23 "$work/from" "$work/to" >"$work/lacking"; }
# Copies the files that the list $1 names, whatever the other side has.
copy() {
  if [ ! -s "$1" ]; then return 0; fi
  set -- "$1" --no-check-dest --no-traverse --multi-thread-streams=0
  if [ "$folder" = "$to" ]; then
    clone copy --files-from-raw "$@" "$from" "$to"
    for top in $media; do
      if [ -d "$to/$top" ]; then find "$to/$top" -user 0 -exec chown "$owner" {} +; fi
    done
    return 0
  fi
  if [ "$cache" != '' ]; then set -- "$@" --header-upload "Cache-Control: $cache"; fi
  list=$1
  shift
  : >"$work/private"
  if [ "${ACL:-}" = 1 ]; then
    # The app marks files that nobody may read by their mode.
    { (cd "$from" && find $media -type f ! -perm -004 2>/dev/null || true)
      for top in $hidden; do (cd "$from" && find "$top" -type f 2>/dev/null || true); done
    } | sort -u >"$work/private"
  fi
  comm -12 "$list" "$work/private" >"$work/private.part"
  comm -23 "$list" "$work/private" >"$work/public.part"
  if [ -s "$work/private.part" ]; then
    clone copy --files-from-raw "$work/private.part" "$@" "$from" "bucket,acl=private:${to#bucket:}"
  fi
  if [ -s "$work/public.part" ]; then clone copy --files-from-raw "$work/public.part" "$@" "$from" "$to"; fi
}
# Remembers what the other side had before.
remember() {
  start=$work/start.$START
  if [ -e "$start" ]; then return 0; fi
  rm -f "$work"/start.*
  if [ "${OURS:-}" = 1 ]; then : >"$work/new"; else names "$work/to" >"$work/new"; fi
  mv "$work/new" "$start"
}

case $verb in
plan)
  both
  sum "$work/from"
  awk -F "$tab" '$1 ~ /^cache\// { b += $2 } END { printf "%.0f\n", b }' "$work/from"
  lacking
  sum "$work/lacking"
  df -Pk "$folder" | tail -n 1 | awk '{ printf "%.0f\n", $4 * 1024 }'
  ;;
copy)
  both
  remember
  lacking
  names "$work/lacking" >"$work/names"
  copy "$work/names"
  sum "$work/lacking"
  ;;
check)
  list "$from" "$work/hashes" psh
  list "$to" "$work/other" psh
  : >"$work/differ"
  # Equal paths follow each other: a tab sorts before all characters of a path.
  sort -m "$work/hashes" "$work/other" | awk -F "$tab" -v out="$work/differ" '
    $1 == path {
      if (length($3) == 32 && length(hash) == 32) { n++; same = ($3 == hash) } else { m++; same = 1 }
      if (!same || $2 != size) { print $1 >out; again++ }
    }
    { path = $1; size = $2; hash = $3 }
    END { printf "%d\n%d\n%d\n", n, m, again }'
  if [ -s "$work/differ" ]; then
    copy "$work/differ"
    clone check --one-way --files-from-raw "$work/differ" --differ "$work/still" --error "$work/unread" "$from" "$to" || true
    cat "$work/still" "$work/unread" | sort -u >"$work/differ"
    if [ -s "$work/differ" ]; then
      cat "$work/differ"
      exit 20
    fi
  fi
  ;;
end)
  both
  remember
  lacking
  names "$work/lacking" >"$work/names"
  copy "$work/names"
  names "$work/from" >"$work/moved.new"
  names "$work/to" | comm -23 - "$work/moved.new" | comm -23 - "$start" >"$work/stale"
  if [ -s "$work/stale" ]; then clone delete --files-from-raw "$work/stale" "$to"; fi
  if [ -s "$work/names" ]; then list "$to" "$work/to"; fi
  lacking
  if [ -s "$work/lacking" ]; then
    names "$work/lacking"
    exit 21
  fi
  if [ "$folder" = "$to" ]; then
    while read -r one; do
      if [ -d "$to/$one" ]; then find "$to/$one" -type f -exec chmod 600 {} +; fi
    done
  fi
  mv "$work/moved.new" "$work/moved"
  sum "$work/from"
  if [ -e "$work/hashes" ]; then
    sort -m "$work/hashes" "$work/from" | awk -F "$tab" -v hidden="$hidden" '
      BEGIN { n = split(hidden, a, " "); for (i = 1; i <= n; i++) drop[a[i]] = 1; drop["cache"] = 1 }
      $1 == path { split($1, parts, "/"); h = hash $3; if (!(parts[1] in drop) && length(h) == 32 && $2 < 4000000 && c++ < 5) print $1 "\t" h }
      { path = $1; hash = $3 }'
  fi
  ;;
fill)
  both
  names "$work/from" >"$work/names.from"
  names "$work/to" >"$work/names.to"
  comm -23 "$work/names.from" "$work/names.to" >"$work/names"
  copy "$work/names"
  wc -l <"$work/names"
  ;;
remove)
  if [ -s "$work/moved" ]; then
    clone delete --files-from-raw "$work/moved" "$from"
  elif [ "$folder" = "$from" ]; then
    # Without the list, as after a restore: only what is known.
    for top in $known; do rm -rf "${from:?}/$top"; done
  fi
  if [ "$folder" = "$from" ]; then
    for top in $media; do
      if [ -d "$from/$top" ]; then find "$from/$top" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
    done
  fi
  ;;
esac
