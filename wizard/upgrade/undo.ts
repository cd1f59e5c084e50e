/** Keeps the version before an upgrade, and restores it: files of the site, databases and queues. */
import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { appOf } from '../apps/index.ts';
import { readManifest, recover } from '../apply/files.ts';
import { HIDDEN_COMPOSE, hideCompose } from '../apply/unfinished.ts';
import { configOf } from '../answers/config.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource } from '../answers/sources.ts';
import { exists } from '../atomic.ts';
import { checkSpace, dumpTo } from '../backup/backup.ts';
import type { BackupSite } from '../backup/backup.ts';
import { emptyVolumes, load } from '../backup/restore.ts';
import { dumpsOf, readCompose } from '../backup/set.ts';
import type { AppDump } from '../backup/set.ts';
import type { AppConfig } from '../config/config.ts';
import { OWN } from '../layout.ts';
import { LOCK_FILE, lockedReference, readLock } from '../plan/lock.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { STORE_FILE, Store } from '../secrets/store.ts';
import { isOf } from '../stack/compose.ts';

const FOLDER = join(OWN, 'undo');
const MANIFEST = join(OWN, 'manifest.json');
/** Files that the manifest does not list. */
const OTHERS = [CONFIG_FILE, LOCK_FILE, STORE_FILE, MANIFEST];

const volumeOf = ({ config }: Pick<BackupSite, 'config'>): string => `${config.name}_undo`;

/** Services of an app that an upgrade stops: all but its servers, which are dumped. */
export function servicesToStop({ id, options }: AppConfig, services: readonly string[]): string[] {
  const servers = (appOf(id).servers?.(options) ?? []).map(({ dump }) => dump.service);
  return services.filter((service) => isOf(id, service) && !servers.includes(service));
}

const dumpsFor = (app: AppConfig, store: Store): AppDump[] =>
  dumpsOf([app], store).filter(({ service }) => service !== undefined);

/**
 * Keeps files and dumps of an app, whose writers are stopped. Throws a Problem; nothing is changed then.
 * @param withData the new version changes the data
 */
export async function keepBefore(
  site: BackupSite,
  app: AppConfig,
  progress: Progress,
  withData: boolean,
): Promise<void> {
  const { folder, engine } = site;
  await forgetBefore(site);
  const [store, lock, compose] = [
    await Store.open(folder),
    await readLock(folder),
    await readCompose(folder),
  ];
  const volume = volumeOf(site);
  const dumps = withData ? dumpsFor(app, store) : [];
  if (withData) await engine.createVolume(volume, site.config.name, 'undo');
  await checkSpace(engine, lockedReference(lock['caddy'] as (typeof lock)[string]), volume, dumps, compose);
  for (const dump of dumps)
    await withLine(
      progress,
      `keep.${dump.file}`,
      `${dump.what.replace(/^t/, 'T')}, to undo the upgrade`,
      () => dumpTo(site, store, lock, compose, volume, dump),
    );
  const { files } = await readManifest(folder);
  for (const path of [...Object.keys(files), ...OTHERS]) {
    await mkdir(join(folder, FOLDER, dirname(path)), { recursive: true, mode: 0o700 });
    await copyFile(join(folder, path), join(folder, FOLDER, path));
  }
}

/** Removes what was kept. */
export async function forgetBefore(site: BackupSite): Promise<void> {
  const { folder, engine } = site;
  await rm(join(folder, FOLDER), { recursive: true, force: true });
  if ((await engine.volume(volumeOf(site))) !== undefined) await engine.removeVolume(volumeOf(site));
}

/** Restores files and data as they were kept. Can be repeated after it was interrupted. The caller applies the site afterwards. */
export async function restoreBefore(site: BackupSite, appId: string, progress: Progress): Promise<void> {
  const {
    folder,
    engine,
    config: { name },
  } = site;
  await withLine(progress, 'undo.stop', 'New version stopped', async () => {
    for (const { service, id } of await engine.containers(name))
      if (isOf(appId, service)) await engine.removeContainer(id);
  });
  await withLine(progress, 'undo.files', 'Files of the version before', () => restoreFiles(folder));
  await hideCompose(folder);
  const { source } = (await savedSource(folder)) ?? {};
  const config = configOf((await resolve(source === undefined ? [] : [source])).answers);
  const [store, lock] = [await Store.open(folder), await readLock(folder)];
  const compose = await readCompose(folder, HIDDEN_COMPOSE);
  const app = config.apps.find(({ id }) => id === appId) as AppConfig;
  const image = lockedReference(lock['caddy'] as (typeof lock)[string]);
  const opened = { config, store, lock, compose };
  // Without dumps the data were not changed.
  const hasData = (await engine.volume(volumeOf(site))) !== undefined;
  const dumps = hasData ? dumpsFor(app, store) : [];
  await emptyVolumes(
    { engine, image },
    opened,
    dumps.flatMap(({ service }) => service ?? []),
  );
  for (const dump of dumps)
    await withLine(progress, `undo.${dump.file}`, dump.what.replace(/^t/, 'T'), () =>
      load({ folder, engine, keepsQueues: true }, opened, volumeOf(site), dump),
    );
  await rename(join(folder, HIDDEN_COMPOSE), join(folder, 'compose.yaml'));
}

async function restoreFiles(folder: string): Promise<void> {
  // An interrupted run may have committed its files.
  await recover(folder);
  const kept = join(folder, FOLDER);
  const before = await readManifest(kept);
  const after = await readManifest(folder);
  for (const path of Object.keys(after.files))
    if (before.files[path] === undefined) await rm(join(folder, path), { force: true });
  for (const path of [...Object.keys(before.files), ...OTHERS]) {
    const copy = join(folder, `${path}.undo`);
    await copyFile(join(kept, path), copy);
    await rename(copy, join(folder, path));
  }
  // Otherwise its images would count as having migrated the data.
  for (const one of await readdir(join(folder, OWN, 'generations')))
    if (Number(one) > before.generation)
      await rm(join(folder, OWN, 'generations', one), { recursive: true, force: true });
  await rm(join(folder, HIDDEN_COMPOSE), { force: true });
}

/** Whether there is something to restore. */
export const isKept = (folder: string): Promise<boolean> => exists(join(folder, FOLDER, MANIFEST));
