/** One run at a time in a site directory: a lock file that says whose it is. A dead owner's is taken over. */
import { createHash } from 'node:crypto';
import { readFile, realpath, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cannotRead, cannotWrite, writeWhole } from '../atomic.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';

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

/**
 * A name in the kernel that one process at a time can have, and that goes with it however it ends: two runs that both
 * find a dead owner cannot both take over.
 */
function claim(folder: string): Promise<Server | undefined> {
  const name = `\0fedi-setup-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}`;
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (codeOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(name, () => resolve(server));
    // It must not keep a finished run alive.
    server.unref();
  });
}

/** Who the lock file says it is; undefined: nobody, or nothing that can be read as somebody. */
async function readOwner(path: string): Promise<Owner | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw cannotRead(path, error);
  }
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null;
    return typeof owner?.pid === 'number' ? (owner as Owner) : undefined;
  } catch {
    return undefined;
  }
}

/** Whoever has the claim writes the file a moment later; how long it is waited for, to be able to name them. */
const WINNER_MS = 2000;

async function winner(path: string): Promise<Owner | undefined> {
  const deadline = Date.now() + WINNER_MS;
  for (;;) {
    const owner = await readOwner(path);
    if ((owner !== undefined && (await isAlive(owner))) || Date.now() > deadline) return owner;
    await delay(50);
  }
}

/** Takes the lock of a site directory; the returned function gives it back. Throws exit 6 when somebody else holds it. */
export async function takeLock(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, OWN, 'lock');
  const claimed = await claim(
    await realpath(folder).catch((error: unknown) => {
      throw cannotWrite(folder, error);
    }),
  );
  try {
    const owner = claimed === undefined ? await winner(path) : await readOwner(path);
    if (claimed === undefined || (owner !== undefined && (await isAlive(owner)))) {
      throw new Problem(
        EXIT.LOCKED,
        `Another run works on this site${owner === undefined ? '' : `: process ${owner.pid}, since ${owner.since}`}.`,
        {
          means: 'Two at once would undo each other. Nothing was changed.',
          next: 'Wait until it is done and run this again.',
        },
      );
    }
    const mine: Owner = {
      pid: process.pid,
      boot: await bootId(),
      start: (await startTime(process.pid)) ?? '',
      since: new Date().toISOString(),
    };
    await writeWhole(path, JSON.stringify(mine), 0o600);
  } catch (error) {
    claimed?.close();
    throw error;
  }
  return async () => {
    await rm(path, { force: true });
    claimed.close();
  };
}
