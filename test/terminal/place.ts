/** Shared by the terminal tests: a directory to start the tool in, and answers typed in order. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { Turn } from '../support/conversations.ts';
import { IMAGES, environment, wipe } from '../support/site.ts';
import type { Terminal } from '../support/terminal.ts';

/** Shows the plan without the checks of names and time, whose results differ between hosts. */
export const DRY = ['--dry-run', '--skip-check', 'dns,caa,clock'];

export async function talk(to: Terminal, turns: readonly Turn[]): Promise<void> {
  for (const { question, text, entry, entries } of turns) {
    if (text !== undefined) await to.answer(question, text);
    else if (entries !== undefined) await to.check(question, entries);
    else if (entry !== undefined) await to.choose(question, entry);
  }
}

export interface Place {
  /** Path of the installed tool, for tests that start it in a shell. */
  readonly tool: string;
  /** Working directory of the tool; a site would be created in its subdirectory `fedi`. */
  readonly cwd: string;
  readonly folder: string;
  readonly name: string;
  readonly bind: string;
  /** Settings of the test host, which the wizard does not ask for. */
  readonly env: NodeJS.ProcessEnv;
  remove(): void;
}

/** @param address last number of 127.0.0.x. */
export function place(what: string, address: number): Place {
  const name = `test-term-${what}`;
  const bind = `127.0.0.${address}`;
  wipe(name);
  const cwd = mkdtempSync(join(tmpdir(), `fedi-term-${what}-`));
  return {
    tool: inject('tool'),
    cwd,
    folder: join(cwd, 'fedi'),
    name,
    bind,
    env: environment({ ...IMAGES, FEDI_NAME: name, FEDI_BIND: bind }),
    remove: () => {
      wipe(name);
      rmSync(cwd, { recursive: true, force: true });
    },
  };
}
