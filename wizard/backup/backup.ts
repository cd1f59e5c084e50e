/** Makes a backup: dumps, then one snapshot with dumps, files and secrets in each repository. */
import { mkdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { appOf } from '../apps/index.ts';
import { shellProgram } from '../assets.ts';
import { cannotWrite } from '../atomic.ts';
import { hoursSince, readRecord, writeRecord } from '../backup-record.ts';
import type { RepositoryRecord } from '../backup-record.ts';
import { sizeText } from '../checks/check.ts';
import type { Backup, Repository } from '../config/backup.ts';
import type { Config } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine, OneShot } from '../docker/engine.ts';
import { run } from '../docker/run.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { OWN } from '../layout.ts';
import { lockedReference, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem, messageOf } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { revealAll } from '../secrets/secret.ts';
import { BACKUP_SECRETS } from '../secrets/backup.ts';
import { Store } from '../secrets/store.ts';
import { withTemporary } from '../temporary.ts';
import type { ComposeFile } from '../stack/compose.ts';
import { placesBefore } from '../apply/data.ts';
import { checkMarkers } from '../apply/marker.ts';
import { trustMounts } from '../apply/trust.ts';
import { dataFoldersIn } from '../render/site.ts';
import { refuseGoodbye } from '../apply/goodbye.ts';
import { refuseUnfinished } from '../apply/unfinished.ts';
import { checkSpace } from './space.ts';
import { accessOf, ensureImage, resticImage } from './access.ts';
import { copyBuckets, withCopies } from './buckets.ts';
import {
  INCOMPLETE,
  TAG,
  createRepository,
  lastWords,
  locking,
  noBackups,
  repositoryId,
  restic,
} from './restic.ts';
import type { Access } from './restic.ts';
import { MANIFEST, SET, dumpsOf, elsewhereOf, imageOf, networkOf, readCompose, volumesOf } from './set.ts';
import type { AppDump, Manifest } from './set.ts';

export interface BackupSite {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
}

export interface BackupOptions extends BackupSite {
  readonly repositories: readonly Repository[];
  readonly keep: Backup['keep'];
  readonly everyHours: number;
  /** Version of fedi-setup. */
  readonly tool: string;
  readonly progress: Progress;
  readonly now: () => Date;
}

/** The result for one repository. */
export interface Backed {
  readonly repository: Repository;
  /** Id of the repository. */
  readonly id?: string;
  readonly snapshot?: string;
  /** Bytes of the whole backup, and those that were new. */
  readonly bytes?: number;
  readonly added?: number;
  /** It is on the disk of the site. */
  readonly sameDisk?: boolean;
  readonly removable?: RepositoryRecord['removable'];
  readonly problem?: Problem;
}

const sh = (name: string, ...argv: readonly string[]): readonly string[] =>
  shellProgram(`backup/programs/${name}`, argv);

/** Refuses to back up into the site, into Docker's data or into a data directory. */
export async function refuseInside(
  { folder, config, engine }: BackupSite,
  repositories: readonly Repository[],
): Promise<void> {
  // A path that does not exist yet may lead through a symbolic link.
  const real = async (path: string): Promise<string> => {
    const found = await realpath(path).catch(() => undefined);
    if (found !== undefined) return found;
    return path === dirname(path) ? path : join(await real(dirname(path)), basename(path));
  };
  const { dataRoot, mapsUsers } = await engine.info();
  if (mapsUsers)
    throw new Problem(EXIT.REFUSED, 'This engine maps the users of containers (userns-remap).', {
      means: 'fedi-setup cannot back up such a site yet. Nothing was changed.',
      next: 'Remove backup.to from fedi.yaml. Back up the volumes and the site directory with the tools of the host.',
    });
  const taken: [string, string][] = [
    [folder, 'the site directory'],
    [dataRoot, 'Docker’s data'],
    ...config.apps.flatMap(({ id, folders }) =>
      Object.values(folders).map((path): [string, string] => [path, `a data directory of ${appOf(id).name}`]),
    ),
  ];
  const targets = repositories.flatMap((one) => (one.kind === 'local' ? one.path : []));
  if (config.backup?.dumps !== undefined) targets.push(config.backup.dumps);
  for (const chosen of targets) {
    for (const [path, what] of taken) {
      const [target, inside] = [await real(chosen), await real(path)];
      const way = relative(inside, target);
      const back = relative(target, inside);
      const isBelow = (one: string): boolean => !one.startsWith('..') && !isAbsolute(one);
      if (!isBelow(way) && !isBelow(back)) continue;
      throw new Problem(EXIT.REFUSED, `${chosen} is in, or contains, ${what}: ${path}.`, {
        means:
          'A backup must not be part of what it backs up: it would be lost with it. Nothing was changed.',
        next: 'Choose another directory, best on another disk.',
      });
    }
  }
}

