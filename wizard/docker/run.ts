/** Runs a program: argument array, no shell, ends with us. */
import { spawn } from 'node:child_process';
import type { ChildProcess, ChildProcessWithoutNullStreams, SpawnOptions } from 'node:child_process';
import { constants } from 'node:os';
import { StringDecoder } from 'node:string_decoder';
import type { Output } from './engine.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  /** Every line of output as it comes, both streams. */
  readonly onLine?: (line: string) => void;
  /** Ends the program early: it gets SIGTERM, and the promise resolves when it is gone. */
  readonly signal?: AbortSignal | undefined;
  /** Our file descriptor that it gets as its own number 3; default: that of {@link shareWithPrograms}. */
  readonly shared?: number;
}

/** As a shell has it: 128 and the number of the signal that ended a program. */
function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
}

/** Programs running now; a signal to us is passed on to them (see {@link stopChildren}). */
const running = new Set<ChildProcess>();

let sharedByAll: number | undefined;
let noMore = false;

/**
 * Every program from now on gets this file descriptor as its number 3; undefined: none. A lock on it stays taken until the last
 * of them has ended, also when we are killed before that.
 */
export function shareWithPrograms(descriptor: number | undefined): void {
  sharedByAll = descriptor;
}

/** From now on no program is started: who asks for one waits until we exit. */
export function startNoMore(): void {
  noMore = true;
}

const never = (): Promise<never> => new Promise(() => undefined);

function start(
  program: string,
  argv: readonly string[],
  options: RunOptions,
  stdio: readonly ('pipe' | 'inherit')[],
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

/** Resolves with whatever the exit code is; rejects when the program cannot be started (`ENOENT`, `EACCES`). */
export function run(program: string, argv: readonly string[], options: RunOptions = {}): Promise<Output> {
  if (noMore) return never();
  return new Promise((resolve, reject) => {
    const child = start(program, argv, options, ['pipe', 'pipe', 'pipe']) as ChildProcessWithoutNullStreams;
    const stop = (): void => void end(child, 'SIGTERM');
    options.signal?.addEventListener('abort', stop, { once: true });
    if (options.signal?.aborted) stop();
    const texts = { stdout: '', stderr: '' };
    const rests = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      const decoder = new StringDecoder('utf8');
      child[name].on('data', (chunk: Buffer) => {
        const text = decoder.write(chunk);
        texts[name] += text;
        const lines = (rests[name] + text).split(/\r?\n|\r/);
        rests[name] = lines.pop() ?? '';
        for (const line of lines) if (line.trim() !== '') options.onLine?.(line.trim());
      });
    }
    child.on('error', (error) => {
      running.delete(child);
      options.signal?.removeEventListener('abort', stop);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      options.signal?.removeEventListener('abort', stop);
      for (const name of ['stdout', 'stderr'] as const)
        if (rests[name].trim() !== '') options.onLine?.(rests[name].trim());
      resolve({ code: exitCode(code, signal), ...texts });
    });
    // A program that ends before it read everything is judged by its exit code, not by our broken pipe.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}

/** The program gets our own standard streams; resolves to its exit code, 128 + n for a signal. */
export function runAttached(
  program: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<number> {
  if (noMore) return never();
  return new Promise((resolve, reject) => {
    const child = start(program, argv, options, ['inherit', 'inherit', 'inherit']);
    child.on('error', (error) => {
      running.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
      resolve(exitCode(code, signal));
    });
  });
}

/** How often a signal is sent again, and after how many times the program is killed. */
const AGAIN_MS = 500;
const PATIENCE = 60;

/** Ends one program: `docker compose` loses a signal that comes while it starts, so it is sent again until the program is gone. */
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

/** Passes a signal on to the programs running now and waits until they are gone. */
export async function stopChildren(signal: NodeJS.Signals): Promise<void> {
  await Promise.all([...running].map((child) => end(child, signal)));
}
