<?php
/** Prints `all`, or how many cities of the image's file are in the database. */

ini_set('memory_limit', '512M');
$all = count(json_decode(file_get_contents('storage/app/cities.json')));
$there = current((array) $app['db']->selectOne('select count(*) from places'));
echo $there > 0 && $there >= $all ? 'all' : "$there of $all", PHP_EOL;
