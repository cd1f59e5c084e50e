<?php
/** Signs with the key of each local profile and of the server's actor, and opens each two-factor secret. Prints their numbers as JSON. */

$keys = 0;
$secrets = 0;
$sign = function ($row, $owner) use (&$keys) {
  if (! $row->private_key) return;
  openssl_sign('drill', $signed, $row->private_key, OPENSSL_ALGO_SHA256) || throw new RuntimeException("The key of $owner cannot be used.");
  openssl_verify('drill', $signed, $row->public_key, OPENSSL_ALGO_SHA256) === 1 || throw new RuntimeException("The keys of $owner do not belong together.");
  $keys++;
};
foreach ($app['db']->select('select username, private_key, public_key from profiles where domain is null') as $row) $sign($row, $row->username);
foreach ($app['db']->select('select private_key, public_key from instance_actors') as $row) $sign($row, 'the server');
$columns = array_keys((array) ($app['db']->selectOne('select * from users') ?? []));
if (in_array('2fa_secret', $columns, true)) {
  $quote = $app['db']->getDriverName() === 'pgsql' ? '"' : '`';
  foreach ($app['db']->select("select {$quote}2fa_secret{$quote} as secret from users where {$quote}2fa_secret{$quote} is not null") as $row) {
    // Stored as it is, or encrypted with the app's key.
    if (str_starts_with($row->secret, 'eyJ')) $app['encrypter']->decryptString($row->secret);
    $secrets++;
  }
}
echo json_encode(['keys' => $keys, 'secrets' => $secrets]), PHP_EOL;
