/** Restores a site, or some of its apps, from a snapshot. */
import { mkdir, readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf } from '../apps/index.ts';
import { tagOf } from '../apps/majors.ts';
import { configOf } from '../answers/config.ts';
import { resolve } from '../answers/resolve.ts';
import { savedSource } from '../answers/sources.ts';
import { shellProgram } from '../assets.ts';
import { writeWhole } from '../atomic.ts';
import { readRecord, writeRecord } from '../backup-record.ts';
import { keepPlace, refuseForeign } from '../apply/foreign.ts';
import { makeDataFolders } from '../apply/folders.ts';
import { refuseGoodbye } from '../apply/goodbye.ts';
import { fetchImages, lockOf } from '../apply/images.ts';
import { withoutLostBuilds } from '../apply/older.ts';
import { writeMarkers } from '../apply/marker.ts';
import { trustMounts } from '../apply/trust.ts';
import {
  HIDDEN_COMPOSE,
  beginRestore,
  endRestore,
  hideCompose,
  isUnfinished,
  refuseMoved,
  refuseUpgrading,
} from '../apply/unfinished.ts';
import { endUpgrading, removeMaintenance } from '../apply/upgrading.ts';
import { sizeText } from '../checks/check.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { readGoodbyes } from '../goodbye-record.ts';
import { OWN } from '../layout.ts';
import { LOCK_FILE, lockedReference, printLock, readLock, wantedImages } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { dataFoldersIn } from '../render/site.ts';
import { revealAll } from '../secrets/secret.ts';
import { Store } from '../secrets/store.ts';
import { isOf } from '../stack/compose.ts';
import type { ComposeFile } from '../stack/compose.ts';
import { withScratch, withTemporary } from '../temporary.ts';
import { timeText } from '../time.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { ensureImage } from './access.ts';
import { uploadCopies, withCopies } from './buckets.ts';
import { OWNERS, repositoryProblem, restic } from './restic.ts';
import type { Access, Snapshot } from './restic.ts';
import { savedSite } from './saved.ts';
import type { Contents } from './saved.ts';
import { SET, dumpsOf, imageOf, networkOf, ofApps, readCompose } from './set.ts';
import type { AppDump, Manifest } from './set.ts';

export interface RestoreOptions {
  /** Directory of the site, absolute. */
  readonly folder: string;
  readonly access: Access;
  readonly snapshot: Snapshot;
  readonly manifest: Manifest;
  readonly files: Contents['files'];
  /** Apps to restore into the existing site; absent: the whole site. */
  readonly apps?: readonly string[] | undefined;
  /** Without their queues, jobs are lost, but nothing old is sent. */
  readonly keepsQueues: boolean;
  /** Upload the media of the backup to the buckets. */
  readonly uploadsMedia: boolean;
  readonly progress: Progress;
}

/** The last snapshot, or the last one whose id or time (`2026-11-30T06:13`) starts with `at`. Throws a Problem if there is none. */
export function chooseSnapshot(
  { repository: { text } }: Pick<Access, 'repository'>,
  all: readonly Snapshot[],
  at: string | undefined,
): Snapshot {
  const wanted = at?.replace(' ', 'T') ?? '';
  const found = all.findLast(({ id, at: made }) => id.startsWith(wanted) || made.startsWith(wanted));
  if (found !== undefined) return found;
  throw new Problem(
    EXIT.USAGE,
    all.length === 0 ? `${text} has no complete backup.` : `${text} has no backup ${at ?? ''}.`,
    {
      means: 'Nothing was changed.',
      ...(all.length === 0
        ? {}
        : {
            next: `Available: ${all.map((one) => `${one.id.slice(0, 8)} (${timeText(one.at)})`).join(', ')}.`,
          }),
    },
  );
}

/** What of a site is on this engine and in the directory, in words; undefined: nothing. */
export async function existingData(
  engine: Engine,
  folder: string,
  { site, volumes, dumps }: Manifest,
): Promise<string | undefined> {
  const keys = [...volumes.map(({ key }) => key), ...dumps.map(({ file }) => file.replace(/\.\w+$/, ''))];
  const there: string[] = [];
  for (const key of keys)
    if ((await engine.volume(`${site}_${key}`)) !== undefined) there.push(`${site}_${key}`);
  const isSite = (await savedSource(folder).catch(() => true)) !== undefined;
  if (there.length === 0 && !isSite) return undefined;
  return [
    ...(isSite ? [`the site in ${folder}`] : []),
    ...(there.length > 0 ? [`the volumes ${there.join(', ')}`] : []),
  ].join(' and ');
}

