/** Has other servers delete the accounts of an app before it is removed. It can be interrupted, and continues when it runs again. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Goodbye, GoodbyeLeft } from '../apps/app.ts';
import { appOf } from '../apps/index.ts';
import { writeWhole } from '../atomic.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine, Output } from '../docker/engine.ts';
import { NotRunning, runtimeOf } from '../docker/runtime.ts';
import { keepGoodbye, readGoodbyes } from '../goodbye-record.ts';
import type { GoodbyeState } from '../goodbye-record.ts';
import { EXIT, Problem, messageOf } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { encodeEnv } from '../stack/env.ts';
import { isOf } from '../stack/compose.ts';
import { REAL } from './containers.ts';
import type { Clock } from './containers.ts';

/** Shortest pause between two looks. A look starts the app's runtime, so the pause is at least twice as long as it took. */
const LOOK_MS = 5000;
/** How long nothing may be left: queues report work that has just been taken late. */
const SETTLED_MS = 15_000;
/** It says again what it waits for. */
const SILENT_MS = 10 * 60_000;
/** Failed looks in a row. */
const LOOKS = 10;

/** Throws exit 3 if one of these apps has started to delete its accounts on other servers. */
export async function refuseGoodbye(folder: string, apps: readonly Pick<AppConfig, 'id'>[]): Promise<void> {
  const states = await readGoodbyes(folder);
  const id = apps.find((app) => states[app.id] !== undefined)?.id;
  const state = states[id ?? ''];
  if (id === undefined || state === undefined) return;
  const { name } = appOf(id);
  throw new Problem(
    EXIT.REFUSED,
    state.complete === undefined
      ? `The accounts of ${name} are being deleted on other servers.`
      : `The accounts of ${name} were deleted on other servers.`,
    {
      means:
        'This cannot be undone: other servers no longer accept these accounts, so the app must not be used with these data.',
      next:
        state.complete === undefined
          ? `\`fedi-setup ${state.by}\` continues it.`
          : apps.length === 1
            ? '`fedi-setup uninstall --data` removes what is left of the site.'
            : `\`fedi-setup remove ${id} --data\` removes what is left of it, \`fedi-setup uninstall --data\` the whole site.`,
    },
  );
}

/** Throws exit 3 if a deletion on other servers is not complete: without containers it would stop. */
export async function refuseStarted(folder: string, apps: readonly Pick<AppConfig, 'id'>[]): Promise<void> {
  const states = await readGoodbyes(folder);
  await refuseGoodbye(
    folder,
    apps.filter(({ id }) => states[id] !== undefined && states[id].complete === undefined),
  );
}

/** What is left, judged. */
export interface Verdict {
  /** Nothing is left but servers that did not answer. */
  readonly isComplete: boolean;
  /** Servers with deliveries that failed so far. */
  readonly unreached: readonly string[];
}

/** @param attempts how often a delivery to a server must have failed until it is given up */
export function judge({ accounts, deliveries, failed = {} }: GoodbyeLeft, attempts: number): Verdict {
  return {
    isComplete:
      accounts === 0 && deliveries === 0 && Object.values(failed).every((count) => count >= attempts),
    unreached: Object.keys(failed).toSorted(),
  };
}

const many = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/** Servers that are named; of more, only their number. */
const NAMED = 3;

/** What is left, in words: a server that does not answer with its attempts so far. */
export function leftText(left: GoodbyeLeft, attempts: number): string {
  const failed = Object.entries(left.failed ?? {}).toSorted(([a], [b]) => a.localeCompare(b));
  const named = failed.slice(0, NAMED).map(([name, count]) => `${name} (attempt ${count} of ${attempts})`);
  const rest = failed.length - named.length;
  return [
    `${many(left.accounts, 'account')} left`,
    `${left.deliveries} ${left.deliveries === 1 ? 'delivery' : 'deliveries'} waiting`,
    ...(failed.length === 0
      ? []
      : [`no answer yet from ${named.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`]),
  ].join(', ');
}

export interface GoodbyeOptions {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
  readonly progress: Progress;
  readonly now: () => Date;
  /** Command that continues it, with its arguments. */
  readonly by: string;
  readonly attempts: number;
  readonly clock?: Clock;
}

/** Ends when the app has nothing left to send. The caller holds the run lock. @returns servers that were not reached */
export async function sayGoodbye(options: GoodbyeOptions, app: AppConfig): Promise<readonly string[]> {
  const { folder, progress, now, by } = options;
  const { id, name, goodbye } = appOf(app.id);
  const before = (await readGoodbyes(folder))[id];
  const line = (): void => progress.start(`goodbye.${id}`, `${name}: accounts deleted on other servers`);
  if (before?.complete !== undefined) {
    line();
    progress.already();
    return before.complete.unreached;
  }
  const state: GoodbyeState = before ?? { at: now().toISOString(), domain: app.domain, by };
  await keepGoodbye(folder, id, { ...state, by });
  await start(options, id, goodbye(app));
  const { unreached, lost } = await wait(options, id, name, goodbye(app));
  await keepGoodbye(folder, id, { ...state, by, complete: { at: now().toISOString(), unreached } });
  line();
  progress.done(
    [
      ...(unreached.length === 0
        ? []
        : [
            `${many(unreached.length, 'server')} did not answer and ${unreached.length === 1 ? 'keeps' : 'keep'} them: ${unreached.join(', ')}`,
          ]),
      ...(lost === 0 ? [] : [`${lost} could not be sent`]),
    ].join('; ') || undefined,
  );
  return unreached;
}

