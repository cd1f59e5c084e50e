/** Job queues in a Redis or Valkey: how they are counted. */
import { shellProgram } from '../../assets.ts';
import type { Command } from '../../docker/engine.ts';
import type { Jobs } from '../app.ts';

/** Where an app keeps its jobs in its Redis. */
export interface QueueKeys {
  /** Queue → key of the list of its waiting jobs. */
  readonly lists: Readonly<Record<string, string>>;
  /** Index of the oldest job in a list. */
  readonly oldest: 0 | -1;
  /** When a job was added, in milliseconds since 1970, from its JSON; undefined: it does not say. */
  readonly added: (job: Readonly<Record<string, unknown>>) => number | undefined;
  /** Keys of sorted sets with jobs that are due later, and with those that failed for good. */
  readonly later: readonly string[];
  readonly failed: readonly string[];
}

const numberIn = (line: string | undefined): number => {
  if (line === undefined || !/^\d+$/.test(line)) throw new Error(`not a number: ${line ?? 'nothing'}`);
  return Number(line);
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** A client in a container of the app's own Valkey. */
export const inValkey = (service: string): Pick<Jobs, 'service'> & Pick<Command, 'argv'> => ({
  service,
  argv: shellProgram('apps/shared/programs/ask-valkey.sh'),
});

/** @param client sends the commands on its standard input and prints one line for each reply */
export function redisJobs(
  { service, argv }: ReturnType<typeof inValkey>,
  { lists, oldest, added, later, failed }: QueueKeys,
): Jobs {
  const names = Object.keys(lists);
  const sets = [...later, ...failed];
  const commands = [
    ...Object.values(lists).flatMap((key) => [`llen ${key}`, `lindex ${key} ${oldest}`]),
    ...sets.map((key) => `zcard ${key}`),
  ];
  return {
    service,
    look: { argv, stdin: commands.map((line) => `${line}\n`).join('') },
    parse: (stdout) => {
      // Two lines for each list, one for each set.
      const lines = stdout.replace(/\n$/, '').split('\n');
      if (lines.length !== commands.length) throw new Error(`${lines.length} lines`);
      const counts = names.map((_, i) => numberIn(lines[2 * i]));
      const times = names.flatMap((_, i) => {
        const text = lines[2 * i + 1] ?? '';
        return text === '' ? [] : (added(JSON.parse(text) as Record<string, unknown>) ?? []);
      });
      const ends = lines.slice(2 * names.length).map(numberIn);
      return {
        waiting: sum(counts),
        oldest: times.length === 0 ? undefined : Math.min(...times),
        later: sum(ends.slice(0, later.length)),
        failed: sum(ends.slice(later.length)),
        queues: Object.fromEntries(names.map((name, i) => [name, counts[i] ?? 0])),
      };
    },
  };
}

/** A time that a job says in seconds or milliseconds since 1970, as a number or as text; undefined: neither. */
export function timeIn(value: unknown): number | undefined {
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) return undefined;
  // The year 5138 in seconds, 1973 in milliseconds.
  return number < 1e11 ? number * 1000 : number;
}
