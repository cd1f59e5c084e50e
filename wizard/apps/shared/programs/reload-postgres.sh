#!/bin/bash
# Replaces everything in the schema public of a PostgreSQL database by the dump $1, in one transaction: it is complete, or nothing
# changes. The variables of libpq name the database.

set -euo pipefail
PATH="/usr/lib/postgresql/${PG_MAJOR:-17}/bin:$PATH"
list=$(mktemp)
# The schema itself stays, with its rights.
pg_restore --list "$1" | grep -vE ' (SCHEMA|(ACL|COMMENT) - SCHEMA) ' >"$list"
statements() {
  cat <<'SQL'
begin;
set lock_timeout = '60s';
set client_min_messages = warning;
do $$
declare it text;
begin
  -- Sequences last: a table may require its own. All names at once, as they are before the first drop.
  foreach it in array array(
    select statement from (
      select relkind = 'S' as is_last, format('drop %s if exists %s cascade', case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' when 'c' then 'type' else 'table' end, oid::regclass) as statement
        from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S', 'c')
      union all select false, format('drop routine if exists %s cascade', oid::regprocedure) from pg_proc
        where pronamespace = 'public'::regnamespace and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'i')
      union all select false, format('drop type if exists %s cascade', oid::regtype) from pg_type
        where typnamespace = 'public'::regnamespace and typtype in ('e', 'd', 'r')
    ) as objects order by is_last)
  loop execute it; end loop;
end $$;
SQL
  # Servers before version 17 do not know that limit. Without `commit`, everything is undone.
  pg_restore --no-owner --use-list="$list" --file=- "$1" | sed '1,30{/^SET transaction_timeout = 0;$/d}' &&
    printf '%s\n' 'commit;' '\echo complete'
}
done=$(statements "$1" | psql -XqAt -v ON_ERROR_STOP=1 | tail -n 1)
[ "$done" = complete ]
psql -Xq -c analyze || true
