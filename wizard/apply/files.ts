/**
 * Writes the files of a site as one set. First all new files are complete on the disk; then the journal `.fedi/commit.json`
 * commits them; then they are renamed. After a kill, the next run completes a committed set and discards any other.
 */
import { createHash } from 'node:crypto';
import { chmod, readFile, readdir, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CLOSED, OWN, TRIAL, PICTURES } from '../layout.ts';
import type { PlannedFile } from '../layout.ts';
import type { Change } from '../plan/diff.ts';
import { aboutBytes } from '../config/picture.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';
import {
  NEW,
  cannotRead,
  cannotWrite,
  closeToOthers,
  exists,
  fileAt,
  isWider,
  makeFolder,
  syncFolder,
  writeNew,
  writeWhole,
} from '../atomic.ts';

interface Manifest {
  readonly generation: number;
  /** Path → hash of what we wrote, and of the user's version if they chose to keep it. */
  readonly files: Readonly<Record<string, { readonly hash: string; readonly kept?: string }>>;
}

interface Commit {
  readonly manifest: Manifest;
  readonly renames: readonly { readonly path: string; readonly hash: string }[];
  readonly removals: readonly string[];
}

const hash = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');
const contentOf = ({ bytes, text }: PlannedFile): string | Buffer => bytes ?? text;

const own = (folder: string, name: string): string => join(folder, OWN, name);

async function readMaybe(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw cannotRead(path, error);
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function isManifest(value: unknown): value is Manifest {
  if (!isObject(value) || !isObject(value['files'])) return false;
  const files = Object.values(value['files']);
  return (
    Number.isInteger(value['generation']) &&
    files.every((file) => isObject(file) && typeof file['hash'] === 'string')
  );
}

function isCommit(value: unknown): value is Commit {
  if (!isObject(value)) return false;
  const { manifest, renames, removals } = value;
  return (
    isManifest(manifest) &&
    Array.isArray(renames) &&
    renames.every((one) => isObject(one) && typeof one['path'] === 'string') &&
    Array.isArray(removals) &&
    removals.every((path) => typeof path === 'string')
  );
}

async function readJson<T>(path: string, isValid: (value: unknown) => value is T): Promise<T | undefined> {
  const text = await readMaybe(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text.toString());
    if (isValid(value)) return value;
  } catch {
    // The Problem below covers it.
  }
  throw new Problem(EXIT.FAILED, `${path} is damaged.`, {
    means: 'It lists the generated files of the site. Nothing was changed.',
    next: 'Remove it and run this again. Existing files then count as changed by hand.',
  });
}

/** Creates the site directory, and `.fedi` with mode 0700 from creation, whatever the umask. */
export async function makeFolders(folder: string): Promise<void> {
  try {
    const isNew = !(await exists(folder));
    await makeFolder(folder, 0o755);
    try {
      await makeFolder(join(folder, OWN), 0o700);
    } catch (error) {
      if (isNew) await rmdir(folder).catch(() => undefined);
      throw error;
    }
    await chmod(join(folder, OWN), 0o700);
  } catch (error) {
    throw cannotWrite(folder, error);
  }
}

/** Removes other users' access to files with secrets. Returns the names of those that had it. */
export async function closeSecrets(folder: string): Promise<string[]> {
  const opened: string[] = [];
  for (const [name, mode] of CLOSED) if (await closeToOthers(join(folder, name), mode)) opened.push(name);
  return opened;
}

export async function readManifest(folder: string): Promise<Manifest> {
  return (await readJson(own(folder, 'manifest.json'), isManifest)) ?? { generation: 0, files: {} };
}

/** Paths of generated files that the user changed and chose to keep. */
export async function keptFiles(folder: string): Promise<string[]> {
  return Object.entries((await readManifest(folder)).files).flatMap(([path, { kept }]) =>
    kept === undefined ? [] : [path],
  );
}

