/** Runs the checks: before a run writes anything, once the images are there, and for `doctor`. */
import { EngineGone } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { Cancelled, EXIT, Problem } from '../problem.ts';
import type { ExitCode } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { gib, notMade } from './check.ts';
import type { Check, CheckContext, Finding, CheckResult } from './check.ts';
import { thisHost } from './host.ts';
import { outsideOf } from './outside.ts';
import { together } from './machine.ts';
import { CHECKS } from './table.ts';

/**
 * Asks once, after all warnings were shown, whether to continue; absent: there is no terminal.
 * @param swapGiB size of a swap file that would fix one of them and could be created now
 */
export type Accept = (swapGiB: number | undefined) => Promise<'go' | 'swap' | 'stop'>;

export interface PreflightOptions {
  readonly folder: string;
  readonly config: CheckContext['config'];
  readonly engine: Engine;
  /** Ids of checks to skip. */
  readonly skip: readonly string[];
  readonly progress: Progress;
  readonly now: () => Date;
  readonly pulls?: readonly string[];
  readonly caddy?: string | undefined;
  readonly images?: CheckContext['images'];
  readonly swapGiB?: number;
  readonly unfinished?: CheckContext['unfinished'];
  readonly accept?: Accept | undefined;
  readonly differences?: CheckContext['differences'];
}

function refuseUnknown(skip: readonly string[]): void {
  const unknown = skip.find((id) => !CHECKS.some((check) => check.id === id));
  if (unknown !== undefined) {
    throw new Problem(EXIT.USAGE, `There is no check ${unknown}.`, {
      next: `The checks are:\n${CHECKS.map(({ id, about }) => `${id.padEnd(13)}${about}`).join('\n')}`,
    });
  }
}

async function contextOf(options: PreflightOptions): Promise<CheckContext> {
  const { folder, config, engine, pulls = [], caddy, images = {}, swapGiB = 0 } = options;
  const { unfinished, now, differences } = options;
  const info = await engine.info().catch((error: unknown) => {
    if (error instanceof Problem) return error;
    throw error;
  });
  const exists = !(info instanceof Problem) && (await engine.containers(config.name)).length > 0;
  return {
    folder,
    config,
    engine,
    host: thisHost,
    info,
    exists,
    pulls,
    caddy,
    images,
    swapGiB,
    unfinished,
    now,
    differences,
  };
}

/** A check that applies, with its result. */
type Result = Check & CheckResult;

/** Limit of a check that is not slow. */
const LIMIT_MS = 60_000;

/** Runs a check. One of an existing site that cannot be made is a finding, so that the others are shown. */
async function make(
  { id, title, phase, slow, run }: Check,
  context: CheckContext,
): Promise<CheckResult | undefined> {
  if (phase !== 'site') return run(context);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<CheckResult>((resolve) => {
    const result = notMade(
      `The check “${title}” took longer than ${LIMIT_MS / 1000} s.`,
      `Run \`fedi-setup doctor\` again; \`--skip-check ${id}\` leaves it out.`,
    );
    if (slow !== true) timer = setTimeout(() => resolve(result), LIMIT_MS);
  });
  const made = run(context).catch((error: unknown) => {
    if (!(error instanceof Problem) || error instanceof EngineGone) throw error;
    return notMade(error.message, error.next ?? '');
  });
  return Promise.race([made, late]).finally(() => clearTimeout(timer));
}

/** Runs all checks concurrently and reports them in table order. */
async function look(
  context: CheckContext,
  phases: readonly Check['phase'][],
  { skip, progress }: PreflightOptions,
  report: (check: Check, result: Promise<CheckResult | undefined>) => Promise<CheckResult | undefined>,
): Promise<Result[]> {
  const checks = CHECKS.filter(({ id, phase }) => phases.includes(phase) && !skip.includes(id));
  const running = checks.map((check) => make(check, context));
  for (const one of running) one.catch(() => undefined);
  const results: Result[] = [];
  for (const [i, check] of checks.entries()) {
    const looked = await report(check, running[i] as Promise<CheckResult | undefined>);
    if (looked === undefined) continue;
    results.push({ ...check, ...looked });
    emit(progress, check, looked);
  }
  return results;
}

