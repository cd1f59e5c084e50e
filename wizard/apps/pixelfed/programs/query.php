<?php
/** Prints one value from the database. `sql` has ? for each of `bindings` (JSON). */

echo current((array) $app['db']->selectOne($values['sql'], json_decode($values['bindings']))), PHP_EOL;
