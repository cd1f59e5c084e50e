#!/bin/sh
# Connects to a mail server and logs in, without a mail. curl's settings, which may have a password, are on standard input. Only the
# server's lines and curl's error are printed: those that curl sends have the password.

curl --silent --show-error --verbose --connect-timeout 10 --max-time 20 --request NOOP --config - 2>&1 | grep -E '^(< |curl: )'
