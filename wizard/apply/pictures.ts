/** Pictures that the user named: read, checked and copied into the site, so that the file may be deleted. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf } from '../apps/index.ts';
import { pictureKey } from '../apps/app.ts';
import type { Config } from '../config/config.ts';
import { parsePicture } from '../config/picture.ts';
import { PICTURES } from '../layout.ts';
import { codeOf, messageOf } from '../problem.ts';
import { runningAnswers } from './generations.ts';

/** A larger file is not read. */
const MOST_BYTES = 64 * 1024 ** 2;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'you may not read it',
  EPERM: 'you may not read it',
};

async function read(path: string): Promise<Buffer> {
  const found = await stat(path);
  // Reading a pipe may never end.
  if (!found.isFile()) throw new Error('it is not a file');
  const { size } = found;
  if (size > MOST_BYTES) throw new Error(`it is too large (${Math.round(size / 1024 ** 2)} MiB)`);
  return readFile(path);
}

export interface Pictures {
  /** By path in the site. */
  readonly files: Readonly<Record<string, Buffer>>;
  /** Errors in the named pictures, in sentences. */
  readonly problems: readonly string[];
}

/** @param folder the site directory, which may not exist yet */
export async function readPictures(folder: string, { apps }: Config): Promise<Pictures> {
  const files: Record<string, Buffer> = {};
  const problems: string[] = [];
  for (const { id, pictures } of apps) {
    for (const spec of appOf(id).pictures ?? []) {
      const path = pictures[spec.name];
      if (path === undefined) continue;
      let file: Buffer;
      try {
        file = await read(path);
      } catch (error) {
        // Our copy is of the named file as long as the answer has not changed.
        const [copy] = (await readdir(join(folder, PICTURES)).catch(() => [] as string[])).filter((name) =>
          name.startsWith(`${id}-${spec.name}.`),
        );
        if (copy === undefined || (await runningAnswers(folder))?.[pictureKey(id, spec)] !== path) {
          problems.push(
            `${spec.what}: ${path} cannot be read: ${REASONS[codeOf(error) ?? ''] ?? messageOf(error)}.`,
          );
          continue;
        }
        file = await readFile(join(folder, PICTURES, copy));
      }
      const picture = parsePicture(file);
      const problem = picture === undefined ? 'is not a complete JPEG or PNG picture' : spec.problem(picture);
      if (problem !== undefined) problems.push(`${spec.what}: ${path} ${problem}.`);
      else if (picture !== undefined) files[`${PICTURES}/${id}-${spec.name}.${picture.type}`] = file;
    }
  }
  return { files, problems };
}
