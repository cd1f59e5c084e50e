/** Runs PHP in Pixelfed's image. */
import { readProgram } from '../../assets.ts';
import type { Command } from '../../docker/engine.ts';

type Values = Readonly<Record<string, string | number>>;

const read = (name: string): string => readProgram(`apps/pixelfed/programs/${name}`);

/**
 * Runs a script in Pixelfed's Laravel environment (programs/laravel.php). Passes it on standard input and its values as base64
 * JSON, so that no value is in a command line.
 */
export function php(script: string, values: Values = {}): Command {
  const json = Buffer.from(JSON.stringify(values)).toString('base64');
  return { argv: ['php'], stdin: `<?php\n${read('laravel.php').replace('VALUES', json)}${script}\n` };
}

/** Runs a file of programs/ in Pixelfed's Laravel environment. */
export const laravel = (name: string, values: Values = {}): Command => php(read(name), values);

/**
 * Runs a file of programs/ that connects to an external server (programs/client.php), without Laravel.
 * @param words arguments of the program
 */
export const client = (name: string, ...words: readonly string[]): string[] => [
  'php',
  '-r',
  `${read('client.php')}\n${read(name)}`,
  '--',
  ...words,
];

/** Prints one value from the database, over the app's connection. `?` stands for a binding. */
export const query = (sql: string, bindings: readonly (string | number)[] = []): Command =>
  laravel('query.php', { sql, bindings: JSON.stringify(bindings) });
