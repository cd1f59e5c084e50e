/** Checks who may read the secrets in the site directory, and to whom its files belong. */
import { chown, lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { closeToOthers, isWider } from '../atomic.ts';
import { CLOSED, OWN } from '../layout.ts';
import { firstOf } from '../lists.ts';
import { EXIT, Problem } from '../problem.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** Files that are listed. */
const LISTED = 5;
/** Earlier versions of the site are not read. */
const SKIPPED = ['generations', 'tool'];

const list = (paths: readonly string[]): string => firstOf(paths, LISTED);

/** Paths below the site directory, relative to it; links are not followed. */
async function pathsIn(folder: string, below: string): Promise<string[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true }).catch(() => []);
  const paths = entries.map(async (entry): Promise<string[]> => {
    if (below === OWN && SKIPPED.includes(entry.name)) return [];
    const path = join(below, entry.name);
    return entry.isDirectory() ? [path, ...(await pathsIn(folder, path))] : [path];
  });
  return (await Promise.all(paths)).flat();
}

/** Secrets that others can read: whole places, and files in a directory that is closed. */
async function openSecrets(folder: string): Promise<{ path: string; mode: number }[]> {
  const open: { path: string; mode: number }[] = [];
  const look = async (path: string, mode: number): Promise<void> => {
    const found = await stat(join(folder, path)).catch(() => undefined);
    if (found !== undefined && isWider(found, mode)) open.push({ path, mode });
  };
  for (const [path, mode] of CLOSED) await look(path, mode);
  for (const path of await pathsIn(folder, 'env')) await look(path, 0o600);
  return open;
}

/** Files that belong to others than the directory, by the number of their owner. */
async function foreignFiles(folder: string, owner: number): Promise<ReadonlyMap<number, string[]>> {
  const found = new Map<number, string[]>();
  const names = await readdir(folder).catch(() => [] as string[]);
  const places = [
    'fedi.yaml',
    'images.lock.yaml',
    'compose.yaml',
    'secrets.json',
    'env',
    'caddy',
    'trust',
    OWN,
  ];
  const paths = names.filter((name) => places.includes(name));
  for (const path of [...paths, ...(await Promise.all(paths.map((one) => pathsIn(folder, one)))).flat()]) {
    const { uid } = (await lstat(join(folder, path)).catch(() => undefined)) ?? {};
    if (uid === undefined || uid === owner) continue;
    found.set(uid, [...(found.get(uid) ?? []), path]);
  }
  return found;
}

export async function checkFiles({
  folder,
  host,
}: Pick<CheckContext, 'folder' | 'host'>): Promise<CheckResult | undefined> {
  const there = await stat(folder).catch(() => undefined);
  if (there === undefined) return undefined;
  const found: Finding[] = [];
  const open = await openSecrets(folder);
  if (open.length > 0)
    found.push({
      level: 'warning',
      what: `Other users of this host can read secrets: ${list(open.map(({ path }) => path))}.`,
      means: 'With them, others can read the databases and impersonate the server.',
      next: '`fedi-setup doctor --fix` restricts their permissions. If others may have read them, also rotate them (`fedi-setup secrets`).',
      fix: async () => {
        const closed: string[] = [];
        for (const { path, mode } of open)
          if (await closeToOthers(join(folder, path), mode)) closed.push(path);
        return `readable only by their owner: ${list(closed)}`;
      },
    });
  for (const [uid, paths] of await foreignFiles(folder, there.uid)) {
    found.push({
      level: 'warning',
      what: `Files in ${folder} belong to user ${uid}, the directory to user ${there.uid}: ${list(paths)}.`,
      means: `When user ${there.uid} runs fedi-setup, it cannot change them, and perhaps not read them. A run with sudo can cause this.`,
      next: host.isRoot
        ? '`fedi-setup doctor --fix` changes their owner to that of the directory.'
        : `\`sudo chown -hR ${there.uid}:${there.gid} ${folder}\``,
      ...(host.isRoot
        ? {
            fix: async () => {
              for (const path of paths) {
                const entry = await lstat(join(folder, path)).catch(() => undefined);
                // A link is left alone: it may point anywhere.
                if (entry?.uid === uid && !entry.isSymbolicLink())
                  await chown(join(folder, path), there.uid, there.gid).catch((error: unknown) => {
                    throw new Problem(EXIT.FAILED, `The owner of ${path} cannot be changed.`, {
                      cause: error,
                    });
                  });
              }
              return `owner set to user ${there.uid}: ${list(paths)}`;
            },
          }
        : {}),
    });
  }
  return {
    seen:
      found.length === 0
        ? `only user ${there.uid} and root read the secrets`
        : `${open.length} readable by others, ${found.length - Number(open.length > 0)} other owners`,
    found,
  };
}
