/** Runs Ruby in Mastodon's Rails environment. */
import type { Command } from '../../docker/engine.ts';

/** Passes the script on standard input and its values as base64 JSON, so that no value is in a command line. */
export function runner(script: string, values: Readonly<Record<string, string | number>>): Command {
  const json = Buffer.from(JSON.stringify(values)).toString('base64');
  return {
    argv: ['bundle', 'exec', 'rails', 'runner', '-'],
    stdin: `require 'base64'\nrequire 'json'\nvalues = JSON.parse(Base64.decode64('${json}'))\n${script}\n`,
  };
}
