/** Runs programs: argument arrays, no shell; they end with this process. */
import { spawn } from 'node:child_process';
import type { ChildProcess, ChildProcessWithoutNullStreams, SpawnOptions } from 'node:child_process';
import { constants } from 'node:os';
import { Duplex } from 'node:stream';
import { EXIT, Problem } from '../problem.ts';
import type { Output } from './engine.ts';
import { Kept, Lines } from './kept.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly stdin?: string;
  /** Called for every line of output of both streams. */
  readonly onLine?: ((line: string) => void) | undefined;
  /** Bytes of each stream that are kept; absent: {@link MOST_OUTPUT}. */
  readonly most?: number;
  /** Time limit, then it is killed; absent: {@link WHOLE_MS}. */
  readonly wholeMs?: number | undefined;
  /** Ends the program early: it gets SIGTERM, and the promise resolves when it is gone. */
  readonly signal?: AbortSignal | undefined;
  /** File descriptor that it inherits as number 3; default: that of {@link shareWithPrograms}. */
  readonly shared?: number;
}

/** Time limit for any program: longer than a slow connection needs for the images of three apps. */
const WHOLE_MS = 4 * 3_600_000;

/** The Problem of a time limit. Arguments contain no secrets. */
export function tookTooLong(argv: readonly string[], wholeMs: number): Problem {
  const command = argv.slice(0, 3).join(' ');
  const time = wholeMs < 120_000 ? `${wholeMs / 1000} seconds` : `${Math.round(wholeMs / 60_000)} minutes`;
  return new Problem(EXIT.FAILED, `\`${command}\` did not end within ${time}.`, {
    means: 'fedi-setup stopped waiting. Completed steps are kept.',
    next: 'Check whether this host is very busy or its disk full, then run this again. If it stops here again, `docker compose logs` may show why.',
  });
}

/** As in a shell: 128 plus the number of the signal that ended the program. */
function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
}

/** Running programs, which get our signals too (see {@link stopChildren}). */
const running = new Set<ChildProcess>();

let sharedByAll: number | undefined;
let refusesPrograms = false;

/**
 * Every program started from now on inherits this file descriptor as number 3; undefined: none. A lock on it lasts until all of
 * them have ended, even if this process is killed before.
 */
export function shareWithPrograms(descriptor: number | undefined): void {
  sharedByAll = descriptor;
}

/** Starts no more programs: callers wait until this process exits, and so do those of programs that end from now on. */
export function refuseNewPrograms(): void {
  refusesPrograms = true;
}

const never = (): Promise<never> => new Promise(() => undefined);

function start(
  program: string,
  argv: readonly string[],
  options: RunOptions,
  stdio: readonly ('pipe' | 'inherit' | 'ignore')[],
): ChildProcess {
  const shared = options.shared ?? sharedByAll;
  const how: SpawnOptions = {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: shared === undefined ? [...stdio] : [...stdio, shared],
  };
  const child = spawn(program, argv, how);
  running.add(child);
  return child;
}

/** Resolves with any exit code; rejects if the program cannot be started (`ENOENT`, `EACCES`). */
export function run(program: string, argv: readonly string[], options: RunOptions = {}): Promise<Output> {
  if (refusesPrograms) return never();
  return new Promise((resolve, reject) => {
    const child = start(program, argv, options, ['pipe', 'pipe', 'pipe']) as ChildProcessWithoutNullStreams;
    const stop = (): void => void end(child, 'SIGTERM');
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted) stop();
    const kept = { stdout: new Kept(options.most), stderr: new Kept(options.most) };
    const lines = [child.stdout, child.stderr].map(() => new Lines((line) => options.onLine?.(line)));
    for (const [i, name] of (['stdout', 'stderr'] as const).entries()) {
      child[name].on('data', (chunk: Buffer) => {
        kept[name].add(chunk);
        lines[i]?.add(chunk);
      });
    }
    const wholeMs = options.wholeMs ?? WHOLE_MS;
    const deadline = AbortSignal.timeout(wholeMs);
    const late = (): void => {
      child.kill('SIGKILL');
      reject(tookTooLong([program, ...argv], wholeMs));
    };
    deadline.addEventListener('abort', late);
    child.on('close', () => deadline.removeEventListener('abort', late));
    child.on('error', (error) => {
      running.delete(child);
      options.signal?.removeEventListener('abort', stop);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      options.signal?.removeEventListener('abort', stop);
      if (refusesPrograms) return;
      for (const one of lines) one.end();
      resolve({ code: exitCode(code, signal), stdout: kept.stdout.text, stderr: kept.stderr.text });
    });
    // If a program ends before it reads everything, its exit code counts, not our broken pipe.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}

/**
 * Runs a program whose standard input and output are a stream. It ends without an error, whatever the program does: TLS on
 * such a stream throws errors of the stream where nobody can catch them. Standard error is not read.
 */
export function runPiped(program: string, argv: readonly string[], options: RunOptions = {}): Duplex {
  const child = start(program, argv, options, ['pipe', 'pipe', 'ignore']) as ChildProcessWithoutNullStreams;
  const { stdin, stdout } = child;
  const stream = new Duplex({
    read: () => void stdout.resume(),
    // The program may end before it reads everything.
    write: (chunk: Buffer, encoding, done) => void stdin.write(chunk, encoding, () => done()),
    final: (done) => void stdin.end(() => done()),
    destroy: (_error, done) => {
      child.kill('SIGTERM');
      done(null);
    },
  });
  stdin.on('error', () => undefined);
  stdout.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) stdout.pause();
  });
  stdout.on('end', () => stream.push(null));
  child.on('close', () => running.delete(child));
  child.on('error', () => {
    running.delete(child);
    stream.destroy();
  });
  return stream;
}

/** The program gets our own standard streams; resolves to its exit code, 128 + n for a signal. */
export function runAttached(
  program: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<number> {
  if (refusesPrograms) return never();
  return new Promise((resolve, reject) => {
    const child = start(program, argv, options, ['inherit', 'inherit', 'inherit']);
    child.on('error', (error) => {
      running.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      // Its exit code would become ours, in place of the signal's.
      if (refusesPrograms) return;
      resolve(exitCode(code, signal));
    });
  });
}

/** Interval at which a signal is repeated, and the number of signals before the program is killed. */
const AGAIN_MS = 500;
const PATIENCE = 60;

/** Ends one program. Repeats the signal, since `docker compose` loses one that arrives while it starts. */
function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    let times = 0;
    const again = setInterval(() => child.kill(++times < PATIENCE ? signal : 'SIGKILL'), AGAIN_MS);
    child.once('close', () => {
      clearInterval(again);
      resolve();
    });
    if (!child.kill(signal) && (child.exitCode !== null || child.signalCode !== null)) {
      clearInterval(again);
      resolve();
    }
  });
}

/** Passes a signal on to all running programs and waits until they have ended. */
export async function stopChildren(signal: NodeJS.Signals): Promise<void> {
  await Promise.all([...running].map((child) => end(child, signal)));
}
