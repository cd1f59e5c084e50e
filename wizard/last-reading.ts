/** What `maintain` saw last and `status` shows when it is slow to know: `.fedi/reading.json`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './atomic.ts';
import { OWN } from './layout.ts';

const FILE = 'reading.json';
/** Limits of the file. */
const MOST_NOTICES = 50;
const LONGEST_NOTICE = 1000;

/** What an app says about its people and posts, by NodeInfo. Undefined: it does not say. */
export interface People {
  readonly accounts: number | undefined;
  /** Accounts that were used in the last month. */
  readonly active: number | undefined;
  /** Of local accounts. */
  readonly posts: number | undefined;
  /** Of the app, without a `v`. */
  readonly version: string | undefined;
}

/** Times are ISO 8601. */
export interface LastReading {
  /** App → when it was asked last, and its answer. */
  readonly people?: Readonly<Record<string, People & { readonly at: string }>>;
  /** The problems that the last run of `maintain` found. */
  readonly problems?: {
    readonly at: string;
    /** `key`: the task that failed, or `check ID`. */
    readonly found: readonly { readonly key: string; readonly text: string }[];
  };
}

export async function readLast(folder: string): Promise<LastReading> {
  try {
    const reading = JSON.parse(await readFile(join(folder, OWN, FILE), 'utf8')) as LastReading | null;
    return typeof reading === 'object' ? (reading ?? {}) : {};
  } catch {
    return {};
  }
}

/** Replaces the parts that are given. */
export async function keepLast(folder: string, { people, problems }: LastReading): Promise<void> {
  const before = await readLast(folder);
  const next: LastReading = {
    ...before,
    ...(people === undefined ? {} : { people: { ...before.people, ...people } }),
    ...(problems === undefined
      ? {}
      : {
          problems: {
            at: problems.at,
            found: problems.found
              .slice(0, MOST_NOTICES)
              .map(({ key, text }) => ({ key, text: text.slice(0, LONGEST_NOTICE) })),
          },
        }),
  };
  await writeWhole(join(folder, OWN, FILE), `${JSON.stringify(next, null, 2)}\n`, 0o600);
}
