<?php
/** Prints the cipher of the app's database connection, or an empty line. */

$row = (array) $app['db']->selectOne($app['db']->getDriverName() === 'pgsql' ? 'select cipher from pg_stat_ssl where pid = pg_backend_pid()' : "show session status like 'Ssl_cipher'");
echo end($row), PHP_EOL;
