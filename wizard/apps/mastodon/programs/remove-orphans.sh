#!/bin/sh
# Removes files of the media cache that no record mentions. Further arguments: of tootctl.

set -eu
# A new server has no cache yet, and tootctl fails then.
[ -d public/system/cache ] || exit 0
exec tootctl media remove-orphans --prefix cache "$@"
