#!/bin/sh
# Creates the directory $1 for the user $2.

set -eu
mkdir -p "$1"
chown -R "$2" "$1"
