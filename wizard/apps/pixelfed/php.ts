/** Runs PHP in Pixelfed's Laravel environment. */
import type { Command } from '../../docker/engine.ts';

/**
 * Passes the script on standard input and its values as base64 JSON, so that no value is in a command line. `$app` is
 * Laravel's container, `$kernel` runs artisan commands. Errors go to standard error, with exit code 1.
 */
export function php(script: string, values: Readonly<Record<string, string | number>> = {}): Command {
  const json = Buffer.from(JSON.stringify(values)).toString('base64');
  return {
    argv: ['php'],
    stdin: `<?php
chdir('/var/www/html');
require 'vendor/autoload.php';
$app = require 'bootstrap/app.php';
$kernel = $app->make(Illuminate\\Contracts\\Console\\Kernel::class);
$kernel->bootstrap();
$values = json_decode(base64_decode('${json}'), true);
try {
${script}
} catch (Throwable $e) {
  file_put_contents('php://stderr', get_class($e).': '.$e->getMessage().PHP_EOL);
  exit(1);
}
`,
  };
}

/** Prints one value from the database, over the app's connection. \`?\` stands for a binding. */
export const query = (sql: string, bindings: readonly (string | number)[] = []): Command =>
  php(
    "echo current((array) $app['db']->selectOne($values['sql'], json_decode($values['bindings']))), PHP_EOL;",
    {
      sql,
      bindings: JSON.stringify(bindings),
    },
  );