/** Verifies that the backup may be restored here. Throws exit 3; changes nothing. */
export async function refuseRestore({
  folder,
  access: { engine },
  manifest,
  apps,
}: Pick<RestoreOptions, 'folder' | 'access' | 'manifest' | 'apps'>): Promise<void> {
  await refuseForeign(
    folder,
    manifest.site,
    await engine.containers(manifest.site),
    (there) =>
      `Restore over that site: --dir ${there}. Or remove it first: \`fedi-setup uninstall --data --dir ${there}\`.`,
  );
  await refuseMoved(folder);
  const left = Object.keys(await readGoodbyes(folder));
  await refuseGoodbye(
    folder,
    left.map((id) => ({ id })),
  );
  if (apps !== undefined) await refuseUpgrading(folder);
  const config = await configIn(folder);
  if (config !== undefined && config.name !== manifest.site)
    throw new Problem(
      EXIT.REFUSED,
      `${folder} has the site ${config.name}, but the backup is of ${manifest.site}.`,
      {
        means: 'Nothing was changed.',
        next: 'Choose another directory with --dir.',
      },
    );
  const empty = manifest.apps.filter(
    ({ id }) =>
      (apps?.includes(id) ?? true) &&
      !manifest.dumps.some(({ app }) => app === id) &&
      !manifest.volumes.some(({ key, files }) => isOf(id, key) && files > 0),
  );
  if (empty.length > 0)
    throw new Problem(EXIT.REFUSED, `This backup has no data of ${empty.map(({ id }) => id).join(', ')}.`, {
      means: 'The data were already gone when it was made. Nothing was changed.',
      next: 'Choose an older one with --at: `fedi-setup backup list` shows them.',
    });
  if (apps === undefined) return;
  if (config === undefined)
    throw new Problem(EXIT.USAGE, `There is no site in ${folder} to restore ${apps.join(', ')} into.`, {
      next: 'Restore the whole site, without --app.',
    });
  const store = await Store.open(folder);
  const lock = await readLock(folder);
  for (const id of apps) {
    const saved = manifest.apps.find((one) => one.id === id);
    const app = config.apps.find((one) => one.id === id);
    if (saved === undefined || app === undefined)
      throw new Problem(EXIT.USAGE, `${saved === undefined ? 'The backup' : 'This site'} has no ${id}.`, {
        means: 'Nothing was changed.',
        next: `The backup has: ${manifest.apps.map((one) => one.id).join(', ')}.`,
      });
    if (saved.domain !== app.domain || saved.secrets !== store.identityFingerprint(appOf(id).secrets))
      throw new Problem(EXIT.REFUSED, `The backup of ${id} belongs to other secrets or another domain.`, {
        means: 'Its data could not be read with the secrets of this site. Nothing was changed.',
        next: 'Restore the whole site, without --app.',
      });
    const { images } = appOf(id);
    // An older database server cannot read the dump of one with a newer major version.
    const servers = manifest.dumps.flatMap(({ app: of, image }) => (of === id ? (image ?? []) : []));
    const newer = [
      { name: id, tag: saved.image, parts: images[id]?.data?.parts ?? 0 },
      ...servers.map(({ name, tag }) => ({ name, tag, parts: images[name]?.data?.fixed ?? 0 })),
    ].find(({ name, tag, parts }) => {
      const [ours, theirs] = [lock[name]?.tag ?? '', tag].map((reference) =>
        numbersOf(tagOf(reference))?.slice(0, parts),
      );
      return ours !== undefined && theirs !== undefined && isOlder(ours, theirs);
    });
    if (newer !== undefined)
      throw new Problem(
        EXIT.REFUSED,
        `The backup of ${id} is of ${newer.tag}, which is newer than this site.`,
        {
          means: 'Older software cannot use its data. Nothing was changed.',
          next: 'Update the app or its database first, or restore the whole site, without --app.',
        },
      );
  }
}

