/** Commands that connect to an external database or Redis as Mastodon does: in its image, with its libraries. */
import { readProgram } from '../../assets.ts';

const read = (name: string): string => readProgram(`apps/mastodon/programs/${name}`);

/** Runs a file of programs/ that connects to an external server (programs/client.rb). @param words arguments of the program */
export const client = (name: string, ...words: readonly string[]): string[] => [
  'bundle',
  'exec',
  'ruby',
  '-e',
  `${read('client.rb')}\n${read(name)}`,
  ...words,
];

/** Prints the rows of a query, with values separated by `|` as psql does. Reads libpq's variables. */
export const sqlIn = (query: string): string[] => client('sql.rb', query);

/** Executes the SQL on standard input. */
export const sqlFromInput = (): string[] => client('sql.rb');

/** Prints RedisInfo as JSON. */
export const tryRedis = (): string[] => client('try-redis.rb');

/** Sends the commands on standard input, and prints one line for each reply. */
export const askRedis = (): string[] => client('ask-redis.rb');

/** Reads or writes the ownership marker at a key. */
export const redisMarkerAt = (action: 'read' | 'data' | 'write', key: string): string[] =>
  client('redis-marker.rb', action, key);
