/** `reset` and `uninstall`: removes containers, data and files. */
import { readdir, realpath, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { dataOf, dataStay, placesBefore } from '../apply/data.ts';
import { readManifest } from '../apply/files.ts';
import { removeVariables } from '../apply/goodbye.ts';
import { takeLock } from '../apply/runlock.ts';
import { readRecord } from '../backup-record.ts';
import type { Config } from '../config/config.ts';
import { MAINTAIN_METRICS, OWN, PICTURES } from '../layout.ts';
import { readMediaRecord } from '../media-record.ts';
import { LOCK_FILE } from '../plan/lock.ts';
import { CONFIG_FILE } from '../answers/sources.ts';
import { EXIT, Problem } from '../problem.ts';
import { STORE_FILE } from '../secrets/store.ts';
import type { CommandContext } from './command.ts';
import type { Site } from './find-site.ts';

/**
 * Removes the containers, their volumes if `data` is set, then the files. Names what stays: the user's own directories, servers
 * and files.
 */
export async function removeSite(
  context: CommandContext,
  { folder, engine, config }: Site,
  what: string,
  data: boolean,
  files: () => Promise<void>,
): Promise<void> {
  const { progress } = context;
  const elsewhere = data ? await dataElsewhere(folder, config) : [];
  const places = data ? [...(await dataOf(engine, config.name)).values()].flat() : [];
  const devices = places.flatMap(({ device }) => device ?? []);
  const backups = data ? await placesWithBackups(folder) : [];
  const release = await takeLock(folder);
  context.onLocked(release);
  progress.start('down', `Removing ${what}`);
  try {
    // Later nothing shows which anonymous volumes were theirs.
    const anonymous = (await engine.containers(config.name)).flatMap((one) => one.anonymous ?? []);
    // By the project's name and outside the directory, so that no missing or damaged file stops it.
    const result = await engine.compose(
      '/',
      ['--project-name', config.name, 'down', '--remove-orphans', ...(data ? ['--volumes'] : [])],
      (line) => progress.update(line),
    );
    if (result.code !== 0)
      throw new Problem(
        EXIT.FAILED,
        `docker compose down failed: ${result.stderr.trim().split('\n').at(-1) ?? ''}`,
        { next: 'Fix the cause, then run the same command again.' },
      );
    // Networks of earlier settings are not in the Compose file.
    await engine.removeNetworks(config.name, () => true);
    if (data) {
      await engine.removeUnused(anonymous);
      await engine.removeVolumes(config.name);
    }
    if (data) for (const { id } of config.apps) await removeVariables(folder, id);
    await files();
    progress.done();
  } catch (error) {
    progress.fail();
    throw error;
  } finally {
    await release();
  }
  for (const device of devices) progress.say(`  ${dataStay(device).replace(/^d/, 'D')}`);
  for (const place of elsewhere) progress.say(`  Data stay in ${place}.`);
  for (const text of backups) progress.say(`  Backups stay in ${text}; the recovery sheet opens them.`);
  progress.emit({ event: 'left', directories: devices, servers: elsewhere });
}

/** Repositories with backups of the site. */
export const placesWithBackups = async (folder: string): Promise<string[]> =>
  Object.entries((await readRecord(folder)).repositories).flatMap(([text, { last }]) =>
    last === undefined ? [] : [text],
  );

/**
 * Refuses to delete the only copy of the password of the site's backups. Exit 3.
 */
export async function refuseUnreadableBackups(folder: string): Promise<void> {
  const { sheet } = await readRecord(folder);
  const places = await placesWithBackups(folder);
  if (places.length === 0 || sheet !== undefined) return;
  throw new Problem(
    EXIT.REFUSED,
    `The password of the backups in ${places.join(', ')} is only in this site.`,
    {
      means: 'Without it nobody can open them. Nothing was removed.',
      next: 'Write the recovery sheet first: `fedi-setup backup sheet FILE`, in another directory.',
    },
  );
}

/** External databases, Redis servers and buckets with data of the site, for messages. */
async function dataElsewhere(folder: string, config: Config): Promise<string[]> {
  const servers = Object.values(await placesBefore(folder)).filter((one) => !one.startsWith('the volume '));
  const { moves, old } = await readMediaRecord(folder);
  const buckets = [
    ...config.apps.flatMap(({ bucket }) => bucket ?? []),
    ...[...Object.values(moves), ...Object.values(old)].map(({ bucket }) => bucket),
  ];
  return [...new Set([...servers, ...buckets.map(({ name }) => `the bucket ${name}`)])];
}

/** Directories that may be left without a file. */
const MAY_BE_EMPTY = [PICTURES];

/** Removes generated files, secrets last, and empty directories. Keeps `stay` and the user's own files. */
export async function removeOurs(folder: string, stay: readonly string[] = []): Promise<void> {
  const { files } = await readManifest(folder);
  const remove = async (path: string): Promise<void> => {
    if (stay.includes(path)) return;
    const target = await realpath(join(folder, path)).catch(() => undefined);
    // If the user replaced our file by a link, its target is ours too.
    if (target !== undefined && target !== join(folder, path) && (await stat(target)).isFile())
      await rm(target);
    await rm(join(folder, path), { recursive: true, force: true });
  };
  const ours = [...Object.keys(files), MAINTAIN_METRICS, CONFIG_FILE, LOCK_FILE, OWN, STORE_FILE];
  for (const path of ours) await remove(path);
  const folders = new Set(MAY_BE_EMPTY);
  for (const path of ours)
    for (let inner = dirname(path); inner !== '.'; inner = dirname(inner)) folders.add(inner);
  // Deepest first; a directory with files of the user is not empty and stays.
  for (const inner of [...[...folders].toSorted((a, b) => b.length - a.length), '.']) {
    const path = join(folder, inner);
    const left = await readdir(path).catch(() => ['?']);
    if (left.length === 0) await rm(path, { recursive: true, force: true });
  }
}