/** The saved answers of a directory; undefined: none, or they cannot be used. */
async function configIn(folder: string): Promise<Config | undefined> {
  const saved = await savedSource(folder).catch(() => undefined);
  if (saved === undefined) return undefined;
  const resolved = await resolve([saved.source]);
  return resolved.problems.length > 0 ? undefined : configOf(resolved.answers);
}

/** What a restore needs, made ready before anything changes. */
interface Ready {
  readonly config: Config;
  readonly store: Store;
  /** Without entries of images that this host has in another build. */
  readonly lock: Lock;
  readonly dumps: readonly AppDump[];
}

/** Reads the configuration and gets all images. Throws a Problem if something is missing here. */
async function makeReady(options: RestoreOptions): Promise<Ready> {
  const { folder, access, manifest, apps, progress } = options;
  const { engine } = access;
  return withScratch(async (scratch) => {
    const saved = apps === undefined ? await savedSite(options, scratch) : await currentSite(folder);
    const { config, store } = saved;
    const lock = await usableLock(engine, saved.lock, progress);
    const wanted = wantedImages(config, await withoutLostBuilds(engine, saved.lock));
    const { missing } = await lockOf(engine, wanted, lock);
    await fetchImages(engine, wanted, lock, missing, progress);
    const chosen = config.apps.filter(({ id }) => apps?.includes(id) ?? true);
    const dumps = dumpsOf(chosen, store).filter(({ file }) =>
      manifest.dumps.some((one) => one.file === file),
    );
    for (const dump of dumps) await ensureImage(engine, imageOf(dump, lock, config), progress);
    if (!(await isUnfinished(folder))) await refuseForeignFiles(engine, manifest.site, chosen);
    return { config, store, lock, dumps };
  });
}

/** Refuses data directories that have files but no volume: a restore would delete files that may not belong to the site. Exit 3. */
export async function refuseForeignFiles(
  engine: Engine,
  site: string,
  apps: readonly AppConfig[],
): Promise<void> {
  for (const [key, { device }] of Object.entries(dataFoldersIn(apps))) {
    if ((await engine.volume(`${site}_${key}`)) !== undefined) continue;
    // One that cannot be read counts as not empty.
    const files = await readdir(device).catch((error: unknown) =>
      codeOf(error) === 'ENOENT' ? [] : ['unknown'],
    );
    if (files.length === 0) continue;
    throw new Problem(EXIT.REFUSED, `The directory ${device}, for the data of ${key}, is not empty.`, {
      means: 'A restore would delete what is in it. Nothing was changed.',
      next: 'Move its files away if you need them, empty it, and run this again.',
    });
  }
}

async function currentSite(folder: string): Promise<Omit<Ready, 'dumps'>> {
  const config = await configIn(folder);
  if (config === undefined) throw new Error(`no valid site in ${folder}`);
  return { config, store: await Store.open(folder), lock: await readLock(folder) };
}

/** Refuses a backup that is larger than the free space. Data that are overwritten leave space, so an existing site is not checked. */
async function checkSpace({ folder, access: { engine }, snapshot, manifest }: RestoreOptions): Promise<void> {
  if ((await existingData(engine, folder, manifest)) !== undefined || snapshot.bytes === undefined) return;
  const { dataRoot } = await engine.info();
  const space = await statfs(dataRoot).catch(() => undefined);
  const free = space === undefined ? Infinity : space.bavail * space.bsize;
  if (free > snapshot.bytes) return;
  throw new Problem(
    EXIT.PREFLIGHT,
    `The backup needs ${sizeText(snapshot.bytes)}; Docker’s disk has ${sizeText(free)} free.`,
    { means: 'Nothing was changed.', next: 'Free some space, or use a larger disk, and run this again.' },
  );
}

/**
 * Restores; the caller holds the run lock. Until it is complete, the site cannot be started; a second run starts over. The
 * caller applies the site afterwards.
 */
