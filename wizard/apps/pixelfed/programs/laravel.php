<?php
/**
 * Comes before each program that php.ts runs in Pixelfed's Laravel. `$app` is Laravel's container, `$kernel` runs artisan
 * commands, `$values` has the values: php.ts replaces VALUES by base64 of JSON. Errors go to standard error, with exit code 1.
 */

chdir('/var/www/html');
require 'vendor/autoload.php';
$app = require 'bootstrap/app.php';
$kernel = $app->make(Illuminate\Contracts\Console\Kernel::class);
$kernel->bootstrap();
$values = json_decode(base64_decode('VALUES'), true);
set_exception_handler(function (Throwable $e) {
  file_put_contents('php://stderr', get_class($e).': '.$e->getMessage().PHP_EOL);
  exit(1);
});
