<?php
/**
 * Queues the job that sends the deletion of each account, then marks the account as deleted. A killed run may queue one account
 * twice, but leaves none out. Data and keys stay: the jobs sign with them.
 */

// The job keeps the list of inboxes for hours.
$app['cache']->forget('pf:ap:known_instances');
$sql = "select id, profile_id from users where profile_id is not null and deleted_at is null and (status is null or status not in ('delete', 'deleted'))";
foreach ($app['db']->select($sql) as $user) {
  $profile = App\Profile::find($user->profile_id);
  if ($profile) App\Jobs\DeletePipeline\FanoutDeletePipeline::dispatch($profile)->onQueue($values['queue']);
  $app['db']->update("update profiles set status = 'delete' where id = ?", [$user->profile_id]);
  $app['db']->update("update users set status = 'delete' where id = ?", [$user->id]);
}
