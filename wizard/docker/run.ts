/** Runs a program: argument array, no shell, ends with us. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { StringDecoder } from 'node:string_decoder';
import type { Output } from './engine.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly stdin?: string;
  /** Every line of output as it comes, both streams. */
  readonly onLine?: (line: string) => void;
}

/** As a shell has it: 128 and the number of the signal that ended a program. */
function exitCode(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
}

/** Programs running now; a signal to us is passed on to them (see {@link stopChildren}). */
const running = new Set<ReturnType<typeof spawn>>();

/** Resolves with whatever the exit code is; rejects when the program cannot be started (`ENOENT`, `EACCES`). */
export function run(program: string, argv: readonly string[], options: RunOptions = {}): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(child);
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
      reject(error);
    });
    child.on('close', (code, signal) => {
      running.delete(child);
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
  return new Promise((resolve, reject) => {
    const child = spawn(program, argv, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: 'inherit',
    });
    running.add(child);
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

/** How often a signal is said again, and after how many times it is no longer asked. */
const AGAIN_MS = 500;
const PATIENCE = 20;

/**
 * Passes a signal on to the programs running now and waits until they are gone. `docker compose` loses a signal that
 * comes while it starts, so it is said again, and in the end the program is killed.
 */
export async function stopChildren(signal: NodeJS.Signals): Promise<void> {
  await Promise.all(
    [...running].map(
      (child) =>
        new Promise<void>((resolve) => {
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
        }),
    ),
  );
}
