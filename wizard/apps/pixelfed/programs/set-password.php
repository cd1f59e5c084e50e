<?php
/** Pixelfed has no command for it. Without `password` it prints a new one. */

$password = $values['password'] ?? bin2hex(random_bytes(16));
$hash = password_hash($password, PASSWORD_BCRYPT, ['cost' => 12]);
if ($app['db']->update('update users set password = ? where lower(username) = ?', [$hash, $values['name']]) !== 1) throw new RuntimeException('there is no such user');
if (!isset($values['password'])) echo 'New password: ', $password, PHP_EOL;
