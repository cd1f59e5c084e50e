#!/bin/sh
# Takes the name of a role, and its password from standard input. Creates the role, or sets the password; it may only read
# statistics. Runs in the container of the server, over its socket. The password is random, without quotes.

IFS= read -r new
PGPASSWORD=$POSTGRES_PASSWORD exec psql -v ON_ERROR_STOP=1 -qU "$POSTGRES_USER" -d "$POSTGRES_DB" <<END
do \$\$ begin
  if not exists (select from pg_roles where rolname = '$1') then create role $1; end if;
end \$\$;
alter role $1 with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls connection limit 5 password '$new';
grant pg_monitor to $1;
END
