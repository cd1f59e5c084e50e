#!/bin/bash
# Prints character sets and collations of a MariaDB database, its tables and their columns: name, tab, value. The password is in
# MYSQL_PWD.

exec mariadb --host="$DUMP_HOST" --port="$DUMP_PORT" --user="$DUMP_USER" --skip-column-names --batch "$DUMP_DATABASE" -e "
select 'collation', default_collation_name from information_schema.schemata where schema_name = database()
union all select concat('collation of ', table_name), table_collation from information_schema.tables
  where table_schema = database() and table_type = 'BASE TABLE'
union all select concat('collation of ', table_name, '.', column_name), collation_name from information_schema.columns
  where table_schema = database() and collation_name is not null
    and table_name in (select table_name from information_schema.tables where table_schema = database() and table_type = 'BASE TABLE')
order by 1"
