#!/bin/sh
# Puts the dump $1 into /data, the volume of a stopped Valkey, and gives it to the user of the image, 999. Valkey reads only the
# files that its manifest names: beside another one it would start empty.

set -eu
find /data -mindepth 1 -delete
mkdir /data/appendonlydir
cp "$1" /data/appendonlydir/appendonly.aof.1.base.rdb
echo 'file appendonly.aof.1.base.rdb seq 1 type b' >/data/appendonlydir/appendonly.aof.manifest
chown -R 999:999 /data
sync /data/appendonlydir/*
