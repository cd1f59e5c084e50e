declare module 'openssl-wrapper' {
  import type { ChildProcess } from 'node:child_process';
  type Options = Record<string, string | boolean | string[]>;
  type Done = (error: Error | null, out: Buffer) => void;
  export function exec(action: string, options: Options, done: Done): ChildProcess;
  export function exec(action: string, stdin: Buffer, options: Options, done: Done): ChildProcess;
}
