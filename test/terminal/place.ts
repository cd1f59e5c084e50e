/** What the tests in a terminal share: a place to start the tool in, and answers typed one after the other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { Turn } from '../support/conversations.ts';
import { IMAGES, environment, wipe } from '../support/site.ts';
import type { Terminal } from '../support/terminal.ts';

/** The plan, without asking the world for names and time: what it says differs from host to host. */
export const DRY = ['--dry-run', '--skip-check', 'dns,caa,clock'];

export async function talk(to: Terminal, turns: readonly Turn[]): Promise<void> {
  for (const { question, text, entry, entries } of turns) {
    if (text !== undefined) await to.answer(question, text);
    else if (entries !== undefined) await to.check(question, entries);
    else if (entry !== undefined) await to.choose(question, entry);
  }
}

export interface Place {
  /** Path of the installed tool, for tests that start it through a shell. */
  readonly tool: string;
  /** Where the tool is started; a site would be made in `fedi` below it. */
  readonly cwd: string;
  readonly folder: string;
  readonly name: string;
  readonly bind: string;
  /** What a host has settled: everything that is no part of the conversation. */
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
