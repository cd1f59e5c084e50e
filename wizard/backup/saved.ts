/** The configuration in a backup, read without restoring anything. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configOf } from '../answers/config.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource } from '../answers/sources.ts';
import type { Config } from '../config/config.ts';
import { LOCK_FILE, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { STORE_FILE, Store } from '../secrets/store.ts';
import { repositoryProblem, restic } from './restic.ts';
import type { Access, Snapshot } from './restic.ts';
import { SET } from './set.ts';

/** The site as it was when the backup was made. */
export interface Saved {
  readonly config: Config;
  readonly store: Store;
  readonly lock: Lock;
}

/** Reads answers, secrets and image lock of a backup into a directory that only this user can read. Throws a Problem if this version cannot use them. */
export async function readSaved(access: Access, snapshot: Snapshot, scratch: string): Promise<Saved> {
  for (const name of [CONFIG_FILE, STORE_FILE, LOCK_FILE]) {
    const output = await restic(access, ['dump', '--no-lock', snapshot.id, `${SET}/site/${name}`]);
    if (output.code !== 0) throw repositoryProblem(access, output, 'Reading the backup in');
    await writeFile(join(scratch, name), output.stdout, { mode: 0o600 });
  }
  const saved = await savedSource(scratch);
  const resolved = saved && (await resolve([saved.source]));
  if (resolved === undefined || resolved.problems.length > 0)
    throw new Problem(EXIT.FAILED, `Its answers cannot be used: ${resolved?.problems[0] ?? 'no fedi.yaml'}`);
  return {
    config: configOf(resolved.answers),
    store: await Store.open(scratch),
    lock: await readLock(scratch),
  };
}
