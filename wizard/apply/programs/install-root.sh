#!/bin/sh
# Takes the path without extension; certificate and key come on standard input. The key is complete before it gets its name.

umask 077
mkdir -p "${1%/*}" && cd "${1%/*}" && name=${1##*/} && cat >.new || exit 1
sed '/BEGIN .*PRIVATE KEY/,$d' .new >.crt && mv .crt "$name.crt" &&
  sed -n '/BEGIN .*PRIVATE KEY/,$p' .new >.key && mv .key "$name.key" && rm .new
