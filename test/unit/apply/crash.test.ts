/** Killed at, or failing in, every single file operation: the result is the old or the new set, never a mixture. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { compare, makeFolders, recover } from '../../../wizard/apply/files.ts';
import type { PlannedFile } from '../../../wizard/layout.ts';
import { bundle, endOf, startProgram } from '../../support/program.ts';
import type { Ended } from '../../support/program.ts';
import { readTree, tempFolder } from '../../support/temp.ts';
import { FRESH, HUSH, OLD, write } from './set.ts';

const PRELOAD = fileURLToPath(new URL('../../support/fault-at.mjs', import.meta.url));
const SET = fileURLToPath(new URL('./set.ts', import.meta.url));

interface Run extends Ended {
  /** File operations until the end. */
  readonly count: number;
}

let script = '';
beforeAll(() => {
  script = bundle(
    `import { program } from ${JSON.stringify(SET)}; process.exitCode = await program(process.argv[1], process.argv[2]);`,
  );
});

/** Runs the program with a fault at its n-th file operation; 0: none. */
async function run(folder: string, what: string, fault: string, at: number): Promise<Run> {
  const ended = await endOf(
    startProgram(script, [folder, what], {
      node: [`--import=${PRELOAD}`],
      env: { FAULT: fault, FAULT_AT: String(at) },
    }),
  );
  return { ...ended, count: Number(ended.stdout.trim().split('\n').at(-1)) };
}

/** Files of the site itself. */
const siteOf = (folder: string): Record<string, string> =>
  Object.fromEntries(Object.entries(readTree(folder)).filter(([path]) => !path.startsWith('.fedi/')));
const textsOf = (set: readonly PlannedFile[]): Record<string, string> =>
  Object.fromEntries(
    set.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, text }) => [path, text]),
  );

async function before(): Promise<string> {
  const folder = join(tempFolder(), 'site');
  await makeFolders(folder);
  await write(folder, OLD);
  expect(siteOf(folder)).toEqual(textsOf(OLD));
  return folder;
}

/** Temporary files, which must not be left. */
const litterOf = (folder: string): string[] =>
  Object.entries(readTree(folder)).flatMap(([path, text]) => [
    ...(path.includes('.fedi-new') || path.endsWith('commit.json') ? [path] : []),
    ...(path.startsWith('.fedi/') && text.includes(HUSH) ? [`secret in ${path}`] : []),
  ]);

/** Name of the complete set, if its manifest matches; otherwise a description of the fault. */
async function verdict(folder: string): Promise<string> {
  for (const [name, set] of [
    ['old', OLD],
    ['new', FRESH],
  ] as const) {
    if (JSON.stringify(siteOf(folder)) !== JSON.stringify(textsOf(set))) continue;
    const off = (await compare(folder, set)).filter(({ kind, edited }) => kind !== 'same' || edited);
    return off.length === 0
      ? name
      : `${name}, but the manifest disagrees on ${off.map(({ path }) => path).join(' ')}`;
  }
  return `mixed: ${JSON.stringify(siteOf(folder))}`;
}

interface Outcome extends Run {
  readonly at: number;
  /** The state after the run, and after the recovery by the next one. */
  readonly left: string;
  readonly recovered: string;
  readonly litter: readonly string[];
}

/** One run for each operation of the program, each on a copy of `start`. */
async function everyOperation(start: string, what: string, fault: string): Promise<Outcome[]> {
  const copy = (): string => {
    const folder = join(tempFolder(), 'site');
    cpSync(start, folder, { recursive: true });
    return folder;
  };
  const { count, code, stderr } = await run(copy(), what, fault, 0);
  expect(code, stderr).toBe(0);
  const one = async (at: number): Promise<Outcome> => {
    const folder = copy();
    const result = await run(folder, what, fault, at);
    const left = await verdict(folder);
    await recover(folder);
    return { ...result, at, left, recovered: await verdict(folder), litter: litterOf(folder) };
  };
  const outcomes: Outcome[] = [];
  for (let at = 1; at <= count; at += 4) {
    outcomes.push(
      ...(await Promise.all([0, 1, 2, 3].filter((i) => at + i <= count).map((i) => one(at + i)))),
    );
  }
  return outcomes;
}

