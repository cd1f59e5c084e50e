<?php
/** Prints the names of the migrations that the database has, one a line. */

foreach ($app['db']->select('select migration from migrations') as $row) {
    echo $row->migration, PHP_EOL;
}
