#!/bin/sh
# Creates the cluster and the user if there are none yet, then starts the S3 server.
set -eu

mkdir -p /var/lib/rgw /var/run/ceph
is_new=
if ! [ -e /var/lib/ceph/mon/ceph-a/store.db ]; then is_new=yes; fi
if [ "$is_new" ]; then
  monmaptool --create --clobber --add a 127.0.0.1:6789 --fsid 6b0e7a52-3f0c-4f6e-9d7e-0d5c1f2a3b4c /tmp/monmap
  mkdir -p /var/lib/ceph/mon/ceph-a /var/lib/ceph/osd/ceph-0
  ceph-mon --id a --mkfs --monmap /tmp/monmap
fi
ceph-mon --id a
if [ "$is_new" ]; then
  osd=$(cat /proc/sys/kernel/random/uuid)
  ceph osd new "$osd" 0
  ceph osd crush add osd.0 1 root=default host=localhost
  ceph-osd --id 0 --mkfs --osd-uuid "$osd"
fi
ceph-osd --id 0
if [ "$is_new" ]; then
  radosgw-admin user create --uid=test --display-name=test --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY"
fi
exec radosgw -d -n client.rgw.x