/** Unexpected outcomes, as text; empty: none. */
const except = (outcomes: readonly Outcome[], good: (outcome: Outcome) => boolean): string[] =>
  outcomes
    .filter((one) => !good(one))
    .map(
      ({ at, code, signal, left, recovered, litter, stderr }) =>
        `${at}: ${signal ?? code}, ${left} → ${recovered}, ${litter.join(' ')} ${stderr.split('\n').slice(-9)[0]}`,
    );

const whole = ({ recovered }: Outcome): boolean => ['old', 'new'].includes(recovered);

describe.each(['KILL', 'TORN', 'EIO', 'ENOSPC'])('%s at every operation of a commit', (fault) => {
  let outcomes: Outcome[] = [];
  beforeAll(async () => {
    outcomes = await everyOperation(await before(), 'commit', fault);
  }, 240_000);

  test('covers every operation', () => {
    expect(outcomes.length).toBeGreaterThan(fault === 'TORN' ? 10 : 40);
    const ended = ({ signal, code }: Outcome): boolean =>
      ['KILL', 'TORN'].includes(fault) ? signal === 'SIGKILL' : code !== null;
    expect(except(outcomes, ended)).toEqual([]);
    expect(outcomes.map(({ recovered }) => recovered)).toEqual(expect.arrayContaining(['old', 'new']));
  });

  // EIO: commit.json is in place, the sync of .fedi fails, and the catch removes the new texts of a committed set.
  const wholeTest = ['EIO', 'ENOSPC'].includes(fault) ? test : test;
  wholeTest('old or new, after the next run', () => {
    expect(except(outcomes, whole)).toEqual([]);
  });

  test('writes no secret to .fedi', () => {
    expect(except(outcomes, ({ litter }) => !litter.some((path) => path.startsWith('secret in ')))).toEqual(
      [],
    );
  });

  // discardNew skips .fedi/generations, where writeWhole writes.
  test('leaves no temporary file', () => {
    expect(except(outcomes, ({ litter }) => litter.length === 0)).toEqual([]);
  });

  if (!['KILL', 'TORN'].includes(fault)) {
    // Errors of finish() are no Problem: they are reported as "an internal error".
    test('an explanation, never a crash', () => {
      expect(
        except(
          outcomes,
          ({ code, stderr }) => code === 0 || (code === 1 && stderr.includes('cannot be written: ')),
        ),
      ).toEqual([]);
    });

    test('an error before the commit leaves the old set unchanged, and reports the cause', () => {
      const early = outcomes.filter(({ recovered }) => recovered === 'old');
      expect(early.length).toBeGreaterThan(20);
      expect(
        except(
          early,
          ({ left, code, stderr }) =>
            left === 'old' &&
            code === 1 &&
            stderr.includes(fault === 'ENOSPC' ? 'the disk is full' : 'EIO: made by a test'),
        ),
      ).toEqual([]);
    });
  }
});

test('killed again at every operation of the recovery', async () => {
  const start = await before();
  let pending = '';
  for (let at = 1; pending === ''; at++) {
    const folder = join(tempFolder(), 'site');
    cpSync(start, folder, { recursive: true });
    await run(folder, 'commit', 'KILL', at);
    if ('.fedi/commit.json' in readTree(folder)) pending = folder;
  }
  const outcomes = await everyOperation(pending, 'recover', 'KILL');
  expect(outcomes.length).toBeGreaterThan(8);
  expect(except(outcomes, ({ recovered, litter }) => recovered === 'new' && litter.length === 0)).toEqual([]);
}, 240_000);
