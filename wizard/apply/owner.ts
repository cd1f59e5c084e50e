/** Ownership of directories. The files of a site decide what runs on this host, so no other user may change them. */
import { lstat, readFile, readdir, readlink, realpath } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { cannotRead } from '../atomic.ts';
import { CONFIG_FILE } from '../answers/sources.ts';
import { OWN } from '../layout.ts';
import { LOCK_FILE } from '../plan/lock.ts';
import { EXIT, Problem, codeOf, gather } from '../problem.ts';
import { STORE_FILE } from '../secrets/store.ts';

/** The user who runs this, and the users and groups of the host. */
export interface Caller {
  /** Users whose files count as the caller's: the caller, root, and the user who called sudo. */
  readonly uids: ReadonlySet<number>;
  /** Primary group of the caller. */
  readonly gid: number;
  /** Texts of /etc/passwd and /etc/group. */
  readonly passwd: string;
  readonly group: string;
}

export async function thisCaller(): Promise<Caller> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const uid = process.getuid?.() ?? 0;
  const sudo = Number(process.env['SUDO_UID']);
  return {
    uids: new Set([0, uid, ...(uid === 0 && Number.isInteger(sudo) ? [sudo] : [])]),
    gid: process.getgid?.() ?? 0,
    passwd: await read('/etc/passwd'),
    group: await read('/etc/group'),
  };
}

const rowsOf = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));

const userName = ({ passwd }: Caller, uid: number): string =>
  rowsOf(passwd).find((row) => row[2] === String(uid))?.[0] ?? `user ${uid}`;

const groupName = ({ group }: Caller, gid: number): string =>
  rowsOf(group).find((row) => row[2] === String(gid))?.[0] ?? `${gid}`;

/**
 * Whether write access of a group is harmless: it has no other members, like a user's private group, or it is `docker`, whose
 * members have the rights of root anyway.
 */
function isHarmless(caller: Caller, gid: number, owner: number): boolean {
  if (gid === 0) return true;
  const row = rowsOf(caller.group).find((one) => one[2] === String(gid));
  // Users of a directory service are not in these files.
  if (row === undefined) return gid === owner || gid === caller.gid;
  if (row[0] === 'docker') return true;
  const users = rowsOf(caller.passwd);
  const members = (row[3] ?? '').split(',').filter((name) => name !== '');
  const uids = [
    ...users.filter((user) => user[3] === String(gid)),
    ...members.map((name) => users.find((user) => user[0] === name) ?? []),
  ].map((user) => Number(user[2]));
  return uids.every((uid) => caller.uids.has(uid));
}

/** Why others can change a file or directory; undefined: they cannot. @param parent it is only traversed */
function trouble(caller: Caller, path: string, found: Stats, parent: boolean): string | undefined {
  if (!caller.uids.has(found.uid)) return `${path} belongs to ${userName(caller, found.uid)}.`;
  // In a sticky directory such as /tmp users can change only their own files.
  if (parent && (found.mode & 0o1000) !== 0) return undefined;
  if ((found.mode & 0o002) !== 0) return `Every user of this host can change ${path}.`;
  if ((found.mode & 0o020) !== 0 && !isHarmless(caller, found.gid, found.uid))
    return `The group ${groupName(caller, found.gid)} can change ${path}.`;
  return undefined;
}

/** The deepest part of a path that exists, with its links resolved, and the rest. */
export async function deepest(path: string): Promise<{ readonly there: string; readonly rest: string }> {
  let [there, rest] = [path, ''];
  for (;;) {
    try {
      return { there: await realpath(there), rest };
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '') || dirname(there) === there)
        throw cannotRead(there, error);
      const link = await readlink(there).catch(() => undefined);
      // A link to nothing.
      if (link !== undefined) there = resolve(dirname(there), link);
      else {
        rest = join(there.slice(dirname(there).length), rest);
        there = dirname(there);
      }
    }
  }
}

/** More links than any kernel follows. */
const MOST_LINKS = 40;

/**
 * Why others can change the directories on a path, with every link followed. Includes the path itself unless `parents` is set.
 */
export async function otherWritersOf(path: string, caller: Caller, parents = false): Promise<string[]> {
  const found = new Set<string>();
  let links = 0;
  const walk = async (from: string, names: readonly string[]): Promise<void> => {
    let at = from;
    for (const [i, name] of names.entries()) {
      at = resolve(at, name);
      const entry = await lstat(at).catch((error: unknown) => {
        if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
        throw cannotRead(at, error);
      });
      if (entry === undefined) return;
      if (entry.isSymbolicLink()) {
        // Only its owner, and those of its directory, can change a link.
        if (!caller.uids.has(entry.uid)) found.add(`${at} belongs to ${userName(caller, entry.uid)}.`);
        if (++links > MOST_LINKS) return;
        const target = resolve(dirname(at), await readlink(at));
        return walk('/', [...partsOf(target), ...names.slice(i + 1)]);
      }
      const isEnd = i === names.length - 1;
      if (isEnd && parents) return;
      const what = trouble(caller, at, entry, !isEnd);
      if (what !== undefined) found.add(what);
    }
  };
  await walk('/', ['/', ...partsOf(path)]);
  return [...found];
}

const partsOf = (path: string): string[] => path.split('/').filter((name) => name !== '');

/** Entries of a site directory that are read or run. */
const OURS = new Set([CONFIG_FILE, LOCK_FILE, STORE_FILE, OWN, '.env', 'env', 'caddy', 'trust', 'front']);
const COMPOSE = /^(?:docker-)?compose(?:\.override)?\.ya?ml$/;

async function otherWritersIn(folder: string, caller: Caller, top: boolean): Promise<string[]> {
  const found: string[] = [];
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const name of top ? names.filter((one) => OURS.has(one) || COMPOSE.test(one)) : names) {
    const path = join(folder, name);
    const entry = await lstat(path).catch(() => undefined);
    if (entry === undefined) continue; // gone in the meantime
    if (entry.isSymbolicLink()) found.push(...(await otherWritersOf(path, caller)));
    else {
      const what = trouble(caller, path, entry, false);
      if (what !== undefined) found.push(what);
    }
    // Skip earlier generations: there are many, in a directory that only its owner can enter.
    if (!entry.isFile() && (top || !folder.endsWith(`/${OWN}`)))
      found.push(...(await otherWritersIn(path, caller, false)));
  }
  return found;
}

/** Refuses a site directory that others can change. Exit 3. */
export async function refuseOtherWriters(folder: string, caller?: Caller): Promise<void> {
  const who = caller ?? (await thisCaller());
  const on = await otherWritersOf(folder, who);
  const found = [...new Set(on.length > 0 ? on : await otherWritersIn(folder, who, true))];
  if (found.length === 0) return;
  const me = userName(who, process.getuid?.() ?? 0);
  const { message } = gather(
    EXIT.REFUSED,
    `Other users can change ${folder}:`,
    found.length > 6 ? [...found.slice(0, 5), `and ${found.length - 5} more.`] : found,
    '',
  );
  throw new Problem(EXIT.REFUSED, message, {
    means:
      'The files of a site decide what runs on this host and what it may read. Nothing was read or changed.',
    next: `Inspect the files. If they are yours, run this as their owner, or take ownership: \`sudo chown -R ${me} PATH\`, \`sudo chmod go-w PATH\`.`,
  });
}
