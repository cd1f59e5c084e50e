#!/bin/sh
# Prints name and e-mail address of all accounts as JSON.

jq --compact-output --slurp 'map({name: .uid, email: .email})' /data/user/*/user.json
