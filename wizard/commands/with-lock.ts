/** Runs work under the run lock of a site. */
import { takeLock } from '../apply/runlock.ts';
import type { CommandContext } from './command.ts';

/** Releases the lock afterwards, also when a signal ends the process. Throws exit 6 if another run has it. */
export async function withRunLock<T>(
  { onLocked }: Pick<CommandContext, 'onLocked'>,
  folder: string,
  work: () => Promise<T>,
): Promise<T> {
  const release = await takeLock(folder);
  onLocked(release);
  try {
    return await work();
  } finally {
    await release();
  }
}
