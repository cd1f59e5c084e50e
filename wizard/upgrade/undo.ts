/** Saves the previous version before an upgrade, and restores it: files of the site, databases and queues. */
import { copyFile, mkdir, readFile, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { appOf } from '../apps/index.ts';
import { readManifest, recover } from '../apply/files.ts';
import { answersOf, readGenerations } from '../apply/generations.ts';
import { UNDO, copiesOf, hasDumps, removeSaved, undoVolume, upgradedApps } from '../apply/upgrading.ts';
import type { Upgrading } from '../apply/upgrading.ts';
import { HIDDEN_COMPOSE, hideCompose, showCompose } from '../apply/unfinished.ts';
import { configOf } from '../answers/config.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource } from '../answers/sources.ts';
import { exists, writeWhole } from '../atomic.ts';
import { dumpTo } from '../backup/backup.ts';
import { checkSpace } from '../backup/space.ts';
import type { BackupSite } from '../backup/backup.ts';
import { emptyVolumes, load } from '../backup/restore.ts';
import { dumpsOf, readCompose } from '../backup/set.ts';
import type { AppDump, Manifest } from '../backup/set.ts';
import type { AppConfig } from '../config/config.ts';
import { OWN } from '../layout.ts';
import { LOCK_FILE, lockedReference, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { STORE_FILE, Store } from '../secrets/store.ts';
import { isOf } from '../stack/compose.ts';
import { copyVolume } from './copies.ts';
import { keepState, restoreExternal } from './external.ts';
import { restoreTags } from './images.ts';

const MANIFEST_FILE = join(OWN, 'manifest.json');
/** fedi.yaml with the answers that an upgrade would have applied. */
const EDITED_FILE = 'fedi.yaml.edited';
/** Files that the manifest does not list. */
const OTHERS = [CONFIG_FILE, LOCK_FILE, STORE_FILE, MANIFEST_FILE];

/** Services of an app that an upgrade stops: all but its servers, which are dumped. */
export function servicesToStop({ id, options }: AppConfig, services: readonly string[]): string[] {
  const servers = (appOf(id).servers?.(options) ?? []).map(({ dump }) => dump.service);
  return services.filter((service) => isOf(id, service) && !servers.includes(service));
}

/** What an undo loads into containers. */
const dumpsToLoad = (apps: readonly AppConfig[], store: Store): AppDump[] =>
  dumpsOf(apps, store).filter(({ service }) => service !== undefined);

/**
 * Saves files and dumps of apps, whose writers are stopped. Throws a Problem; nothing is changed then.
 * @param withData the new version changes the data
 * @param clients images that dump, if they are not those of the site
 * @returns the dumps
 */
export async function saveVersion(
  site: BackupSite,
  apps: readonly AppConfig[],
  progress: Progress,
  withData: boolean,
  clients: Lock = {},
): Promise<Manifest['dumps']> {
  const { folder, engine, config } = site;
  await removeSaved(folder, config.name, engine);
  const [store, lock, compose] = [
    await Store.open(folder),
    { ...(await readLock(folder)), ...clients },
    await readCompose(folder),
  ];
  const volume = undoVolume(config.name);
  const dumps = withData ? dumpsOf(apps, store) : [];
  const done: Manifest['dumps'][number][] = [];
  if (withData) await engine.createVolume(volume, config.name, 'undo');
  await checkSpace(site, dumps, lockedReference(lock['caddy'] as (typeof lock)[string]));
  for (const dump of dumps)
    done.push(
      await withLine(progress, `keep.${dump.file}`, `Dump of ${dump.what}`, () =>
        dumpTo(site, store, lock, compose, volume, dump),
      ),
    );
  if (withData) await keepState(site, apps, store);
  const { files } = await readManifest(folder);
  for (const path of [...Object.keys(files), ...OTHERS]) {
    if (!(await exists(join(folder, path)))) continue;
    await mkdir(join(folder, UNDO, dirname(path)), { recursive: true, mode: 0o700 });
    await copyFile(join(folder, path), join(folder, UNDO, path));
  }
  return done;
}

/** Throws a Problem if what was saved is gone: without it, the data must not be touched. */
async function refuseLost({ folder, engine, config }: BackupSite, upgrading: Upgrading): Promise<void> {
  const needed = [
    ...(hasDumps(upgrading) ? [undoVolume(config.name)] : []),
    ...Object.values(copiesOf(upgrading)),
  ];
  let isThere = await exists(join(folder, UNDO, MANIFEST_FILE));
  for (const volume of needed) isThere &&= (await engine.volume(volume)) !== undefined;
  if (isThere) return;
  throw new Problem(EXIT.FAILED, 'The files or dumps of the previous version are gone.', {
    means: 'They were removed during the upgrade. The data were not touched.',
    next: 'Restore the backup made before the upgrade: `fedi-setup backup list` shows it, `fedi-setup restore --at ID` restores it.',
  });
}

/**
 * Restores files and data as they were saved. Can be repeated after it was interrupted. The caller applies the site afterwards.
 * Throws DatabaseChanged if an external database was changed and cannot be restored.
 */
export async function restoreVersion(
  site: BackupSite,
  upgrading: Upgrading,
  progress: Progress,
): Promise<void> {
  const { withData, images } = upgrading;
  const ids = upgradedApps(upgrading);
  const changes = (service: string): boolean =>
    images?.services.includes(service) === true ||
    ((images === undefined || withData) && ids.some((app) => isOf(app, service)));
  const {
    folder,
    engine,
    config: { name },
  } = site;
  await refuseLost(site, upgrading);
  await withLine(progress, 'undo.stop', 'New version stopped', async () => {
    for (const { service, id } of await engine.containers(name))
      if (changes(service)) await engine.removeContainer(id);
  });
  await restoreExternal(site, upgrading, progress);
  await withLine(progress, 'undo.files', 'Configuration files of the previous version', () =>
    restoreFiles(folder),
  );
  await hideCompose(folder);
  const { source } = (await savedSource(folder)) ?? {};
  const config = configOf((await resolve(source === undefined ? [] : [source])).answers);
  const [store, lock] = [await Store.open(folder), await readLock(folder)];
  await restoreTags(engine, lock);
  const compose = await readCompose(folder, HIDDEN_COMPOSE);
  const apps = config.apps.filter(({ id }) => ids.includes(id));
  const image = lockedReference(lock['caddy'] as (typeof lock)[string]);
  const opened = { config, store, lock, compose };
  const kept = copiesOf(upgrading);
  const dumps = (hasDumps(upgrading) ? dumpsToLoad(apps, store) : []).filter(
    ({ service }) => kept[service ?? ''] === undefined,
  );
  for (const [key, old] of Object.entries(kept)) {
    const volume = compose.volumes[key]?.name ?? '';
    await withLine(progress, `undo.${key}`, `The old data of ${key}`, async () => {
      await emptyVolumes({ engine, image }, opened, [key]);
      await copyVolume(engine, image, old, volume);
    });
  }
  await emptyVolumes(
    { engine, image },
    opened,
    dumps.flatMap(({ service }) => service ?? []),
  );
  for (const dump of dumps)
    await withLine(progress, `undo.${dump.file}`, dump.what.replace(/^t/, 'T'), () =>
      load({ folder, engine, keepsQueues: true }, opened, undoVolume(name), dump),
    );
  await showCompose(folder);
}

/**
 * Restores the answers of the running site. In fedi.yaml the administrator may have chosen the new version, which the next run
 * would install again; that file is kept.
 */
export async function restoreAnswers(folder: string, progress: Progress): Promise<void> {
  const running = (await readGenerations(folder)).at(-1);
  const path = join(folder, CONFIG_FILE);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (running === undefined || text === undefined) return;
  const [now, before] = [await answersOf({ text }), await answersOf(running)];
  if (isDeepStrictEqual(now, before)) return;
  await writeWhole(join(folder, OWN, EDITED_FILE), text, 0o600);
  await writeWhole(path, running.text, (await stat(path)).mode & 0o777);
  progress.say(
    `  ${CONFIG_FILE} has the answers from before the upgrade again. Yours are in ${join(OWN, EDITED_FILE)}.`,
  );
}

async function restoreFiles(folder: string): Promise<void> {
  // An interrupted run may have committed its files.
  await recover(folder);
  const saved = join(folder, UNDO);
  const before = await readManifest(saved);
  const after = await readManifest(folder);
  for (const path of Object.keys(after.files))
    if (before.files[path] === undefined) await rm(join(folder, path), { force: true });
  for (const path of [...Object.keys(before.files), ...OTHERS]) {
    if (!(await exists(join(saved, path)))) continue;
    const { mode } = await stat(join(saved, path));
    await writeWhole(join(folder, path), await readFile(join(saved, path), 'utf8'), mode & 0o777);
  }
  // Otherwise its images would count as having migrated the data.
  for (const one of await readdir(join(folder, OWN, 'generations')))
    if (Number(one) > before.generation)
      await rm(join(folder, OWN, 'generations', one), { recursive: true, force: true });
  await rm(join(folder, HIDDEN_COMPOSE), { force: true });
}
