#!/bin/sh
# Prints the version of the cluster in the directory $1, or an empty line, then the version of this image.

cat "$1/PG_VERSION" 2>/dev/null || echo
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH" postgres --version | cut -d ' ' -f 3
