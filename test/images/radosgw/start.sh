#!/bin/sh
# Creates the user if there is none yet, then starts the S3 server.
set -eu

mkdir -p /var/lib/rgw /var/run/ceph
admin() { radosgw-admin --no-mon-config -c /etc/ceph/ceph.conf -n client.rgw.x "$@"; }
admin user info --uid=test >/dev/null 2>&1 ||
  admin user create --uid=test --display-name=test --access-key="$ACCESS_KEY" --secret-key="$SECRET_KEY" >/dev/null
exec radosgw --no-mon-config -d -c /etc/ceph/ceph.conf -n client.rgw.x
