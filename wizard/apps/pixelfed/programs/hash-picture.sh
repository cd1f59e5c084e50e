#!/bin/sh
# Prints the hash of the picture whose path without extension it takes.

cat "$1".* | sha256sum
