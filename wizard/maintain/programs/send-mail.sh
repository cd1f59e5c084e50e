#!/bin/sh
# Sends the mail in the variable MAIL with curl, whose settings are on standard input. CAS: a file with CA certificates that it trusts
# besides those of the image; it may be missing.

set -eu
umask 077
printf '%s' "$MAIL" >/tmp/mail
trust=
if [ -e "$CAS" ]; then
  # An empty line between them: the first may end without a newline.
  { cat /etc/ssl/certs/ca-certificates.crt && echo && cat "$CAS"; } >/tmp/ca.crt
  trust='--cacert /tmp/ca.crt'
fi
exec curl --silent --show-error --max-time 60 $trust --upload-file /tmp/mail --config -