function emit(progress: Progress, { id }: Check, { seen, found }: CheckResult): void {
  for (const { must: _must, swapGiB: _swap, fix: _fix, ...finding } of found)
    progress.emit({ event: 'finding', id, seen, ...finding });
}

type Found = Finding & Pick<Result, 'id' | 'title' | 'seen'>;

const foundIn = (results: readonly Result[], level: Finding['level']): Found[] =>
  results.flatMap(({ id, title, seen, found }) =>
    found.filter((finding) => finding.level === level).map((finding) => ({ ...finding, id, title, seen })),
  );

/** One Problem for all blockers. */
function blocked(exit: ExitCode, blockers: readonly Found[], more: { log: string[]; hint: string }): Problem {
  const alone = blockers.length === 1;
  const lines = (key: 'what' | 'next'): string =>
    [...new Set(blockers.map((one) => one[key]))].map((line) => (alone ? line : `- ${line}`)).join('\n');
  return new Problem(exit, alone ? lines('what') : `This host is not ready:\n${lines('what')}`, {
    means: [...new Set(blockers.map(({ means }) => means))].join(' '),
    next: `${lines('next')}${more.hint}`,
    ...(more.log.length === 0 ? {} : { log: [...new Set(more.log)].join('\n') }),
  });
}

/** Adds the observations, and how to skip the checks. */
function notReady(blockers: readonly Found[]): Problem {
  const skippable = new Set(blockers.filter(({ must }) => !must).map(({ id }) => id));
  return blocked(EXIT.PREFLIGHT, blockers, {
    log: blockers.flatMap(({ title, seen, what }) => (seen === what ? [] : [`${title}: ${seen}`])),
    hint: skippable.size > 0 ? `\n(--skip-check ${[...skippable].join(',')} skips this.)` : '',
  });
}

/** @param evidence the line of each check is not on the screen, so its observation is added */
function sayWarnings(progress: Progress, warnings: readonly Found[], evidence: boolean): void {
  for (const { level, what, means, next, title, seen, log } of warnings) {
    progress.say(
      `  ${level === 'advice' ? '·' : '!'} ${what}\n    ${means}\n    ${next}${evidence ? `\n    (${title}: ${seen})` : ''}`,
    );
    if (log !== undefined) progress.say(log.replaceAll(/^/gm, '    | '));
  }
}

/** Runs a phase as one line of progress; see {@link preflight}. */
async function inOneLine(
  options: PreflightOptions,
  phase: Check['phase'],
  line: { id: string; title: string; done: (context: CheckContext) => string | undefined },
): Promise<number> {
  const { progress, accept } = options;
  refuseUnknown(options.skip);
  progress.start(line.id, line.title);
  let results: Result[];
  try {
    const context = await contextOf(options);
    results = await look(context, [phase], options, (check, result) => {
      progress.update(check.title);
      return result;
    });
    const blockers = foundIn(results, 'blocker');
    if (blockers.length > 0) throw notReady(blockers);
    progress.done(line.done(context));
  } catch (error) {
    progress.fail();
    throw error;
  }
  const warnings = foundIn(results, 'warning');
  sayWarnings(progress, warnings, true);
  if (warnings.length === 0 || accept === undefined) return 0;
  const { swapGiB } = warnings.find((warning) => warning.swapGiB !== undefined) ?? {};
  const answer = await accept(swapGiB);
  if (answer === 'stop') throw new Cancelled(EXIT.OK);
  return answer === 'swap' ? (swapGiB ?? 0) : 0;
}

/**
 * Runs before anything is written. Throws a Problem (exit 4) with every blocker, or {@link Cancelled} if a warning was not
 * accepted. Resolves to the size of the accepted swap file in GiB; 0: none.
 */
export const preflight = (options: PreflightOptions): Promise<number> =>
  inOneLine(options, 'before', {
    id: 'preflight',
    title: 'This host',
    done: ({ info, config }) => {
      if (info instanceof Problem) return undefined;
      const host = `Docker ${info.version}, Compose ${info.composeVersion}, ${gib(info.memoryMiB * 1024 ** 2)} of memory`;
      return config.apps.length > 1 ? `${host}, ${info.cpus} cores; ${together(config.apps)}` : host;
    },
  });

