<?php
/**
 * Queues the job that sends the deletion of each account, then marks the account as deleted. A killed run may queue one account
 * twice, but leaves none out. Data and keys stay: the jobs sign with them.
 */

// The job reads its list of inboxes from the cache for hours, and leaves out servers without a shared inbox.
$shared = $app['db']->getDriverName() === 'pgsql' ? '"sharedInbox"' : '`sharedInbox`';
$inboxes = $app['db']->select("select distinct coalesce(nullif($shared, ''), inbox_url) as inbox from profiles where domain is not null and inbox_url is not null");
$app['cache']->put('pf:ap:known_instances', array_column($inboxes, 'inbox'), 7 * 86400);
$sql = "select id, profile_id from users where profile_id is not null and deleted_at is null and (status is null or status not in ('delete', 'deleted'))";
foreach ($app['db']->select($sql) as $user) {
  $profile = App\Profile::find($user->profile_id);
  if ($profile) App\Jobs\DeletePipeline\FanoutDeletePipeline::dispatch($profile)->onQueue($values['queue']);
  $app['db']->update("update profiles set status = 'delete' where id = ?", [$user->profile_id]);
  $app['db']->update("update users set status = 'delete' where id = ?", [$user->id]);
}