export async function restoreSite(options: RestoreOptions): Promise<void> {
  const { folder, access, snapshot, manifest, apps, progress } = options;
  const { engine } = access;
  await checkSpace(options);
  const ready = await makeReady(options);
  // Before it begins: killed in between, the site is only stopped.
  await withLine(progress, 'down', 'Containers stopped', () => stop(options));
  await beginRestore(folder, {
    from: access.repository.text,
    snapshot: snapshot.id.slice(0, 8),
    ...(apps === undefined ? {} : { apps }),
  });
  // An interrupted upgrade would otherwise be undone later, over the restored data.
  await removeMaintenance(folder);
  await endUpgrading(folder, manifest.site, engine);
  if (apps === undefined) {
    await withLine(progress, 'site', 'Site directory', () => restoreFolder(options));
    await writeWhole(join(folder, LOCK_FILE), printLock(ready.lock), 0o644);
    await hideCompose(folder);
  }
  const compose = withCopies(await readCompose(folder, HIDDEN_COMPOSE), ready.config);
  const site: Opened = { ...ready, compose };
  for (const dump of site.dumps) if (dump.service === undefined) await refuseFilled(options, site, dump);
  const keys = savedKeys(options, site);
  await emptyVolumes(access, site, [...keys, ...site.dumps.flatMap(({ service }) => service ?? [])]);
  await restoreData(options, site, keys);
  if (options.uploadsMedia) await uploadCopies({ ...ready, folder, engine, progress }, apps);
  await endRestore(folder);
  await keepPlace(folder);
}

/** A site whose directory is in place. */
export interface Opened extends Ready {
  readonly compose: ComposeFile;
}

/** Removes the containers of what is restored. */
async function stop({ folder, access: { engine }, manifest, apps }: RestoreOptions): Promise<void> {
  for (const { service, id } of await engine.containers(manifest.site))
    if (apps === undefined || apps.some((app) => isOf(app, service))) await engine.removeContainer(id);
  if (apps === undefined) await engine.removeNetworks(manifest.site, () => true);
  await mkdir(folder, { recursive: true });
}

async function restoreFolder({ folder, access, snapshot }: RestoreOptions): Promise<void> {
  const { engine, image } = access;
  const restoring = join(OWN, 'restoring');
  const output = await restic(
    access,
    ['restore', '--no-lock', '--quiet', `${snapshot.id}:${SET}/site`, '--target', `/site/${restoring}`],
    { mounts: [`${folder}:/site`], capabilities: OWNERS, isUrgent: true },
  );
  if (output.code !== 0) throw repositoryProblem(access, output, 'Reading the site directory in');
  const { rootless } = await engine.info();
  const owner = rootless ? '0:0' : `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const placed = await runOneShot(engine, {
    image,
    argv: shellProgram('backup/programs/place-site.sh', [`/site/${restoring}`, '/site', owner]),
    mounts: [`${folder}:/site`],
    user: '0:0',
    capabilities: ['DAC_OVERRIDE', ...OWNERS],
  });
  if (placed.code !== 0)
    throw new Problem(EXIT.FAILED, `The site directory could not be written: ${placed.stderr.trim()}`, {
      means: 'The data of the site were not touched yet.',
      next: 'Fix that and run this again.',
    });
}

/** Omits entries of images that were built or loaded on another host: their ids differ here. */
async function usableLock(engine: Engine, lock: Lock, progress: Progress): Promise<Lock> {
  const kept: Record<string, Lock[string]> = {};
  for (const [name, entry] of Object.entries(lock)) {
    const here = 'id' in entry ? await engine.image(lockedReference(entry)) : undefined;
    if ('id' in entry && here?.id !== entry.id) progress.say(`  ${entry.tag} is another build here.`);
    else kept[name] = entry;
  }
  return kept;
}

/** Refuses to load a dump into an external database that has tables of an app. */
async function refuseFilled(
  { folder, access: { engine } }: RestoreOptions,
  { config, store, lock }: Opened,
  dump: AppDump,
): Promise<void> {
  const { code, stdout, stderr } = await runOneShot(engine, {
    image: imageOf(dump, lock, config),
    argv: dump.count?.() ?? [],
    network: 'bridge',
    mounts: await trustMounts(folder, config),
    env: revealAll(dump.env((name) => store.get(name))),
  });
  if (code !== 0)
    throw new Problem(
      EXIT.FAILED,
      `Access to ${dump.what} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        means: 'No data were changed.',
        next: 'Fix that and run this again.',
      },
    );
  const tables = Object.keys(JSON.parse(stdout) as object).filter((name) => name !== 'fedi_setup');
  if (tables.length === 0) return;
  throw new Problem(
    EXIT.REFUSED,
    `Your external database is not empty: ${tables.slice(0, 3).join(', ')}, …`,
    {
      means: 'A backup can be loaded only into an empty one. No data were changed.',
      next: 'Create it again on your server (DROP DATABASE, CREATE DATABASE), then run this again.',
    },
  );
}

