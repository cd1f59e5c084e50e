/** Runs Ruby in Mastodon's Rails environment. */
import { readProgram } from '../../assets.ts';
import type { Command } from '../../docker/engine.ts';

type Value = string | number;
type Values = Readonly<Record<string, Value | Readonly<Record<string, Value>>>>;

const read = (name: string): string => readProgram(`apps/mastodon/programs/${name}`);

/** Passes the script on standard input and its values as base64 JSON, so that no value is in a command line. */
export function runner(script: string, values: Values): Command {
  const json = Buffer.from(JSON.stringify(values)).toString('base64');
  return {
    argv: ['bundle', 'exec', 'rails', 'runner', '-'],
    stdin: `${read('rails.rb').replace('VALUES', json)}${script}\n`,
  };
}

/** Runs a file of programs/. */
export const rails = (name: string, values: Values): Command => runner(read(name), values);
