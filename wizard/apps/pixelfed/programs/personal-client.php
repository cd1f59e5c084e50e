<?php
/** Prints whether the client for personal access tokens exists: `there` or `none`. */

try {
  $app->make(Laravel\Passport\ClientRepository::class)->personalAccessClient('users');
  echo 'there', PHP_EOL;
} catch (RuntimeException) {
  echo 'none', PHP_EOL;
}
