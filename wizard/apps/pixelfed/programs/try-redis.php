<?php
/** Prints RedisInfo (external.ts) as JSON. */

in_words(function () {
  $redis = connect_redis();
  foreach (['REDIS_DB', 'REDIS_CACHE_DB'] as $name)
    if (!$redis->select((int) getenv($name))) throw new Exception('it has no database '.getenv($name).': '.$redis->getLastError());
  $memory = $redis->info('memory');
  echo json_encode(['version' => $redis->info('server')['redis_version'] ?? null, 'policy' => $memory['maxmemory_policy'] ?? null, 'maxmemory' => $memory['maxmemory'] ?? null]);
});
