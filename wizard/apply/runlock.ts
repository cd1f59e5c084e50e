/**
 * One run at a time in a site directory, by a kernel lock (flock) on the directory `.fedi`. Only users who can enter it can take
 * the lock, and it ends with its holders however they end. The programs that a run starts hold it too, so the next run finds and
 * ends a `docker compose up` that outlives a killed run. The file `.fedi/lock` names the owner.
 */
import { closeSync, fstatSync, openSync, rmSync } from 'node:fs';
import { readFile, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cannotRead, cannotWrite, writeWhole } from '../atomic.ts';
import { run, shareWithPrograms } from '../docker/run.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';

/** A process that works on a site. */
export interface Owner {
  readonly pid: number;
  /** Boot and start time distinguish the owner from a later process with the same id. */
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

/** Whether that process still runs. */
export async function isAlive(owner: Owner): Promise<boolean> {
  return owner.boot === (await bootId()) && (await startTime(owner.pid)) === owner.start;
}

/** This process. */
export const thisProcess = async (): Promise<Owner> => ({
  pid: process.pid,
  boot: await bootId(),
  start: (await startTime(process.pid)) ?? '',
  since: new Date().toISOString(),
});

/** Opens the directory and locks it; undefined: another process has the lock. */
async function claim(own: string): Promise<number | undefined> {
  const descriptor = openSync(own, 'r');
  try {
    const { code, stderr } = await run('flock', ['-n', '-x', '3'], { shared: descriptor });
    if (code !== 0 && stderr.trim() !== '') throw new Error(stderr.trim());
    // If the directory was recreated in between, this is the lock of the old one.
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
 * Programs of a killed run: they hold its lock as their file descriptor 3 (see {@link shareWithPrograms}), and their parent is
 * gone. (The process id of a live run in a container means nothing here; its programs are left alone.)
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
      // It has ended meanwhile, or belongs to another user.
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

/** How long `docker compose` may take to stop after SIGTERM. */
const ORPHAN_MS = 30_000;
const AGAIN_MS = 500;

/** The owner in the lock file; undefined: there is none, or it cannot be parsed. */
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

/** The holder writes the lock file a moment after it takes the lock; how long we wait for the file. */
const WINNER_MS = 2000;

/** The Problem if that process works on the site. */
export const lockedBy = (owner: Owner | undefined): Problem =>
  new Problem(
    EXIT.LOCKED,
    `Another run is working on this site${owner === undefined ? '' : `: process ${owner.pid}, since ${owner.since}`}.`,
    {
      means: 'Two runs at once would undo each other’s changes. Nothing was changed.',
      next: 'Wait until it has finished, then run this again.',
    },
  );

/** Takes the lock; ends programs of a killed run that hold it. Throws exit 6 if a live run has it. */
async function claimFrom(own: string, path: string): Promise<number> {
  const since = Date.now();
  let orphansSince = 0;
  let signalled = 0;
  for (let pause = 20; ; pause = Math.min(pause * 2, 250)) {
    const descriptor = await claim(own);
    if (descriptor !== undefined) return descriptor;
    const owner = await readOwner(path);
    if (owner !== undefined && (await isAlive(owner))) throw lockedBy(owner);
    const orphans = await orphansOf(own);
    if (orphans.length > 0) {
      orphansSince ||= Date.now();
      const isLate = Date.now() > orphansSince + ORPHAN_MS;
      // `docker compose` loses a signal that arrives while it starts, so it is sent again.
      if (Date.now() > signalled + AGAIN_MS) {
        signalled = Date.now();
        for (const pid of orphans) send(pid, isLate ? 'SIGKILL' : 'SIGTERM');
      }
    }
    if (Date.now() > (orphansSince || since) + (orphansSince === 0 ? WINNER_MS : 2 * ORPHAN_MS))
      throw lockedBy(undefined);
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
    // Not locked, but the owner is alive: the file is from another host or an earlier version.
    const owner = await readOwner(path);
    if (owner !== undefined && (await isAlive(owner))) throw lockedBy(owner);
    await writeWhole(path, JSON.stringify(await thisProcess()), 0o600);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  shareWithPrograms(descriptor);
  let isHeld = true;
  // Does not await, so that nothing is written between the release and a following exit.
  return async () => {
    if (!isHeld) return;
    isHeld = false;
    shareWithPrograms(undefined);
    rmSync(path, { force: true });
    closeSync(descriptor);
  };
}
