/** Atomic writes: a kill, a full disk or a power cut leaves the complete old or new text. */
import { chmod, mkdir, open, readlink, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EXIT, Problem, codeOf, messageOf } from './problem.ts';

/** Suffix of a file that is not in place yet. None of our globs, nor Caddy's, matches it. */
export const NEW = '.fedi-new';

/** A link's target; undefined: not a link. */
const linkAt = async (path: string): Promise<string | undefined> => readlink(path).catch(() => undefined);

/**
 * Resolves a link to its target, which is written so that the link stays. Throws a Problem if the target does not exist, such as
 * on a disk that is not mounted.
 */
export async function fileAt(path: string): Promise<string> {
  const link = await linkAt(path);
  if (link === undefined) return path;
  try {
    return await realpath(path);
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(code)) throw cannotRead(path, error);
    throw new Problem(EXIT.PREFLIGHT, `${path} is a link to ${link}, which does not exist.`, {
      means: 'A new file in its place might hide the one that you keep elsewhere. Nothing was changed.',
      next: 'Mount or restore the target of the link, or remove the link.',
      cause: error,
    });
  }
}

/** True if others have more access than `mode`. Ignores execution of files, since some file systems show it for every file. */
export const isWider = (found: { mode: number; isDirectory(): boolean }, mode: number): boolean =>
  (found.mode & (found.isDirectory() ? 0o077 : 0o066) & ~mode) !== 0;

const keepsNoModes = (folder: string): Problem =>
  new Problem(EXIT.PREFLIGHT, `${folder} is on a file system without permissions.`, {
    means:
      'On FAT, exFAT, NTFS and some network shares other users of this host could read the secrets of the site. None were written.',
    next: 'Choose a directory on another file system with --dir, such as ext4, XFS or Btrfs.',
  });

/** Sets a mode and reads it back: some file systems refuse it, others ignore it. */
async function setMode(at: Pick<FileHandle, 'chmod' | 'stat'>, mode: number, folder: string): Promise<void> {
  let refused = false;
  try {
    await at.chmod(mode);
  } catch (error) {
    if (codeOf(error) !== 'EPERM') throw error;
    refused = true;
  }
  const found = await at.stat();
  if (isWider(found, mode) || (refused && (found.mode & mode) !== mode)) throw keepsNoModes(folder);
}

const at = (path: string): Pick<FileHandle, 'chmod' | 'stat'> => ({
  chmod: (mode) => chmod(path, mode),
  stat: (() => stat(path)) as FileHandle['stat'],
});

/** Removes access that `mode` does not give to others. True if there was any. */
export async function closeToOthers(path: string, mode: number): Promise<boolean> {
  try {
    if (!isWider(await stat(path), mode)) return false;
    await chmod(path, mode);
    if (isWider(await stat(path), mode)) throw keepsNoModes(dirname(path));
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return false;
    throw cannotWrite(path, error);
  }
}

/**
 * Writes and syncs the new text next to the target of `path`, with its mode from creation. Rename it into place afterwards.
 */
export async function writeNew(path: string, text: string | Buffer, mode: number): Promise<void> {
  const temporary = (await fileAt(path)) + NEW;
  await rm(temporary, { force: true });
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', mode);
    // The umask may have removed bits that a container needs (0644 under umask 077), so set the mode again.
    await setMode(handle, mode, dirname(temporary));
    // FileHandle.writeFile continues after short writes, which a nearly full disk gives without an error.
    await handle.writeFile(text);
    await handle.sync();
    const { size } = await handle.stat();
    if (size !== Buffer.byteLength(text))
      throw new Error(`only ${size} of ${Buffer.byteLength(text)} bytes were written`);
  } catch (error) {
    await handle?.close();
    handle = undefined;
    await rm(temporary, { force: true });
    throw cannotWrite(path, error);
  } finally {
    await handle?.close();
  }
}

/** Makes a rename in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes one file atomically. For a set of files see files.ts. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  await writeNew(path, text, mode);
  const target = await fileAt(path);
  try {
    await rename(target + NEW, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(target + NEW, { force: true });
    throw cannotWrite(path, error, 'It holds the complete old or new text.');
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

const REASONS: Readonly<Record<string, { what: string; next: string }>> = {
  ENOSPC: { what: 'the disk is full', next: 'Free some space and run this again.' },
  EDQUOT: { what: 'the disk quota is used up', next: 'Free some space and run this again.' },
  EROFS: {
    what: 'the file system is read-only',
    next: 'Choose another directory with --dir, or mount it writable.',
  },
  EACCES: {
    what: 'permission was denied',
    next: 'Run this as the owner of the directory, or choose another with --dir.',
  },
  EPERM: {
    what: 'permission was denied',
    next: 'Run this as the owner of the directory, or choose another with --dir.',
  },
  ENOTDIR: { what: 'a part of the path is a file', next: 'Choose another directory with --dir.' },
  ENAMETOOLONG: { what: 'the path is too long', next: 'Choose a shorter one with --dir.' },
};

/** A path as messages show it: a very long one would push the cause out of the line. */
const short = (path: string): string =>
  path.length <= 300 ? path : `${path.slice(0, 200)}…${path.slice(-60)}`;

/** The Problem of a write error. The exit code is 1 for a disk, 4 for missing permission. */
export function cannotWrite(
  path: string,
  error: unknown,
  means = 'What was there before is unchanged.',
): Problem {
  if (error instanceof Problem) return error;
  const code = codeOf(error) ?? '';
  const reason = REASONS[code];
  const permission = ['EROFS', 'EACCES', 'EPERM'].includes(code);
  return new Problem(
    permission ? EXIT.PREFLIGHT : EXIT.FAILED,
    `${short(path)} cannot be written: ${reason?.what ?? messageOf(error)}.`,
    {
      means,
      next: reason?.next ?? 'Fix that and run this again.',
      cause: error,
    },
  );
}

/** The Problem of a read error. */
export function cannotRead(path: string, error: unknown): Problem {
  const code = codeOf(error) ?? '';
  const wrongPath = ['ENAMETOOLONG', 'ENOTDIR'].includes(code);
  return new Problem(
    wrongPath ? EXIT.FAILED : EXIT.PREFLIGHT,
    `${short(path)} cannot be read: ${wrongPath ? REASONS[code]?.what : messageOf(error)}.`,
    {
      means: 'Nothing was changed.',
      next: REASONS[code]?.next ?? 'Run this as the owner of the site directory.',
      cause: error,
    },
  );
}

/** Creates a directory with exactly this mode, whatever the umask; an existing one keeps its own. */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await exists(path)) return;
  await makeFolder(dirname(path), mode);
  try {
    await mkdir(path);
  } catch (error) {
    // Another process created it at the same moment.
    if (codeOf(error) !== 'EEXIST') throw error;
    return;
  }
  try {
    await setMode(at(path), mode, path);
  } catch (error) {
    await rmdir(path).catch(() => undefined);
    throw error;
  }
}
