<?php
/** Sends the commands on standard input to an external Redis. Prints one line for each reply, and for each part of a list, as valkey-cli does. */

in_words(function () {
  $redis = connect_redis();
  $redis->select((int) getenv('REDIS_DB'));
  foreach (file('php://stdin', FILE_IGNORE_NEW_LINES) as $line) echo implode(PHP_EOL, (array) $redis->rawCommand(...explode(' ', $line))), PHP_EOL;
});
