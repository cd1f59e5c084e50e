/** Our code as a separate process: bundled, so that it can be started hundreds of times. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { buildSync } from 'esbuild';

/** Bundles a module's text; its imports are absolute paths. */
export function bundle(text: string): string {
  const { outputFiles } = buildSync({
    stdin: { contents: text, resolveDir: '/' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}

/** Runs a bundle; `argv` begins at process.argv[1]. */
export function startProgram(
  script: string,
  argv: readonly string[],
  options: { node?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): ChildProcess {
  return spawn(
    process.execPath,
    [...(options.node ?? []), '--input-type=module', '--eval', script, ...argv],
    {
      env: { PATH: process.env['PATH'], ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Output of a process until its end. */
export function endOf(child: ChildProcess): Promise<Ended> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => (texts[name] += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, ...texts }));
  });
}