/** False if others have more access than planned: a secret that became readable is written again. */
async function hasMode(path: string, mode: number): Promise<boolean> {
  return !isWider(await stat(path), mode);
}

/**
 * Compares the planned set with the disk.
 * @param discardKept edited files that the user once chose to keep count as edited again
 */
export async function compare(
  folder: string,
  planned: readonly PlannedFile[],
  discardKept = false,
): Promise<Change[]> {
  const manifest = await readManifest(folder);
  const changes: Change[] = [];
  for (const file of planned) {
    const there = await readMaybe(join(folder, file.path));
    const found = there && hash(there);
    const wanted = hash(contentOf(file));
    const known = manifest.files[file.path];
    const isAccepted = !discardKept && found !== undefined && known?.kept === found && known.hash === wanted;
    const same = (found === wanted && (await hasMode(join(folder, file.path), file.mode))) || isAccepted;
    const edited =
      !same && file.generated && found !== undefined && found !== wanted && known?.hash !== found;
    changes.push({
      path: file.path,
      kind: same ? 'same' : there === undefined ? 'create' : 'update',
      edited,
      keepable: edited && known?.hash === wanted,
      before: there && (file.bytes === undefined ? there.toString() : aboutBytes(there)),
      found,
      file,
    });
  }
  for (const path of Object.keys(manifest.files)) {
    if (planned.some((file) => file.path === path)) continue;
    const there = await readMaybe(join(folder, path));
    if (there === undefined) continue;
    const edited = manifest.files[path]?.hash !== hash(there);
    changes.push({
      path,
      kind: 'remove',
      edited,
      // Nothing uses it any more.
      keepable: edited,
      before: path.startsWith(`${PICTURES}/`) ? aboutBytes(there) : there.toString(),
      found: hash(there),
      file: undefined,
    });
  }
  return changes;
}

/** Writes the set. `keep` names edited files to leave alone. Returns the number of the new generation. */
export async function commit(
  folder: string,
  changes: readonly Change[],
  keep: ReadonlySet<string>,
): Promise<number> {
  const before = await readManifest(folder);
  const generation = before.generation + 1;
  const files: Record<string, { hash: string; kept?: string }> = {};
  const renames: { path: string; hash: string }[] = [];
  const removals: string[] = [];
  for (const change of changes) {
    if (change.file === undefined) {
      if (keep.has(change.path)) continue;
      removals.push(change.path);
      continue;
    }
    const wanted = hash(contentOf(change.file));
    const kept =
      change.found !== undefined &&
      change.found !== wanted &&
      (keep.has(change.path) || change.kind === 'same');
    if (change.file.generated)
      files[change.path] = kept ? { hash: wanted, kept: change.found ?? '' } : { hash: wanted };
    if (change.kind !== 'same' && !kept) renames.push({ path: change.path, hash: wanted });
  }
  const manifest: Manifest = { generation, files };

  try {
    for (const { path } of renames) {
      const file = changes.find((change) => change.path === path)?.file;
      if (file === undefined) continue;
      const { mode, secret } = file;
      const parent = join(folder, dirname(path));
      await makeFolder(parent, secret ? 0o700 : 0o755);
      await writeNew(join(folder, path), contentOf(file), mode);
    }
    await keepGeneration(folder, generation, changes);
    await writeWhole(
      own(folder, 'commit.json'),
      JSON.stringify({ manifest, renames, removals } satisfies Commit),
      0o600,
    );
  } catch (error) {
    // Once commit.json exists the set is committed, even if a later write failed: the next run completes it.
    if (!(await exists(own(folder, 'commit.json')))) await discardNew(folder);
    throw cannotWrite(folder, error);
  }
  await finish(folder).catch((error: unknown) => {
    throw cannotWrite(
      folder,
      error,
      'The new files are complete on the disk; the next run puts the rest in place.',
    );
  });
  return generation;
}

