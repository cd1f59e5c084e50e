/** Job queues in a Redis or Valkey: how they are counted. */
import { shellProgram } from '../../assets.ts';
import type { Command } from '../../docker/engine.ts';
import type { Jobs, Worker } from '../app.ts';

/** Where an app keeps its jobs in its Redis. */
export interface QueueKeys {
  /** Queue → key of the list of its waiting jobs. */
  readonly lists: Readonly<Record<string, string>>;
  /** Index of the oldest job in a list. */
  readonly oldest: 0 | -1;
  /** When a job was added, in milliseconds since 1970, from its JSON; undefined: it does not say. */
  readonly added: (job: Readonly<Record<string, unknown>>) => number | undefined;
  /** Keys of sorted sets with jobs that are due later. */
  readonly later: readonly string[];
  readonly failed: {
    /** Key of the sorted set with the jobs that failed for good. */
    readonly key: string;
    /** Command with one line about the n-th newest of them, from 0; it is empty if there are not so many. */
    readonly nth: (n: number) => string;
    /** When it failed, in milliseconds since 1970, from that line; undefined: it does not say. */
    readonly at: (line: string) => number | undefined;
  };
  readonly workers: {
    /** Command that prints so many lines for each process. */
    readonly command: string;
    readonly lines: number;
    /** Undefined: it is gone. */
    readonly parse: (lines: readonly string[]) => Worker | undefined;
  };
}

const numberIn = (line: string | undefined): number => {
  if (line === undefined || !/^\d+$/.test(line)) throw new Error(`not a number: ${line ?? 'nothing'}`);
  return Number(line);
};

/** Undefined: there is no job, or one that other software added and that cannot be read. The counts are known anyway. */
function timeOf(line: string, read: () => number | undefined): number | undefined {
  if (line === '') return undefined;
  try {
    return read();
  } catch {
    return undefined;
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);

/** A client in a container of the app's own Valkey. */
export const inValkey = (service: string): Pick<Jobs, 'service'> & Pick<Command, 'argv'> => ({
  service,
  argv: shellProgram('apps/shared/programs/ask-valkey.sh'),
});

/** @param client sends the commands on its standard input and prints one line for each reply, and for each part of a list */
export function redisJobs(
  { service, argv }: ReturnType<typeof inValkey>,
  { lists, oldest, added, later, failed, workers }: QueueKeys,
  rules: Pick<Jobs, 'always' | 'sole' | 'single' | 'failedPage'>,
): Jobs {
  const names = Object.keys(lists);
  const counted = [
    ...Object.values(lists).flatMap((key) => [`llen ${key}`, `lindex ${key} ${oldest}`]),
    ...[...later, failed.key].map((key) => `zcard ${key}`),
    failed.nth(0),
    failed.nth(99),
  ];
  const commands = [...counted, workers.command];
  return {
    service,
    look: { argv, stdin: commands.map((line) => `${line}\n`).join('') },
    parse: (stdout) => {
      // Two lines for each list, one for each set, then lists of any length.
      const lines = stdout.replace(/\n$/, '').split('\n');
      if (lines.length <= counted.length) throw new Error(`${lines.length} lines`);
      const counts = names.map((_, i) => numberIn(lines[2 * i]));
      const oldestIn = names.flatMap((name, i): [string, number][] => {
        const text = lines[2 * i + 1] ?? '';
        const at = timeOf(text, () => added(JSON.parse(text) as Record<string, unknown>));
        return at === undefined ? [] : [[name, at]];
      });
      const ends = lines.slice(2 * names.length, counted.length - 2).map(numberIn);
      const [newest = '', hundredth = ''] = lines.slice(counted.length - 2);
      const at = (line: string): number | undefined => timeOf(line, () => failed.at(line));
      return {
        waiting: sum(counts),
        oldest: oldestIn.length === 0 ? undefined : Math.min(...oldestIn.map(([, time]) => time)),
        later: sum(ends.slice(0, later.length)),
        failed: sum(ends.slice(later.length)),
        failedAt: { newest: at(newest), hundredth: at(hundredth) },
        queues: Object.fromEntries(names.map((name, i) => [name, counts[i] ?? 0])),
        oldestIn: Object.fromEntries(oldestIn),
        workers: workersIn(lines.slice(counted.length), workers),
      };
    },
    ...rules,
  };
}

/** Undefined: the server refused the command. */
function workersIn(
  lines: readonly string[],
  { lines: each, parse }: QueueKeys['workers'],
): readonly Worker[] | undefined {
  // An empty list is an empty line.
  if (lines.every((line) => line === '')) return [];
  if (lines.length % each !== 0) return undefined;
  const rows = Array.from({ length: lines.length / each }, (_, i) => lines.slice(i * each, (i + 1) * each));
  return rows.flatMap((row) => parse(row) ?? []);
}

/** A time that a job says in seconds or milliseconds since 1970, as a number or as text; undefined: neither. */
export function timeIn(value: unknown): number | undefined {
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) return undefined;
  // The year 5138 in seconds, 1973 in milliseconds.
  return number < 1e11 ? number * 1000 : number;
}
