<?php
/** Prints RedisInfo (external.ts) as JSON. */

in_words(function () {
  $redis = connect_redis();
  foreach (['REDIS_DB', 'REDIS_CACHE_DB'] as $name)
    if (!$redis->select((int) getenv($name))) throw new Exception('it has no database '.getenv($name).': '.$redis->getLastError());
  $memory = $redis->info('memory');
  // Managed servers refuse CONFIG.
  try { $save = $redis->config('GET', 'save')['save'] ?? null; } catch (Throwable) { $save = null; }
  $saves = ($redis->info('persistence')['aof_enabled'] ?? 0) == 1 || $save !== '';
  echo json_encode(['role' => $redis->info('replication')['role'] ?? null, 'saves' => $saves, 'version' => $redis->info('server')['redis_version'] ?? null, 'policy' => $memory['maxmemory_policy'] ?? null, 'maxmemory' => $memory['maxmemory'] ?? null]);
});