/** Copies answers, lock and generated files without secrets, for `rollback`. */
async function keepGeneration(folder: string, generation: number, changes: readonly Change[]): Promise<void> {
  const target = own(folder, join('generations', String(generation).padStart(4, '0')));
  await rm(target, { recursive: true, force: true });
  for (const { file } of changes) {
    // A picture is derived from an answer; do not copy it into every generation.
    if (file === undefined || file.secret || file.bytes !== undefined) continue;
    await makeFolder(join(target, dirname(file.path)), 0o700);
    await writeWhole(join(target, file.path), file.text, file.mode);
  }
}

/** Completes a committed set: every rename once, then the manifest. Idempotent. */
async function finish(folder: string): Promise<boolean> {
  const pending = await readJson(own(folder, 'commit.json'), isCommit);
  if (pending === undefined) return false;
  for (const { path, hash: wanted } of pending.renames) {
    const target = await fileAt(join(folder, path));
    if (await exists(target + NEW)) await rename(target + NEW, target);
    else if (hash((await readMaybe(target)) ?? '') !== wanted) {
      throw new Problem(EXIT.FAILED, `${target} is not the committed file, and the new one is gone.`, {
        means: 'Somebody changed the directory after a run was interrupted.',
        next: `Remove ${own(folder, 'commit.json')} and run this again: all files are written again.`,
      });
    }
  }
  for (const path of pending.removals) {
    await rm(join(folder, path), { force: true });
    // `uninstall` does not know directories of earlier files. One that is not empty stays.
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent))
      await rmdir(join(folder, parent)).catch(() => undefined);
  }
  for (const parent of new Set(pending.renames.map(({ path }) => dirname(path))))
    await syncFolder(join(folder, parent));
  await writeWhole(own(folder, 'manifest.json'), `${JSON.stringify(pending.manifest, null, 2)}\n`, 0o600);
  await rm(own(folder, 'commit.json'));
  await syncFolder(join(folder, OWN));
  return true;
}

/** The user's own directory below caddy/. */
const CUSTOM = 'custom';

/** Directories with generated files, relative to the site directory. */
const OUR_FOLDERS = ['env', 'caddy', 'trust', OWN];

/** Leftovers of a killed run: uncommitted files, test sets, its own run lock file. */
async function temporaryFiles(folder: string, top = true): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    const isLink = entry.isSymbolicLink();
    // The new file is written next to the target of a link.
    const linkTemp = isLink ? `${await realpath(path).catch(() => path)}${NEW}` : undefined;
    if (linkTemp !== undefined && (await exists(linkTemp))) found.push(linkTemp);
    if (entry.name.endsWith(NEW) || entry.name.startsWith(TRIAL)) found.push(path);
    else if (
      /^lock\.(dead\.)?\d+$/.test(entry.name) &&
      !(await exists(`/proc/${/\d+$/.exec(entry.name)?.[0] ?? ''}`))
    )
      found.push(path);
    else if (
      (entry.isDirectory() || (isLink && top)) &&
      (top ? OUR_FOLDERS.includes(entry.name) : entry.name !== CUSTOM)
    )
      found.push(...(await temporaryFiles(path, false)));
  }
  return found;
}

/** True if a killed run left something for {@link recover}. */
export async function needsRecovery(folder: string): Promise<boolean> {
  // A lock file belongs to a live run, which takeLock detects, or to a dead one.
  if ((await exists(own(folder, 'commit.json'))) || (await exists(own(folder, 'lock')))) return true;
  return (await temporaryFiles(folder)).length > 0;
}

async function discardNew(folder: string): Promise<void> {
  for (const path of await temporaryFiles(folder)) await rm(path, { recursive: true, force: true });
}

/** Restores the old or the new set after a killed run. True if it completed a commit. */
export async function recover(folder: string): Promise<boolean> {
  if (!(await exists(join(folder, OWN)))) return false;
  try {
    const finished = await finish(folder);
    await discardNew(folder);
    return finished;
  } catch (error) {
    throw cannotWrite(folder, error);
  }
}
