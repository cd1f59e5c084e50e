<?php
/** Takes an action (see database-marker.php), the key, and the offset from the database number in the URL. */

in_words(function () use ($argv) {
  [, $action, $key, $after] = $argv;
  $redis = connect_redis();
  $redis->select(getenv('REDIS_DB') + $after);
  switch ($action) {
    case 'read':
      echo $redis->get($key) ?: '';
      break;
    case 'data':
      echo $redis->dbSize() > 0 ? 't' : 'f';
      break;
    case 'write':
      if (!$redis->set($key, trim(stream_get_contents(STDIN)))) throw new Exception($redis->getLastError());
  }
});
