#!/bin/sh
# Uploads the files in the directory $2 that the bucket $1 lacks or has with other content.

set -eu
exec rclone --config= --metadata --checksum --contimeout=20s --timeout=2m --retries=3 --low-level-retries=4 copy "$2" "bucket:$1"
