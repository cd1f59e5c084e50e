#!/bin/sh
# Executes the SQL on standard input, over the container's socket, as its role.

PGPASSWORD=$POSTGRES_PASSWORD exec psql -v ON_ERROR_STOP=1 -qU "$POSTGRES_USER" -d "$POSTGRES_DB"
