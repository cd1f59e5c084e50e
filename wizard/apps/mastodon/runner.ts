/** Ruby inside Mastodon's own Rails. */
import type { Command } from '../../docker/engine.ts';

/** Ruby on standard input: no value is ever part of a command line. Values travel as JSON in base64. */
export function runner(script: string, values: Readonly<Record<string, string | number>>): Command {
  const json = Buffer.from(JSON.stringify(values)).toString('base64');
  return {
    argv: ['bundle', 'exec', 'rails', 'runner', '-'],
    stdin: `require 'base64'\nrequire 'json'\nvalues = JSON.parse(Base64.decode64('${json}'))\n${script}\n`,
  };
}
