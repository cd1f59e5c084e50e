/** One run at a time in a site directory: a lock file that says whose it is. A dead owner's is taken over. */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, Problem, codeOf } from '../problem.ts';
import { cannotWrite } from './atomic.ts';
import { OWN } from './files.ts';

interface Owner {
  readonly pid: number;
  /** Boot and start time tell the owner from a later process that got the same number. */
  readonly boot: string;
  readonly start: string;
  readonly since: string;
}

const bootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();

/** Field 22 of /proc/PID/stat; undefined when there is no such process. */
async function startTime(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  return owner.boot === (await bootId()) && (await startTime(owner.pid)) === owner.start;
}

/** Takes the lock of a site directory; the returned function gives it back. Throws exit 6 when somebody else holds it. */
export async function takeLock(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, OWN, 'lock');
  const mine = `${path}.${process.pid}`;
  const owner: Owner = {
    pid: process.pid,
    boot: await bootId(),
    start: (await startTime(process.pid)) ?? '',
    since: new Date().toISOString(),
  };
  try {
    await writeFile(mine, JSON.stringify(owner), { mode: 0o600 });
  } catch (error) {
    throw cannotWrite(path, error);
  }
  try {
    for (;;) {
      try {
        // link fails when the name is taken, and the file is complete before it has the name.
        await link(mine, path);
        return () => rm(path, { force: true });
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw cannotWrite(path, error);
      }
      await removeDead(path);
    }
  } finally {
    await rm(mine, { force: true });
  }
}

/** Moves a dead owner's lock away; throws when the owner lives. */
async function removeDead(path: string): Promise<void> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return; // given back in the meantime
  }
  let owner: Owner | undefined;
  try {
    owner = JSON.parse(text) as Owner;
  } catch {
    owner = undefined; // written by no version of ours, or damaged: nobody holds it
  }
  if (owner !== undefined && (await isAlive(owner))) {
    throw new Problem(
      EXIT.LOCKED,
      `Another run works on this site: process ${owner.pid}, since ${owner.since}.`,
      {
        means: 'Two at once would undo each other. Nothing was changed.',
        next: 'Wait until it is done and run this again.',
      },
    );
  }
  const aside = `${path}.dead.${process.pid}`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  // Between reading and renaming another run may have taken over: then what was moved is theirs and goes back.
  if ((await readFile(aside, 'utf8')) !== text) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}
