/** What must not outlive the process: directories and volumes that are removed after work, and after a signal. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In the order in which they were registered. */
const removals = new Set<() => Promise<void>>();

/** Registers what to remove after a signal. @returns a function that forgets it */
export function removeAfterSignal(remove: () => Promise<void>): () => void {
  removals.add(remove);
  return () => void removals.delete(remove);
}

/** Does work, then removes what it used. A failed removal is not reported: the next run removes it too. */
export async function withTemporary<T>(remove: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  const forget = removeAfterSignal(remove);
  try {
    return await work();
  } finally {
    await remove().catch(() => undefined);
    forget();
  }
}

/** Gives work an empty directory that only this user can read. */
export async function withScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'fedi-setup-'));
  return withTemporary(
    () => rm(folder, { recursive: true, force: true }),
    () => work(folder),
  );
}

/** For a process that ends before its work has: removes all of it, what was made last first: a container before its volume. */
export async function removeTemporary(): Promise<void> {
  for (const remove of [...removals].toReversed()) await remove().catch(() => undefined);
}