/** Runs the checks of phase `before` and returns one line for each result; never throws because of a blocker. */
export async function inspect(options: PreflightOptions): Promise<string[]> {
  const context = await contextOf(options);
  const results = await look(context, ['before'], options, (_, running) => running);
  return results.flatMap(({ title, seen, found }) =>
    found.length === 0
      ? [`✔ ${title}: ${seen}`]
      : found.map(({ level, what, next }) => `${level === 'blocker' ? '✖' : '!'} ${title}: ${what} ${next}`),
  );
}

/** Runs some checks without output. Returns what they found by the check's id; those without findings are left out. */
export async function findingsOf(
  options: PreflightOptions,
  ids: readonly string[],
): Promise<ReadonlyMap<string, readonly Finding[]>> {
  const context = await contextOf(options);
  const skip = CHECKS.map(({ id }) => id).filter((id) => !ids.includes(id));
  const results = await look(context, ['before', 'site'], { ...options, skip }, (_, running) => running);
  return new Map(results.filter(({ found }) => found.length > 0).map(({ id, found }) => [id, found]));
}

/** Runs once the images are there, from inside a container; does nothing if the site needs no outbound access. */
export async function preflightInside(options: PreflightOptions): Promise<void> {
  if (outsideOf(options) === undefined) return;
  await inOneLine(options, 'inside', {
    id: 'preflight.inside',
    title: 'Outbound access from containers',
    done: () => undefined,
  });
}

/** Applies all fixes, and runs the fixed checks again. */
async function repair(
  context: CheckContext,
  results: readonly Result[],
  { progress }: PreflightOptions,
): Promise<Result[]> {
  const after: Result[] = [];
  for (const result of results) {
    const fixes = result.found.flatMap(({ fix }) => fix ?? []);
    if (fixes.length === 0) {
      after.push(result);
      continue;
    }
    progress.start(`fix.${result.id}`, `${result.title} fixed`);
    try {
      const done = new Set<string>();
      for (const fix of fixes) done.add(await fix());
      const looked = (await result.run(context)) ?? { seen: '', found: [] };
      const note = [...done].join('; ');
      if (looked.found.every(({ level }) => level === 'advice')) progress.done(note);
      else progress.fail(note);
      emit(progress, result, looked);
      after.push({ ...result, ...looked });
      sayWarnings(progress, foundIn(after.slice(-1), 'warning'), false);
    } catch (error) {
      progress.fail();
      throw error;
    }
  }
  return after;
}

/**
 * Runs all checks, one line each, and with `fix` applies the fixes. Throws a Problem with every remaining blocker.
 */
export async function doctor(options: PreflightOptions & { readonly fix: boolean }): Promise<void> {
  const { progress } = options;
  refuseUnknown(options.skip);
  const context = await contextOf(options);
  let results = await look(context, ['before', 'inside', 'site'], options, async ({ id, title }, running) => {
    const result = await running;
    if (result === undefined) return undefined;
    progress.start(`check.${id}`, title);
    if (result.found.some(({ level }) => level === 'blocker')) progress.fail(result.seen);
    else progress.done(result.seen);
    const one = [{ ...result, id, title } as Result];
    sayWarnings(progress, [...foundIn(one, 'warning'), ...foundIn(one, 'advice')], false);
    return result;
  });
  if (options.fix) {
    if (results.some(({ found }) => found.some(({ fix }) => fix !== undefined)))
      results = await repair(context, results, options);
    else progress.say('  Nothing to fix.');
  }
  const blockers = foundIn(results, 'blocker');
  if (blockers.length > 0)
    // The observations are above, in the lines of the checks.
    throw blocked(context.info instanceof Problem ? EXIT.PREFLIGHT : EXIT.FAILED, blockers, {
      log: blockers.flatMap(({ log }) => log?.split('\n') ?? []),
      hint: '',
    });
}