/**
 * Makes one backup in each repository. The caller holds the run lock. A repository that fails does not stop the others; a
 * dump that fails stops everything, and no repository changes.
 */
export async function makeBackup(options: BackupOptions): Promise<Backed[]> {
  const { folder, config, engine, repositories, progress, now } = options;
  await refuseUnfinished(folder);
  await refuseGoodbye(folder, config.apps);
  await refuseInside(options, repositories);
  const lock = await readLock(folder);
  const image = resticImage(lock, config.images);
  await ensureImage(engine, image, progress);
  const store = await Store.open(folder);
  if ((await store.ensure(BACKUP_SECRETS, now())).length > 0) await store.save();

  const hasData = refuseLostData(options, store, lock);
  // Awaited below; a rejection must not end the process before.
  hasData.catch(() => undefined);
  // All at the same time, and reported one after another. A rejection must not end the process before.
  const opening = repositories.map(async (repository) => {
    const access = await accessOf(options, store, image, repository);
    return { access, id: await openRepository(access, folder, hasData) };
  });
  const canDump = checkDumps(options, store, image);
  for (const one of [...opening, canDump]) one.catch(() => undefined);
  const opened: { access: Access; id: string }[] = [];
  const results: Backed[] = [];
  for (const [i, repository] of repositories.entries()) {
    progress.start(`repository.${repository.text}`, `Repository ${repository.text}`);
    try {
      opened.push(await (opening[i] as (typeof opening)[number]));
      progress.done();
    } catch (error) {
      const problem = asProblem(error);
      progress.fail(problem.message);
      results.push({ repository, problem });
    }
  }
  await hasData;
  if (opened.length > 0) {
    try {
      await canDump;
      await runCommand(options, 'before');
      await withTemporary(
        () => engine.removeVolume(stagingVolume(config)),
        async () => {
          const staged = await stage(options, store, lock, image);
          for (const { access, id } of opened) results.push(await backUpTo(options, access, id, staged));
          await copyDumps(options, image, staged);
        },
      );
    } catch (error) {
      // Without dumps no repository gets a backup; `status` and `doctor` report it.
      const problem = asProblem(error);
      const all = opened.map(({ access: { repository } }) => ({ repository, problem }));
      await keepResults(folder, [...results, ...all], now());
      await runCommand(options, 'after', 'failed').catch(() => undefined);
      throw error;
    }
  }
  await keepResults(folder, results, now());
  const isComplete = results.every(({ problem }) => problem === undefined);
  if (opened.length > 0) await runCommand(options, 'after', isComplete ? 'complete' : 'failed');
  return results;
}

/** How many plain dumps of a database are kept. */
const PLAIN_DUMPS = 10;

