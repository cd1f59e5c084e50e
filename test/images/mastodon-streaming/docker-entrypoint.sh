#!/bin/sh
# The node image's own: options alone mean node.
set -e
case ${1:-} in -*) set -- node "$@" ;; esac
exec "$@"