/** Volumes with files in the backup, by their keys. */
const savedKeys = ({ manifest, apps }: RestoreOptions, { compose }: Opened): string[] =>
  ofApps(
    manifest.volumes.map(({ key }) => key),
    apps,
  ).filter((key) => key in compose.volumes);

/** Restores files and databases into empty volumes, at the same time. */
async function restoreData(options: RestoreOptions, site: Opened, keys: readonly string[]): Promise<void> {
  const { folder, access, manifest, keepsQueues, progress } = options;
  const { engine } = access;
  const staging = `${manifest.site}_backup`;
  if ((await engine.volume(staging)) !== undefined) await engine.removeVolume(staging);
  await engine.createVolume(staging, manifest.site, 'backup');
  const files = restoreVolumes(options, site, keys);
  // The servers start while restic reads the dumps.
  const ready = Promise.all([restoreDumps(options, site, staging), startServers(folder, engine, site.dumps)]);
  let turn: Promise<unknown> = ready;
  const loads = site.dumps.map((dump) => {
    // One database at a time. Queues are files in a volume.
    const load = (dump.volumeAt === undefined ? turn : ready).then(() =>
      fill({ folder, engine, keepsQueues }, site, staging, dump),
    );
    if (dump.volumeAt === undefined) turn = load;
    return { dump, load };
  });
  // Awaited in their turn; a rejection must not end the process before.
  const all = [files, ready, ...loads.map(({ load }) => load)];
  for (const one of all) one.catch(() => undefined);
  await withTemporary(
    () => engine.removeVolume(staging),
    async () => {
      try {
        await withLine(progress, 'volumes', 'Volumes', () => files);
        for (const { dump, load } of loads)
          await withLine(progress, `load.${dump.file}`, dump.what.replace(/^t/, 'T'), () => load);
      } finally {
        // Otherwise the volume is still in use.
        await Promise.allSettled(all);
      }
    },
  );
}

async function restoreVolumes(
  { access, snapshot }: RestoreOptions,
  { compose }: Opened,
  keys: readonly string[],
): Promise<void> {
  if (keys.length === 0) return;
  const output = await restic(
    access,
    [
      'restore',
      '--no-lock',
      '--quiet',
      '--verify',
      `${snapshot.id}:${SET}/volumes`,
      ...keys.map((key) => `--include=/${key}`),
      '--target',
      `${SET}/volumes`,
    ],
    {
      mounts: keys.map((key) => `${compose.volumes[key]?.name ?? ''}:${SET}/volumes/${key}`),
      capabilities: OWNERS,
      isUrgent: true,
    },
  );
  if (output.code !== 0) throw repositoryProblem(access, output, 'Restoring the files in');
}

async function restoreDumps(
  { access, snapshot }: RestoreOptions,
  { dumps }: Opened,
  staging: string,
): Promise<void> {
  if (dumps.length === 0) return;
  const output = await restic(
    access,
    ['restore', '--no-lock', '--quiet', `${snapshot.id}:${SET}/stage`, '--target', '/stage'],
    { mounts: [`${staging}:/stage`], capabilities: OWNERS, isUrgent: true },
  );
  if (output.code !== 0) throw repositoryProblem(access, output, 'Reading the dumps in');
}

/** Creates volumes again, by their keys, or empties those that are directories. No container may use them. */
export async function emptyVolumes(
  { engine, image }: Pick<Access, 'engine' | 'image'>,
  { config, compose, lock }: Pick<Opened, 'config' | 'compose' | 'lock'>,
  all: readonly string[],
): Promise<void> {
  for (const key of all) {
    const name = compose.volumes[key]?.name ?? '';
    if ((await engine.volume(name)) !== undefined) await engine.removeVolume(name);
  }
  const dataFolders = dataFoldersIn(config.apps);
  const caddy = lock['caddy'];
  const chosen = Object.fromEntries(Object.entries(dataFolders).filter(([key]) => all.includes(key)));
  await makeDataFolders(
    engine,
    { compose, dataFolders: chosen },
    caddy === undefined ? (config.images['caddy'] ?? image) : lockedReference(caddy),
  );
  for (const key of all) {
    const name = compose.volumes[key]?.name ?? '';
    if ((await engine.volume(name)) === undefined) await engine.createVolume(name, compose.name, key);
    else
      await runOneShot(engine, {
        image,
        argv: ['find', '/data', '-mindepth', '1', '-delete'],
        mounts: [`${name}:/data`],
        user: '0:0',
        capabilities: ['DAC_OVERRIDE', 'FOWNER'],
      });
  }
}

