<?php
/** Prints GoodbyeLeft (app.ts) as JSON: what Horizon has in the queue, and what failed. */

$redis = $app['redis']->connection();
$key = 'queues:'.$values['queue'];
$accounts = "select count(*) as n from users where profile_id is not null and deleted_at is null and (status is null or status not in ('delete', 'deleted'))";
$lost = "select count(*) as n from failed_jobs where payload like '%FanoutDeletePipeline%'";
echo json_encode([
  'accounts' => (int) $app['db']->select($accounts)[0]->n,
  'deliveries' => $redis->llen($key) + $redis->zcard("$key:delayed") + $redis->zcard("$key:reserved"),
  'lost' => (int) $app['db']->select($lost)[0]->n,
]), PHP_EOL;
