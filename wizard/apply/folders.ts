/** Data directories that the user chose: created, given to the right user, never moved by a changed answer. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cannotWrite } from '../atomic.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { bindOptions } from '../render/site.ts';
import type { RenderedSite } from '../render/site.ts';
import { parseFolder } from '../config/parse.ts';
import { deepest, otherWritersOf, thisCaller } from './owner.ts';
import type { Caller } from './owner.ts';

type DataFolders = Pick<RenderedSite, 'compose' | 'dataFolders'>;

/** Refuses answers that do not match the location of existing data. Exit 3. */
export async function refuseMoved(engine: Engine, { compose, dataFolders }: RenderedSite): Promise<void> {
  for (const [key, { name }] of Object.entries(compose.volumes)) {
    const there = await engine.volume(name);
    const wanted = dataFolders[key]?.device;
    if (there === undefined || there.device === wanted) continue;
    const from = there.device ?? `the volume ${name}`;
    const copy =
      wanted === undefined
        ? `docker volume create ${name} && docker run --rm -v ${there.device}:/from -v ${name}:/to IMAGE cp -a /from/. /to/`
        : `sudo cp -a ${there.device ?? `$(docker volume inspect -f '{{.Mountpoint}}' ${name})`}/. ${wanted}/`;
    throw new Problem(
      EXIT.REFUSED,
      `The data of ${key} are in ${from}; the answers now say ${wanted ?? 'a Docker volume'}.`,
      {
        means: 'The app would start without its data. Nothing was changed.',
        next: `Change the answer back, or move the data: \`docker compose down\`, ${wanted === undefined ? `\`docker volume rm ${name}\` (it only points to the directory), \`${copy}\`` : `\`${copy}\`, \`docker volume rm ${name}\``}, then run this again.`,
      },
    );
  }
}

/**
 * Refuses new data directories, which are given to an app's user, if a link on their path points into the system or if others
 * can change where it points. Exit 3.
 */
export async function refusePlaces(
  engine: Engine,
  { compose, dataFolders }: DataFolders,
  caller?: Caller,
): Promise<void> {
  const who = caller ?? (await thisCaller());
  for (const [key, { device }] of Object.entries(dataFolders)) {
    if ((await engine.volume(compose.volumes[key]?.name ?? '')) !== undefined) continue;
    const { there, rest } = await deepest(device);
    const parsed = parseFolder(join(there, rest));
    const problems =
      'problem' in parsed
        ? [`It points to ${join(there, rest)}. ${parsed.problem}`]
        : await otherWritersOf(device, who, true);
    if (problems.length === 0) continue;
    throw new Problem(
      EXIT.REFUSED,
      `${device} cannot hold the data of ${key}:\n${problems.map((line) => `  - ${line}`).join('\n')}`,
      {
        means:
          'The app’s user becomes the owner of this directory. If others can redirect the path, that could be any directory. Nothing was changed.',
        next: 'Choose a directory below one that only root or you can change.',
      },
    );
  }
}

/** Creates bind volumes and their directories, which belong to the app's user. `image` has `chown`. */
export async function makeDataFolders(engine: Engine, site: DataFolders, image: string): Promise<void> {
  const { compose, dataFolders } = site;
  for (const [key, { device, owner }] of Object.entries(dataFolders)) {
    const name = compose.volumes[key]?.name ?? '';
    if ((await engine.volume(name)) !== undefined) continue;
    try {
      await mkdir(device, { recursive: true });
      if (!(await stat(device)).isDirectory()) throw new Error('it is not a directory');
    } catch (error) {
      throw cannotWrite(device, error, `It is the data directory of ${key}.`);
    }
    // Check again: the path may have changed since.
    await refusePlaces(engine, site);
    // Done by the engine, since the user need not be root. Docker itself does not do it on a disk with lost+found.
    const { code, stderr } = await runOneShot(engine, {
      image,
      argv: ['chown', owner, '/data'],
      mounts: [`${device}:/data`],
      user: '0:0',
      capabilities: ['CHOWN'],
    });
    if (code !== 0) {
      throw new Problem(
        EXIT.FAILED,
        `The owner of ${device} could not be changed to ${owner}: ${stderr.trim()}`,
        {
          means: `The app writes its data as that user. Nothing else was changed.`,
          next: `Run \`sudo chown ${owner} ${device}\`, or choose a directory on a file system that supports ownership.`,
        },
      );
    }
    await engine.createVolume(name, compose.name, key, bindOptions(device));
  }
}