/** Copies the dumps to the directory of the administrator, if there is one. Throws a Problem; the backups are complete then. */
async function copyDumps(
  { config: { backup }, engine, progress }: BackupOptions,
  image: string,
  { volume, manifest }: Staged,
): Promise<void> {
  const target = backup?.dumps;
  if (target === undefined || manifest.dumps.length === 0) return;
  await withLine(progress, 'dumps', `Plain dumps in ${target}`, async () => {
    await mkdir(target, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw cannotWrite(target, error, 'Plain dumps go there. The backups are complete.');
    });
    const { rootless } = await engine.info();
    const { code, stderr } = await runOneShot(engine, {
      image,
      argv: sh(
        'copy-dumps.sh',
        '/stage',
        '/dumps',
        manifest.at.slice(0, 19).replaceAll(':', ''),
        String(PLAIN_DUMPS),
        rootless ? '0:0' : `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
      ),
      mounts: [`${volume}:/stage:ro`, `${target}:/dumps`],
      user: '0:0',
      capabilities: ['DAC_OVERRIDE', 'CHOWN'],
    });
    if (code === 0) return;
    throw new Problem(EXIT.FAILED, `The dumps could not be copied to ${target}: ${stderr.trim()}`, {
      means: 'The backups are complete.',
      next: 'Check that directory, or change backup.dumps in fedi.yaml.',
    });
  });
}

/** Limit of a command of the administrator. */
const COMMAND_MS = 3_600_000;

/** Runs a command of the administrator, if there is one. */
async function runCommand(
  { folder, config, progress }: BackupOptions,
  when: 'before' | 'after',
  state?: string,
): Promise<void> {
  const command = config.backup?.[when];
  if (command === undefined) return;
  await withLine(progress, when, `Your command ${when} a backup`, async () => {
    const { code, stdout, stderr } = await run('sh', ['-c', command], {
      cwd: folder,
      env: { ...process.env, ...(state === undefined ? {} : { FEDI_BACKUP: state }) },
      wholeMs: COMMAND_MS,
    });
    if (code === 0) return;
    throw new Problem(
      EXIT.FAILED,
      `Your command ${when} a backup failed with exit code ${code}: ${command}`,
      {
        means: when === 'before' ? 'No backup was made.' : `The backup is ${state ?? ''}.`,
        next: `Fix it, or change backup.${when} in fedi.yaml.`,
        log: `${stdout}${stderr}`.trim().split('\n').slice(-10).join('\n'),
      },
    );
  });
}

/** Refuses to back up a site whose data are gone: its backup would replace the good ones. Throws exit 3. */
async function refuseLostData(
  { folder, config, engine }: BackupOptions,
  store: Store,
  lock: Lock,
): Promise<void> {
  // A disposable store may be empty: the result does not matter.
  await checkMarkers(
    engine,
    config,
    store,
    (name) => lockedReference(lock[name] as Lock[string]),
    await placesBefore(folder),
    await trustMounts(folder, config),
    dataFoldersIn(config.apps),
  );
}

const asProblem = (error: unknown): Problem => {
  if (error instanceof Problem) return error;
  throw error;
};

/** Opens a repository, or creates it if it never existed. @param hasData rejects if the data of the site are gone */
async function openRepository(access: Access, folder: string, hasData: Promise<void>): Promise<string> {
  const { text } = access.repository;
  const known = (await readRecord(folder)).repositories[text];
  const id = await repositoryId(access);
  if (id === undefined && known?.last !== undefined)
    throw new Problem(EXIT.REFUSED, `No backups were found in ${text}, but there were some.`, {
      means: `The last one was made at ${known.last.at}. No new repository was created, in case the disk is just not mounted.`,
      next: `Mount the disk, or correct the address. If you deleted them on purpose, remove its entry from ${OWN}/backups.json.`,
    });
  await hasData;
  return id ?? createRepository(access);
}

interface Staged {
  readonly volume: string;
  /** `source:target:ro` of everything that is backed up. */
  readonly mounts: readonly string[];
  /** Paths in the container that are left out. */
  readonly excluded: readonly string[];
  readonly manifest: Manifest;
}

const stagingVolume = ({ name }: Config): string => `${name}_backup`;

/** Removes what an interrupted run left, and throws a Problem if the databases cannot be dumped now. */
async function checkDumps(options: BackupOptions, store: Store, image: string): Promise<void> {
  const { config, engine } = options;
  const volume = stagingVolume(config);
  if ((await engine.volume(volume)) !== undefined) await engine.removeVolume(volume);
  const dumps = dumpsOf(config.apps, store);
  await refuseStopped(options, dumps);
  await checkSpace(options, dumps, image);
}

/** Dumps all databases into a new volume and writes the manifest. */
async function stage(options: BackupOptions, store: Store, lock: Lock, image: string): Promise<Staged> {
  const { folder, config, engine, progress, tool, now } = options;
  const compose = withCopies(await readCompose(folder), config);
  const dumps = dumpsOf(config.apps, store);
  for (const dump of dumps) await ensureImage(engine, imageOf(dump, lock, config), progress);
  const volume = stagingVolume(config);
  await engine.createVolume(volume, config.name, 'backup');
  const at = now().toISOString();
  const copy = (dump: AppDump): Promise<Manifest['dumps'][number]> =>
    dumpTo(options, store, lock, compose, volume, dump);
  // Queues are small, so they are dumped at the same time as the first database.
  const queues = new Map(dumps.filter(({ count }) => count === undefined).map((dump) => [dump, copy(dump)]));
  // Copies of buckets change until they are complete.
  const counted =
    config.backup?.copiesBuckets === true ? undefined : countVolumes(options, image, compose, dumps);
  // Awaited in their turn; a rejection must not end the process before.
  for (const one of [...queues.values(), counted]) one?.catch(() => undefined);
  const done: Manifest['dumps'][number][] = [];
  try {
    for (const dump of dumps)
      done.push(
        await withLine(
          progress,
          `dump.${dump.file}`,
          `Dump of ${dump.what}`,
          () => queues.get(dump) ?? copy(dump),
        ),
      );
  } finally {
    // Otherwise the volume is still in use.
    await Promise.allSettled(queues.values());
  }
  // After the dumps: a row without its file is a broken picture, a file without a row is not.
  await copyBuckets({ folder, engine, config, store, lock, progress });
  const { mounts, volumes } = await (counted ?? countVolumes(options, image, compose, dumps));
  const manifest: Manifest = {
    version: 1,
    tool,
    at,
    site: config.name,
    apps: config.apps.map(({ id, domain }) => ({
      id,
      domain,
      image: lock[id]?.tag ?? '',
      secrets: store.identityFingerprint(appOf(id).secrets),
    })),
    dumps: done,
    volumes,
    elsewhere: await elsewhereOf(folder, config),
  };
  await runOneShot(engine, {
    image,
    argv: ['tee', MANIFEST],
    mounts: [`${volume}:${SET}/stage`],
    stdin: `${JSON.stringify(manifest, null, 2)}\n`,
    user: '0:0',
    capabilities: ['DAC_OVERRIDE'],
  });
  const own = [
    'lock',
    'trial-*',
    'restore.json',
    'backups.json',
    'tool',
    'maintain.log',
    'notices.json',
    'moved',
    'upgrade.json',
    'undo',
    'restore-compose.yaml',
    'restoring',
  ].map((name) => `${SET}/site/${OWN}/${name}`);
  const inSite = Object.values(config.apps.flatMap(({ folders }) => Object.values(folders)))
    .map((path) => relative(folder, path))
    .filter((path) => !path.startsWith('..') && !isAbsolute(path))
    .map((path) => join(SET, 'site', path));
  return {
    volume,
    mounts: [...mounts, `${folder}:${SET}/site:ro`, `${volume}:${SET}/stage:ro`],
    excluded: [...own, ...inSite],
    manifest,
  };
}

/** Refuses to dump a server that does not run: its client would only report an unknown name. */
export async function refuseStopped(
  { engine, config }: BackupSite,
  dumps: readonly AppDump[],
): Promise<void> {
  const runtime = runtimeOf(engine, config.name);
  for (const { service, what } of dumps)
    if (service !== undefined && (await runtime.running(service)) === undefined)
      throw new Problem(EXIT.FAILED, `${service} is not running, so ${what} cannot be dumped.`, {
        means: 'No backup was made.',
        next: `\`fedi-setup start ${service}\`, then run this again. \`fedi-setup doctor\` shows why it stopped.`,
      });
}

/** Dumps a database into a volume. @returns its rows, as in the manifest */
export async function dumpTo(
  { folder, engine, config }: BackupSite,
  store: Store,
  lock: Lock,
  compose: ComposeFile,
  volume: string,
  dump: AppDump,
): Promise<Manifest['dumps'][number]> {
  const shot: OneShot = {
    image: imageOf(dump, lock, config),
    argv: dump.dump(`/stage/${dump.file}`),
    mounts: [`${volume}:/stage`, ...(dump.service === undefined ? await trustMounts(folder, config) : [])],
    network: networkOf(compose, dump.service),
    user: '0:0',
    capabilities: ['DAC_OVERRIDE'],
    env: revealAll(dump.env((name) => store.get(name))),
  };
  const { code, stdout, stderr } = await runOneShot(engine, shot);
  if (code !== 0)
    throw new Problem(
      EXIT.FAILED,
      `The dump of ${dump.what} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        means: 'No backup was made.',
        next: /no space left/i.test(stderr)
          ? 'Free some space on Docker’s disk and run this again.'
          : 'Check with `fedi-setup doctor` that the database works, then run this again.',
        log: stderr.trim().split('\n').slice(-10).join('\n'),
      },
    );
  const { app, file, what } = dump;
  const { name } = dump.image;
  return {
    app,
    file,
    what,
    rows: JSON.parse(stdout) as Record<string, number>,
    image: { name, tag: lock[name]?.tag ?? dump.image.reference },
  };
}

/** The volumes that exist, with the number of their files. */
async function countVolumes(
  { engine, config }: BackupSite,
  image: string,
  compose: ComposeFile,
  dumps: readonly AppDump[],
): Promise<Pick<Manifest, 'volumes'> & Pick<Staged, 'mounts'>> {
  const mounts: string[] = [];
  for (const { key, name } of volumesOf(compose, config, dumps))
    if ((await engine.volume(name)) !== undefined) mounts.push(`${name}:${SET}/volumes/${key}:ro`);
  const { stdout } = await runOneShot(engine, {
    image,
    argv: sh('count-files.sh', `${SET}/volumes`),
    mounts,
    user: '0:0',
    capabilities: ['DAC_READ_SEARCH'],
  });
  const volumes = stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' '))
    .map(([key = '', files]) => ({ key, files: Number(files) }));
  return { mounts, volumes };
}

/** Messages of restic about files that it could not read. */
const unreadable = (output: string): string[] =>
  output.split('\n').flatMap((line) => {
    try {
      const event = JSON.parse(line) as {
        message_type?: string;
        error?: { message?: string };
        item?: string;
      };
      return event.message_type === 'error' ? [event.error?.message ?? event.item ?? line] : [];
    } catch {
      return [];
    }
  });

/** Makes, checks and prunes the backup in one repository. */
async function backUpTo(options: BackupOptions, access: Access, id: string, staged: Staged): Promise<Backed> {
  const { config, progress, keep, everyHours } = options;
  const { repository } = access;
  const { text } = repository;
  const site = config.name;
  try {
    const summary = await withLine(progress, `backup.${text}`, `Backup to ${text}`, () =>
      snapshot(access, site, staged),
    );
    await withLine(progress, `check.${text}`, `Check of ${text}`, () =>
      checkRepository(access, ['--with-cache']),
    );
    progress.start(`prune.${text}`, `Old backups removed from ${text}`);
    const before = (await readRecord(options.folder)).repositories[text]?.last?.bytes ?? 0;
    const sameDisk = await isOnSameDisk(options.folder, repository);
    if (summary.bytes < before / 2) {
      progress.skip(
        `this backup has ${sizeText(summary.bytes)}, the last one ${sizeText(before)}: all are kept`,
      );
      return { repository, id, sameDisk, ...summary };
    }
    const pruned = await locking(
      access,
      [
        'forget',
        '--prune',
        '--quiet',
        `--tag=${TAG}`,
        `--host=${site}`,
        '--group-by=host',
        // Several of one day: the one before an upgrade, for example.
        '--keep-within=2d',
        `--keep-daily=${keep.daily}`,
        `--keep-weekly=${keep.weekly}`,
        `--keep-monthly=${keep.monthly}`,
        ...(everyHours < 24 ? ['--keep-hourly=24'] : []),
      ],
      'Removing old backups in',
      { site },
    ).catch((error: unknown) => asProblem(error));
    // A repository that this host can only append to is pruned elsewhere.
    if (pruned instanceof Problem) progress.skip(`cannot be removed from here: ${pruned.message}`);
    else progress.done();
    return { repository, id, sameDisk, removable: await isRemovable(access, options), ...summary };
  } catch (error) {
    return { repository, problem: asProblem(error) };
  }
}

/** How long the answer about a repository counts. */
const PROBE_HOURS = 30 * 24;

/**
 * Whether this host, or an attacker on it, can remove backups from a repository: makes a snapshot of a tiny file and removes it.
 * A repository that only accepts new data keeps it.
 */
export async function isRemovable(
  access: Access,
  { folder, config: { name: site }, now }: Pick<BackupOptions, 'folder' | 'config' | 'now'>,
): Promise<RepositoryRecord['removable']> {
  const { text } = access.repository;
  const before = (await readRecord(folder)).repositories[text]?.removable;
  if (before !== undefined && hoursSince(before.at, now()) < PROBE_HOURS) return before;
  const made = await restic(access, ['backup', '--json', '--tag=probe', `--host=${site}`, '/etc/hostname'], {
    site,
  });
  const id = /"snapshot_id":"(\w+)"/.exec(made.stdout)?.[1];
  if (id === undefined) return before;
  const { code } = await restic(access, ['forget', '--quiet', id], { site });
  return { at: now().toISOString(), is: code === 0 };
}

/** Whether a directory is on the file system of the site directory. */
async function isOnSameDisk(folder: string, repository: Repository): Promise<boolean> {
  if (repository.kind !== 'local') return false;
  const [one, other] = await Promise.all([stat(folder), stat(repository.path)]);
  return one.dev === other.dev;
}

interface Summary {
  readonly snapshot: string;
  readonly bytes: number;
  readonly added: number;
}

async function snapshot(
  access: Access,
  site: string,
  { mounts, excluded, manifest }: Staged,
): Promise<Summary> {
  const output = await locking(
    access,
    [
      'backup',
      '--json',
      '--no-scan',
      '--group-by=host',
      `--host=${site}`,
      `--tag=${TAG}`,
      `--time=${manifest.at.replace('T', ' ').slice(0, 19)}`,
      ...excluded.map((path) => `--exclude=${path}`),
      SET,
    ],
    'The backup to',
    { site, mounts, capabilities: ['DAC_READ_SEARCH'], accept: [0, INCOMPLETE] },
  );
  const last = output.stdout.trim().split('\n').at(-1) ?? '';
  const summary = JSON.parse(last) as {
    snapshot_id: string;
    total_bytes_processed: number;
    data_added_packed?: number;
    data_added: number;
  };
  const errors = unreadable(`${output.stdout}\n${output.stderr}`);
  // Apps remove files while restic reads: such a file is not part of the backup.
  const isLost =
    errors.length === 0 || !errors.every((message) => /no such file or directory/i.test(message));
  if (output.code === INCOMPLETE && isLost) {
    await restic(access, ['forget', summary.snapshot_id]);
    throw new Problem(
      EXIT.FAILED,
      `Some files could not be read: ${errors[0] ?? 'unknown'}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}`,
      {
        means: `The incomplete backup in ${access.repository.text} was removed.`,
        next: 'Check the file systems of the volumes, then run this again.',
      },
    );
  }
  return {
    snapshot: summary.snapshot_id.slice(0, 8),
    bytes: summary.total_bytes_processed,
    added: summary.data_added_packed ?? summary.data_added,
  };
}

/** Records the results for `status` and `doctor`. */
async function keepResults(folder: string, results: readonly Backed[], now: Date): Promise<void> {
  const record = await readRecord(folder);
  const at = now.toISOString();
  const next: Record<string, RepositoryRecord> = { ...record.repositories };
  for (const result of results) {
    const { repository, id, problem, snapshot: made, bytes = 0 } = result;
    const before = next[repository.text];
    if (problem !== undefined)
      next[repository.text] = {
        id: '',
        ...before,
        failed: { at, why: messageOf(problem).split('\n')[0] ?? '' },
      };
    else {
      const { failed: _, sameDisk: __, ...rest } = before ?? { id: '' };
      next[repository.text] = {
        ...rest,
        id: id ?? rest.id,
        first: rest.first ?? at,
        ...(result.sameDisk === true ? { sameDisk: true } : {}),
        ...(result.removable === undefined ? {} : { removable: result.removable }),
        last: { at, snapshot: made ?? '', bytes },
      };
    }
  }
  await writeRecord(folder, { ...record, repositories: next });
}

/** Checks the structure of a repository. Without a lock: nothing else changes it while this site is locked. */
async function checkRepository(access: Access, more: readonly string[]): Promise<void> {
  const output = await restic(access, ['check', '--no-lock', '--quiet', ...more]);
  if (output.code === 0) return;
  const { text } = access.repository;
  throw new Problem(EXIT.FAILED, `The backups in ${text} are damaged: ${lastWords(output)}`, {
    means: 'Some of them may not be restorable. The site was not changed.',
    next: 'Check the disk or the provider there. Make a new backup in another place (`fedi-setup backup --to …`) before you repair this one with restic.',
  });
}

/** Reads all data of a repository and compares them with their checksums. */
export async function verifyBackup(site: BackupSite, access: Access, now: Date): Promise<void> {
  const { folder } = site;
  const { text } = access.repository;
  const id = await repositoryId(access);
  if (id === undefined) throw noBackups(access);
  await checkRepository(access, ['--read-data']);
  const record = await readRecord(folder);
  await writeRecord(folder, {
    ...record,
    repositories: {
      ...record.repositories,
      [text]: { ...record.repositories[text], id, verified: now.toISOString() },
    },
  });
}
