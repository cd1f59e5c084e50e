/** Writing files so that a kill, a full disk or a power cut leaves the old text or the new one, never a part. */
import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EXIT, Problem, codeOf, messageOf } from './problem.ts';

/** Ends the name of a file that is not in place yet. No glob of ours or of Caddy's matches it. */
export const NEW = '.fedi-new';

/** Writes `path + NEW` completely and to the disk, with its mode from creation. Rename it into place afterwards. */
export async function writeNew(path: string, text: string | Buffer, mode: number): Promise<void> {
  const temporary = path + NEW;
  await rm(temporary, { force: true });
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', mode);
    // An umask may have taken bits away that a container needs (0644 under umask 077), so the mode is set again.
    await handle.chmod(mode);
    // FileHandle.writeFile goes on after short writes; a nearly full disk gives those without an error.
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

/** One file, whole. For a set of files see files.ts. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  await writeNew(path, text, mode);
  try {
    await rename(path + NEW, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(path + NEW, { force: true });
    throw cannotWrite(path, error, 'It holds the old text or the new one, whole.');
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

/** A write error in words. The exit code is 1 for a disk, 4 where the person lacks permission. */
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
    `${path} cannot be written: ${reason?.what ?? messageOf(error)}.`,
    {
      means,
      next: reason?.next ?? 'Mend that and run this again.',
      cause: error,
    },
  );
}

/** A read error in words. */
export function cannotRead(path: string, error: unknown): Problem {
  const code = codeOf(error) ?? '';
  const tooLong = code === 'ENAMETOOLONG';
  return new Problem(
    tooLong ? EXIT.FAILED : EXIT.PREFLIGHT,
    `${path} cannot be read: ${tooLong ? REASONS[code]?.what : messageOf(error)}.`,
    {
      means: 'Nothing was changed.',
      next: REASONS[code]?.next ?? 'Run this as the owner of the site directory.',
      cause: error,
    },
  );
}

/** Makes a folder with exactly this mode, whatever the umask; one that is there keeps its own. */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await exists(path)) return;
  await makeFolder(dirname(path), mode);
  try {
    await mkdir(path);
    await chmod(path, mode);
  } catch (error) {
    // Somebody else made it in the same moment.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}
