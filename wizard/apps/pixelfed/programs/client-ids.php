<?php
/**
 * Sets the next id of client apps to `first` if `act` is 1. Prints `apart`, or the next id if it is below `first`. Ids that are
 * not numbers cannot equal a user's.
 */

$pg = $app['db']->getDriverName() === 'pgsql';
if ($values['act']) {
  $app['db']->statement($pg ? "select setval('oauth_clients_id_seq', {$values['first']}, false)" : "alter table oauth_clients auto_increment = {$values['first']}");
}
$type = current((array) $app['db']->selectOne("select data_type from information_schema.columns where table_name = 'oauth_clients' and column_name = 'id' and table_schema = ".($pg ? 'current_schema()' : 'database()')));
if (str_contains($type, 'int')) {
  $next = $pg
    ? current((array) $app['db']->selectOne('select last_value from oauth_clients_id_seq'))
    : (preg_match('/AUTO_INCREMENT=(\d+)/', implode(' ', (array) $app['db']->selectOne('show create table oauth_clients')), $found) ? $found[1] : 1);
}
echo isset($next) && $next < $values['first'] ? $next : 'apart', PHP_EOL;
