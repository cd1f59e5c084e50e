/** PHP inside Pixelfed's own Laravel. */
import type { Command } from '../../docker/engine.ts';

/**
 * PHP on standard input: no value is ever part of a command line. Values travel as JSON in base64; `$app` is Laravel's
 * container, `$kernel` runs artisan commands. What goes wrong is said on standard error, with exit code 1.
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

/** One value out of the database, as the app itself reaches it, printed on a line. \`?\` stands for the bindings. */
export const query = (sql: string, bindings: readonly (string | number)[] = []): Command =>
  php(
    "echo current((array) $app['db']->selectOne($values['sql'], json_decode($values['bindings']))), PHP_EOL;",
    {
      sql,
      bindings: JSON.stringify(bindings),
    },
  );
