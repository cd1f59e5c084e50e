<?php
/** Comes before each program on an external database or Redis. */

/** Errors go to standard error, on one line. `php -r` calls no exception handler. */
function in_words(callable $program): void {
  error_reporting(0);
  try {
    $program();
  } catch (Throwable $e) {
    fwrite(STDERR, trim(preg_replace('/^SQLSTATE\[\w+\]:?( \[\d+\])? ?/', '', $e->getMessage())).PHP_EOL);
    exit(1);
  }
}

function is_postgres(): bool {
  return getenv('DB_CONNECTION') === 'pgsql';
}

/** Connected as Laravel is, by the same variables. */
function connect_database(): PDO {
  $pg = is_postgres();
  $ca = getenv('MYSQL_ATTR_SSL_CA');
  $at = 'host='.getenv('DB_HOST').';port='.getenv('DB_PORT').';dbname='.($pg ? "'".getenv('DB_DATABASE')."'" : getenv('DB_DATABASE'));
  return new PDO(
    $pg ? "pgsql:$at;sslmode=".(getenv('DB_SSLMODE') ?: 'prefer') : "mysql:$at;charset=utf8mb4",
    getenv('DB_USERNAME'), getenv('DB_PASSWORD'),
    [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 10] + (!$pg && $ca ? [1009 => $ca] : []),
  );
}

/** Likewise. */
function connect_redis(): Redis {
  $redis = new Redis;
  $redis->connect(getenv('REDIS_HOST'), (int) getenv('REDIS_PORT'), 10);
  $user = getenv('REDIS_USERNAME');
  $redis->auth($user ? [$user, getenv('REDIS_PASSWORD')] : getenv('REDIS_PASSWORD'));
  return $redis;
}
