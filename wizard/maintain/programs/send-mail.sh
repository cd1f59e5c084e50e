#!/bin/sh
# Sends the mail in the variable MAIL with curl, whose settings are on standard input.

set -eu
umask 077
printf '%s' "$MAIL" >/tmp/mail
exec curl --silent --show-error --max-time 60 --upload-file /tmp/mail --config -
