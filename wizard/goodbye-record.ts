/** Apps whose accounts are deleted on other servers before they are removed: `.fedi/goodbye.json`. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './atomic.ts';
import { OWN } from './layout.ts';

const FILE = join(OWN, 'goodbye.json');

export interface GoodbyeState {
  /** When it was started; ISO 8601. */
  readonly at: string;
  /** Domain of the app, which confirms it. */
  readonly domain: string;
  /** Command that continues it, with its arguments: `uninstall --goodbye`. */
  readonly by: string;
  /** Absent: it is not complete. */
  readonly complete?: {
    /** ISO 8601. */
    readonly at: string;
    /** Servers that no delivery reached. */
    readonly unreached: readonly string[];
  };
}

/** App → its state. */
export type Goodbyes = Readonly<Record<string, GoodbyeState>>;

export async function readGoodbyes(folder: string): Promise<Goodbyes> {
  const text = await readFile(join(folder, FILE), 'utf8').catch(() => undefined);
  return text === undefined ? {} : (JSON.parse(text) as Goodbyes);
}

export async function keepGoodbye(folder: string, app: string, state: GoodbyeState): Promise<void> {
  await write(folder, { ...(await readGoodbyes(folder)), [app]: state });
}

export async function forgetGoodbye(folder: string, app: string): Promise<void> {
  const { [app]: state, ...others } = await readGoodbyes(folder);
  if (state !== undefined) await write(folder, others);
}

const write = (folder: string, goodbyes: Goodbyes): Promise<void> =>
  Object.keys(goodbyes).length === 0
    ? rm(join(folder, FILE), { force: true })
    : writeWhole(join(folder, FILE), `${JSON.stringify(goodbyes)}\n`, 0o600);
