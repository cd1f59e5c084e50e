<?php
/** Prints all accounts, or the one of `name`, as JSON. Deleted accounts keep their row, so that nobody else gets the name. */

$one = isset($values['name']) ? 'and lower(username) = ?' : '';
$sql = "select username as name, email, is_admin as admin, email_verified_at as verified, status from users where deleted_at is null and (status is null or status not in ('delete', 'deleted')) $one order by username";
echo json_encode($app['db']->select($sql, isset($values['name']) ? [$values['name']] : [])), PHP_EOL;
