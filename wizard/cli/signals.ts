/** Signals, closed pipes and lost terminals: ends the programs of the run, releases the lock, exits. */
import { isatty } from 'node:tty';
import { EXIT, messageOf } from '../problem.ts';
import type { ExitCode } from '../problem.ts';
import { columns, wrapLines } from '../wrap.ts';

export interface Ending {
  /** Releases the run lock; undefined: the run has none. */
  release: (() => Promise<void>) | undefined;
  /** An extra message for a user who cancels before anything changed. */
  note: string | undefined;
  /** What a user who cancels a change has to know. */
  interrupted: string;
  /** Says nothing about a signal: it is how the command ends. */
  quiet: boolean;
  /** A signal ends the process. */
  leaving: boolean;
}

/** For most commands, which complete what an earlier run began. */
export const CONTINUES = 'Completed steps are kept; run this again to finish.';

/** Prints that the user left before anything changed. */
export const sayNothingChanged = ({ note }: Ending, word = 'Cancelled. '): void =>
  void process.stderr.write(`\n${word}Nothing was changed.\n${note === undefined ? '' : `${note}\n`}`);

/** How long a signal waits for Docker to remove what the run would leave. */
const REMOVAL_MS = 30_000;

/** Listens until the process ends. */
export function onSignals(ending: Ending): void {
  const leave = async (signal: NodeJS.Signals, code: ExitCode): Promise<void> => {
    if (ending.leaving) return;
    ending.leaving = true;
    const { refuseNewPrograms, stopChildren } = await import('../docker/run.ts');
    refuseNewPrograms();
    await stopChildren(signal);
    const { removeTemporary } = await import('../temporary.ts');
    const late = new Promise((resolve) => AbortSignal.timeout(REMOVAL_MS).addEventListener('abort', resolve));
    await Promise.race([removeTemporary(), late]);
    if (ending.quiet) process.stderr.write('\n');
    else if (ending.release === undefined) sayNothingChanged(ending);
    else {
      const width = process.stderr.isTTY ? columns(process.stderr) - 1 : Infinity;
      process.stderr.write(`\n${wrapLines(`Cancelled. ${ending.interrupted}`, width)}\n`);
    }
    // An interrupted prompt has hidden the cursor.
    if (process.stderr.isTTY) process.stderr.write('\u001b[?25h');
    // Release and exit at once, so that our own work, which still runs, writes nothing in between.
    const isHungUp = process.stdin.isTTY && !isatty(0);
    void ending.release?.().catch(() => undefined);
    if (isHungUp) await unlessHungUp();
    process.exit(code);
  };
  // Not `once`: prompts and spinners end the process if they find no other listener.
  process.on('SIGINT', () => void leave('SIGINT', EXIT.INT));
  process.on('SIGTERM', () => void leave('SIGTERM', EXIT.TERM));
  process.on('SIGHUP', () => void leave('SIGHUP', EXIT.HUP));
  for (const [name, stream] of [
    ['Standard output', process.stdout],
    ['Standard error', process.stderr],
  ] as const) {
    let warned = false;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EIO') void leave('SIGHUP', EXIT.HUP);
      // Neither a closed pipe (`| head`) nor a full disk (`> file`) must leave a site half done.
      else if (error.code !== 'EPIPE' && !warned) {
        warned = true;
        process.stderr.write(`\n${name} cannot be written: ${messageOf(error)}. The command continues.\n`);
      }
    });
  }

  // readline reports a lost terminal by its own error.
  process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EIO') void leave('SIGHUP', EXIT.HUP);
    else {
      process.removeAllListeners('uncaughtException');
      throw error;
    }
  });
}

/** Node aborts when it cannot restore the modes of a lost terminal, so the process ends by the signal instead. */
export async function unlessHungUp(): Promise<void> {
  if (!process.stdin.isTTY || isatty(0)) return;
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
  await new Promise<never>(() => undefined);
}
