/** Refuses to act on containers and data of another site. */
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, writeWhole } from '../atomic.ts';
import type { Container } from '../docker/engine.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem } from '../problem.ts';

/** Directory of the site when it last ran; that of a copy differs. */
const PLACE = join(OWN, 'directory');

export const keepPlace = async (folder: string): Promise<void> =>
  writeWhole(join(folder, PLACE), `${await realpath(folder)}\n`, 0o600);

/** Name of the Compose project in a directory; undefined: there is none. */
const projectIn = async (folder: string): Promise<string | undefined> =>
  /^name: (\S+)$/m.exec(await readFile(join(folder, 'compose.yaml'), 'utf8').catch(() => ''))?.[1];

/**
 * Refuses a Compose project that belongs to another site directory: by its containers, or because this directory is a copy.
 * @param next what to do instead; absent: choose another name
 */
export async function refuseForeign(
  folder: string,
  project: string,
  containers: readonly Container[],
  next?: (there: string) => string,
): Promise<void> {
  const here = await realpath(folder).catch(() => folder);
  const last = (await readFile(join(folder, PLACE), 'utf8').catch(() => '')).trim();
  const places = containers.flatMap(({ labels }) => labels['com.docker.compose.project.working_dir'] ?? []);
  // Another site may be there by now, as after a restore on another host.
  if (last !== '' && (await projectIn(last)) === project) places.push(last);
  for (const there of places) {
    // A directory that was moved leaves none behind.
    if (there === here || !(await exists(join(there, 'compose.yaml')))) continue;
    throw new Problem(EXIT.REFUSED, `The Compose project ${project} on this engine belongs to ${there}.`, {
      means: 'Two sites with the same name would share containers and volumes. Nothing was changed.',
      next:
        next?.(there) ??
        'Choose another --name for this site, or work in that directory with --dir. If this is a copy that you do not need, delete the directory.',
    });
  }
}