interface Loading {
  readonly folder: string;
  readonly engine: Engine;
  readonly keepsQueues: boolean;
}

/** Starts the server of a dump, which is empty, and loads the dump. compose.yaml is hidden. @param file the Compose file with the server */
export async function load(
  loading: Loading,
  opened: Omit<Opened, 'dumps'>,
  staging: string,
  dump: AppDump,
  composeFile = HIDDEN_COMPOSE,
): Promise<void> {
  await startServers(loading.folder, loading.engine, [dump], composeFile);
  await fill(loading, opened, staging, dump);
}

/** A Problem about data. @param what "the database of Mastodon" */
const notRestored = (what: string, words: string): Problem =>
  new Problem(EXIT.FAILED, `${what.replace(/^t/, 'T')} could not be restored: ${words}`, {
    means: 'The site cannot start until the restore is complete.',
    next: 'Fix that and run the same command again; it starts over.',
  });

/** Starts the servers of dumps, and waits until they answer. */
async function startServers(
  folder: string,
  engine: Engine,
  dumps: readonly AppDump[],
  composeFile = HIDDEN_COMPOSE,
): Promise<void> {
  const started = dumps.filter(({ service, volumeAt }) => service !== undefined && volumeAt === undefined);
  if (started.length === 0) return;
  const { code, stderr } = await engine.compose(folder, [
    '--project-directory',
    '.',
    '--file',
    composeFile,
    'up',
    '--detach',
    '--wait',
    '--no-deps',
    '--pull=never',
    ...started.flatMap(({ service }) => service ?? []),
  ]);
  if (code !== 0)
    throw notRestored(started.map(({ what }) => what).join(' and '), stderr.trim().split('\n').at(-1) ?? '');
}

/** Loads one dump into its server, which runs, or into the volume of a stopped one. */
async function fill(
  { folder, engine, keepsQueues }: Loading,
  { config, store, lock, compose }: Omit<Opened, 'dumps'>,
  staging: string,
  dump: AppDump,
): Promise<void> {
  const { service, volumeAt, what, file } = dump;
  if (volumeAt !== undefined && !keepsQueues) return;
  const { code, stderr } = await runOneShot(engine, {
    image: imageOf(dump, lock, config),
    argv: dump.restore(`/stage/${file}`),
    user: '0:0',
    ...(volumeAt === undefined
      ? {
          mounts: [
            `${staging}:/stage:ro`,
            ...(service === undefined ? await trustMounts(folder, config) : []),
          ],
          network: networkOf(compose, service),
          env: revealAll(dump.env((name) => store.get(name))),
          capabilities: ['DAC_OVERRIDE'],
        }
      : {
          mounts: [`${compose.volumes[service ?? '']?.name ?? ''}:${volumeAt}`, `${staging}:/stage:ro`],
          capabilities: ['DAC_OVERRIDE', 'CHOWN'],
        }),
  });
  if (code !== 0) {
    const lines = stderr.trim().split('\n');
    // The first error is the cause: parallel jobs of pg_restore end with others, and it prints the command after it.
    throw notRestored(what, lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? '');
  }
  if (service !== undefined && volumeAt === undefined)
    await writeMarkers(engine, config, store, (name) => lockedReference(lock[name] as Lock[string]), service);
}

/** Remembers the repository that a site was restored from, so that its next backup continues there. */
export async function keepRepository(
  folder: string,
  repository: string,
  id: string,
  snapshot: Snapshot,
  now: Date,
): Promise<void> {
  const record = await readRecord(folder);
  await writeRecord(folder, {
    // Its password came from outside.
    sheet: now.toISOString(),
    ...record,
    repositories: {
      ...record.repositories,
      [repository]: {
        ...record.repositories[repository],
        id,
        last: { at: snapshot.at, snapshot: snapshot.id.slice(0, 8), bytes: snapshot.bytes ?? 0 },
      },
    },
  });
}
