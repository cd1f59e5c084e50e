#!/bin/sh
# Prints figures of the MariaDB server of this container as lines `name value`.

export MYSQL_PWD="$MARIADB_PASSWORD"
exec mariadb --host=127.0.0.1 --user="$MARIADB_USER" --skip-ssl --skip-column-names --batch -e "
  show global status where variable_name in ('Threads_connected', 'Max_used_connections', 'Innodb_buffer_pool_reads',
    'Innodb_buffer_pool_read_requests');
  show global variables where variable_name = 'max_connections'"
