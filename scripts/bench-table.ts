/** The table of scripts/bench, and what its measurements share. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Row {
  what: string;
  ours: string;
  theirs: string;
  ratio: string;
  goal: string;
}
const rows: Row[] = [];

/** The environment without the caller's answers. */
export const withAnswers = (answers: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FEDI_'))),
  ...answers,
});

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

/** Returns the milliseconds of one run. Throws if it fails. */
export function time(program: string, argv: string[], cwd: string, env: NodeJS.ProcessEnv): number {
  const since = performance.now();
  const { status, stderr } = spawnSync(program, argv, { cwd, env, encoding: 'utf8' });
  const took = performance.now() - since;
  if (status !== 0) throw new Error(`${program} ${argv.join(' ')} ended with ${String(status)}: ${stderr}`);
  return took;
}

/** Records milliseconds of ours and theirs, and their ratio. */
export function compare(what: string, goal: string, ours: number, theirs: number): void {
  rows.push({ what, ours: ms(ours), theirs: ms(theirs), ratio: (ours / theirs).toFixed(2), goal });
}

/** Runs both alternately and records the minima and their ratio. */
export async function pair(
  what: string,
  goal: string,
  runs: number,
  ours: () => number | Promise<number>,
  theirs: () => number | Promise<number>,
): Promise<void> {
  let [best, other] = [Infinity, Infinity];
  for (let i = 0; i < runs; i++) {
    best = Math.min(best, await ours());
    other = Math.min(other, await theirs());
  }
  compare(what, goal, best, other);
}

export const single = (what: string, ours: string, goal: string): void => {
  rows.push({ what, ours, theirs: '', ratio: '', goal });
};

/** Installs the packed tool below a directory. */
export function install(work: string): { readonly tarball: string; readonly tool: string } {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', work], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const tarball = join(work, readdirSync(work).find((name) => name.endsWith('.tgz')) ?? '');
  const prefix = join(work, 'installed');
  execFileSync('npm', ['install', '--silent', '--global', '--offline', '--prefix', prefix, tarball]);
  return { tarball, tool: join(prefix, 'lib/node_modules/fedi-setup/dist/fedi-setup.js') };
}

/** Prints all rows. */
export function printTable(): void {
  const columns = ['what', 'ours', 'theirs', 'ratio', 'goal'] as const;
  const width = (column: keyof Row): number =>
    Math.max(column.length, ...rows.map((row) => row[column].length));
  const line = (row: Row): string =>
    columns
      .map((column) => row[column].padEnd(width(column)))
      .join('  ')
      .trimEnd();
  console.log(line({ what: 'what', ours: 'ours', theirs: 'theirs', ratio: 'ratio', goal: 'goal' }));
  for (const row of rows) console.log(line(row));
}
