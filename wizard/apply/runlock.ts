/**
 * One run at a time in a site directory. What excludes others is a lock of the kernel (flock) on the folder `.fedi`: nobody who
 * may not enter it can take it, and it ends with its holders however they end. The programs that a run starts hold it too, so
 * a `docker compose up` that outlives a killed run is found and ended by the next one. The file `.fedi/lock` names the owner.
 */
import { closeSync, fstatSync, openSync, rmSync } from 'node:fs';
import { readFile, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cannotRead, cannotWrite, writeWhole } from '../atomic.ts';
import { run, shareWithPrograms } from '../docker/run.ts';
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

/** Fields of /proc/PID/stat from the third on: state, parent, …; undefined when there is no such process. */
async function statusOf(pid: number | string): Promise<string[] | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

const startTime = async (pid: number): Promise<string | undefined> => (await statusOf(pid))?.[19];

async function isAlive(owner: Owner): Promise<boolean> {
  return owner.boot === (await bootId()) && (await startTime(owner.pid)) === owner.start;
}

/** An open folder with the lock on it; undefined: somebody else has the lock. */
async function claim(own: string): Promise<number | undefined> {
  const descriptor = openSync(own, 'r');
  try {
    const { code, stderr } = await run('flock', ['-n', '-x', '3'], { shared: descriptor });
    if (code !== 0 && stderr.trim() !== '') throw new Error(stderr.trim());
    // Removed and created again in between: that was another folder's lock.
    const isSame = code === 0 && fstatSync(descriptor).ino === (await stat(own)).ino;
    if (isSame) return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  closeSync(descriptor);
  return undefined;
}

const links = async (pid: string): Promise<string[]> => {
  const numbers = await readdir(`/proc/${pid}/fd`).catch(() => [] as string[]);
  return Promise.all(numbers.map((number) => readlink(`/proc/${pid}/fd/${number}`).catch(() => '')));
};

/**
 * Programs of a run that was killed: they hold its lock as their file descriptor 3, as {@link shareWithPrograms} gave it, and
 * their parent is gone. (A live run in a container has a process number that says nothing here; its programs are left alone.)
 */
async function orphansOf(own: string): Promise<number[]> {
  const found = new Map<string, string>();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      if ((await readlink(`/proc/${pid}/fd/3`)) !== own) continue;
      const [program = ''] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
      const [, parent = ''] = (await statusOf(pid)) ?? [];
      if (/^docker\b/.test(basename(program))) found.set(pid, parent);
    } catch {
      // It ended in the meantime, or belongs to somebody else.
    }
  }
  for (const [, parent] of found) if (!found.has(parent) && (await links(parent)).includes(own)) return [];
  return [...found.keys()].map(Number);
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended in the meantime.
  }
}

/** `docker compose` stops what it does at SIGTERM, and is given this long for it. */
const ORPHAN_MS = 30_000;
const AGAIN_MS = 500;

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

/** Who has the lock writes the file a moment later; how long we wait to be able to name the owner. */
const WINNER_MS = 2000;

const locked = (owner: Owner | undefined): Problem =>
  new Problem(
    EXIT.LOCKED,
    `Another run is working on this site${owner === undefined ? '' : `: process ${owner.pid}, since ${owner.since}`}.`,
    {
      means: 'Two runs at once would undo each other’s changes. Nothing was changed.',
      next: 'Wait until it has finished, then run this again.',
    },
  );

/** Takes the lock, and ends the programs of a killed run where these hold it. Throws exit 6 when a live run has it. */
async function claimFrom(own: string, path: string): Promise<number> {
  const since = Date.now();
  let seen = 0;
  let signalled = 0;
  for (let pause = 20; ; pause = Math.min(pause * 2, 250)) {
    const descriptor = await claim(own);
    if (descriptor !== undefined) return descriptor;
    const owner = await readOwner(path);
    if (owner !== undefined && (await isAlive(owner))) throw locked(owner);
    const orphans = await orphansOf(own);
    if (orphans.length > 0) {
      seen ||= Date.now();
      const isLate = Date.now() > seen + ORPHAN_MS;
      // `docker compose` loses a signal that comes while it starts, so it is sent again.
      if (Date.now() > signalled + AGAIN_MS) {
        signalled = Date.now();
        for (const pid of orphans) send(pid, isLate ? 'SIGKILL' : 'SIGTERM');
      }
    }
    if (Date.now() > (seen || since) + (seen === 0 ? WINNER_MS : 2 * ORPHAN_MS)) throw locked(undefined);
    await delay(pause);
  }
}

/** Takes the lock of a site directory; the returned function releases it. Throws exit 6 when another run holds it. */
export async function takeLock(folder: string): Promise<() => Promise<void>> {
  const own = await realpath(join(folder, OWN)).catch((error: unknown) => {
    throw cannotWrite(folder, error);
  });
  const path = join(folder, OWN, 'lock');
  const descriptor = await claimFrom(own, path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error instanceof Problem ? error : cannotWrite(own, error);
    throw new Problem(EXIT.PREFLIGHT, 'The program `flock` is not installed.', {
      means: 'It keeps two runs from changing a site at the same time. Nothing was changed.',
      next: 'Install the package util-linux and run this again.',
      cause: error,
    });
  });
  try {
    // A file that no lock belongs to, yet its owner is alive: written on another host, or by an earlier version.
    const owner = await readOwner(path);
    if (owner !== undefined && (await isAlive(owner))) throw locked(owner);
    const mine: Owner = {
      pid: process.pid,
      boot: await bootId(),
      start: (await startTime(process.pid)) ?? '',
      since: new Date().toISOString(),
    };
    await writeWhole(path, JSON.stringify(mine), 0o600);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  shareWithPrograms(descriptor);
  let isHeld = true;
  // Without a pause within, so that nothing is written between the release and an exit that follows it.
  return async () => {
    if (!isHeld) return;
    isHeld = false;
    shareWithPrograms(undefined);
    rmSync(path, { force: true });
    closeSync(descriptor);
  };
}
