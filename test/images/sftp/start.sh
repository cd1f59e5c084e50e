#!/bin/sh
# Starts the SFTP server with a new host key.
set -eu

ssh-keygen -q -A
install -d -m 0700 -o backup-user -g backup-user /home/backup-user/.ssh
printf '%s\n' "$PUBLIC_KEY" >/home/backup-user/.ssh/authorized_keys
chown backup-user: /home/backup-user/.ssh/authorized_keys
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -o PasswordAuthentication=no -o 'Subsystem=sftp internal-sftp' -o ForceCommand=internal-sftp