/** Starts the containers, then the deletion. Both may run again. */
async function start(
  { folder, config, engine, progress }: GoodbyeOptions,
  id: string,
  goodbye: Goodbye,
): Promise<void> {
  progress.start(`goodbye.${id}.start`, `${appOf(id).name}: deletion of its accounts started`);
  try {
    await up(folder, engine);
    const output = await runtimeOf(engine, config.name).exec(goodbye.service, goodbye.start);
    if (output.code !== 0) throw failed(id, 'did not start the deletion of its accounts', output);
    const variables = goodbye.variables?.(output.stdout);
    if (variables !== undefined && (await addVariables(folder, id, variables))) await up(folder, engine);
    progress.done();
  } catch (error) {
    progress.fail();
    throw error;
  }
}

const failed = (id: string, what: string, { code, stdout, stderr }: Output): Problem =>
  new Problem(EXIT.FAILED, `${appOf(id).name} ${what} (exit code ${code}).`, {
    means: 'Nothing was removed.',
    next: 'Fix the cause in the log above and run this again.',
    log: `${stdout}${stderr}`.trim().split('\n').slice(-20).join('\n'),
  });

/** Starts all containers with the variables that they have now. */
async function up(folder: string, engine: Engine): Promise<void> {
  const { code, stderr } = await engine.compose(folder, ['up', '--detach', '--pull=never']);
  if (code === 0) return;
  throw new Problem(
    EXIT.FAILED,
    `The containers could not be started: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    {
      means: 'Other servers are informed by the running site. Nothing was removed.',
      next: 'Fix that and run this again.',
    },
  );
}

/** Looks until nothing is left, or only servers that did not answer. */
async function wait(
  options: GoodbyeOptions,
  id: string,
  name: string,
  goodbye: Goodbye,
): Promise<{ readonly unreached: readonly string[]; readonly lost: number }> {
  const { config, engine, progress, attempts, clock = REAL } = options;
  const runtime = runtimeOf(engine, config.name);
  let said = '';
  let saidAt = clock.now();
  let stopped = '';
  let settledAt: number | undefined;
  for (let misses = 0; ;) {
    const began = clock.now();
    let left: GoodbyeLeft | undefined;
    try {
      const output = await runtime.exec(goodbye.service, goodbye.look);
      left = output.code === 0 ? readLeft(output.stdout) : undefined;
      misses = left === undefined ? misses + 1 : 0;
      if (misses >= LOOKS) throw failed(id, 'did not report what is left to send', output);
    } catch (error) {
      // Compose may be replacing the container.
      if (!(error instanceof NotRunning) || ++misses >= LOOKS) throw error;
    }
    if (left !== undefined) {
      const verdict = judge(left, attempts);
      const text = leftText(left, attempts);
      const isSilent = clock.now() - saidAt >= SILENT_MS;
      if (text !== said || (isSilent && !verdict.isComplete)) {
        const again =
          text === said ? '. The app tries these servers again; it waits longer after each failure' : '';
        progress.say(`  ${name}: ${text}${again}`);
        saidAt = clock.now();
      }
      said = text;
      progress.emit({
        event: 'goodbye',
        app: id,
        accounts: left.accounts,
        deliveries: left.deliveries,
        unreached: verdict.unreached,
        complete: verdict.isComplete,
      });
      settledAt = verdict.isComplete ? (settledAt ?? clock.now()) : undefined;
      if (settledAt !== undefined && clock.now() - settledAt >= SETTLED_MS)
        return { unreached: verdict.unreached, lost: left.lost ?? 0 };
    }
    const down = (await runtime.containers()).filter(
      ({ service, state, exitCode }) => isOf(id, service) && state === 'exited' && exitCode !== 0,
    );
    const names = down.map(({ service }) => service).join(', ');
    if (names !== stopped && names !== '')
      progress.say(`  ! Stopped: ${names}. What they do is not sent until \`fedi-setup start\`.`);
    stopped = names;
    await clock.delay(Math.max(LOOK_MS, 2 * (clock.now() - began)));
  }
}

/** Reads the last line; undefined: it is no result. */
function readLeft(stdout: string): GoodbyeLeft | undefined {
  try {
    const left = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Partial<GoodbyeLeft>;
    return typeof left.accounts === 'number' && typeof left.deliveries === 'number'
      ? (left as GoodbyeLeft)
      : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw new Error(messageOf(error), { cause: error });
  }
}

const NOTE = '# Deletes the accounts on other servers. Written by fedi-setup, which also removes it.';

const localEnv = (folder: string, app: string): string => join(folder, 'env', `${app}.local.env`);

/**
 * Adds variables to the administrator's own variables of an app: every version of a site reads them, and so does
 * `docker compose up`. @returns whether one was missing
 */
export async function addVariables(
  folder: string,
  app: string,
  variables: Readonly<Record<string, string>>,
): Promise<boolean> {
  const path = localEnv(folder, app);
  const text = await readFile(path, 'utf8').catch(() => '');
  const missing = Object.entries(variables).filter(([name]) => !text.split('\n').some((line) => line.startsWith(`${name}=`))); // prettier-ignore
  if (missing.length === 0) return false;
  const mode = await stat(path).then(
    (found) => found.mode & 0o777,
    () => 0o600,
  );
  const lines = missing.map(([name, value]) => `${NOTE}\n${name}=${encodeEnv(value)}\n`);
  await writeWhole(path, `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${lines.join('')}`, mode);
  return true;
}

/** Removes them. The file stays if it has variables of the administrator. */
export async function removeVariables(folder: string, app: string): Promise<void> {
  const path = localEnv(folder, app);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text?.includes(NOTE) !== true) return;
  const lines = text.split('\n');
  const kept = lines.filter((line, i) => line !== NOTE && lines[i - 1] !== NOTE).join('\n');
  if (kept === '') await rm(path);
  else await writeWhole(path, kept, (await stat(path)).mode & 0o777);
}
