/** Removes what nobody needs: caches of the apps, and images of old versions. Never a volume. */
import { stat } from 'node:fs/promises';
import { appOf } from '../apps/index.ts';
import type { CleanUp, RemoteMedia } from '../apps/app.ts';
import { keptVolumes } from '../apps/majors.ts';
import { readGenerations } from '../apply/generations.ts';
import { shellProgram } from '../assets.ts';
import { exists } from '../atomic.ts';
import { readRecord } from '../backup-record.ts';
import { readCompose } from '../backup/set.ts';
import { thisHost } from '../checks/host.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Reading } from '../disk-record.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { lockedReference, readLock } from '../plan/lock.ts';
import type { LockEntry } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';

interface Site {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
}

export interface CleanUpOptions extends Site {
  readonly isDryRun: boolean;
  readonly progress: Progress;
}

/** Scanning all files of a large server takes long. */
const MEASURE_MS = 2 * 3_600_000;

/** Free space and the sizes of the volumes. Throws a Problem if the site was never set up. */
export async function measure({ folder, config, engine }: Site, now: Date): Promise<Reading> {
  const { dataRoot } = await engine.info();
  const paths = new Set([dataRoot, folder, ...config.apps.flatMap(({ folders }) => Object.values(folders))]);
  const free: Record<string, number> = {};
  const devices = new Set<number>();
  for (const path of paths) {
    // Several directories may be on one file system.
    const device = (await stat(path).catch(() => undefined))?.dev;
    const space = device === undefined || devices.has(device) ? undefined : await thisHost.space(path);
    if (device === undefined || space === undefined) continue;
    devices.add(device);
    free[path] = space.freeBytes;
  }
  return { at: now.toISOString(), free, ...(await sizesOf({ folder, config, engine })) };
}

/** Directory in the container that measures: the volumes and the repositories are below it. */
const MEASURED = '/measured';

/** Of the volumes, of the copies of remote files in them, and of the repositories in directories on the disk of the site. */
async function sizesOf({ folder, config, engine }: Site): Promise<Omit<Reading, 'at' | 'free'>> {
  const { caddy } = await readLock(folder);
  const mounts: string[] = [];
  const keys: string[] = [];
  for (const [key, { name }] of Object.entries((await readCompose(folder)).volumes)) {
    if ((await engine.volume(name)) === undefined) continue;
    mounts.push(`${name}:${MEASURED}/${key}:ro`);
    keys.push(key);
  }
  for (const { volume } of await keptVolumes(engine, config.name)) {
    const key = volume.slice(config.name.length + 1);
    mounts.push(`${volume}:${MEASURED}/${key}:ro`);
    keys.push(key);
  }
  if (caddy === undefined || keys.length === 0) return { volumes: {} };
  const { repositories } = await readRecord(folder);
  const local: string[] = [];
  for (const one of config.backup?.repositories ?? [])
    // Docker would create a directory that does not exist.
    if (one.kind === 'local' && repositories[one.text]?.sameDisk === true && (await exists(one.path)))
      local.push(one.path);
  // No volume has such a name.
  const places = local.map((_, i) => `${MEASURED}/repository.${i}`);
  mounts.push(...local.map((path, i) => `${path}:${places[i] ?? ''}:ro`));
  const { stdout } = await runOneShot(
    engine,
    {
      image: lockedReference(caddy),
      argv: shellProgram('maintain/programs/volume-sizes.sh', [
        ...keys.map((key) => `${MEASURED}/${key}`),
        ...places,
      ]),
      mounts,
      user: '0:0',
      capabilities: ['DAC_READ_SEARCH'],
    },
    { timeoutMs: MEASURE_MS },
  );
  const sizes = sizesIn(stdout);
  const cached = config.apps.flatMap(({ id }): [string, number][] => {
    const { volume, cached: name } = appOf(id).uploads ?? {};
    const bytes = sizes.get(`${MEASURED}/${volume}/${name}`);
    return volume === undefined || name === undefined || bytes === undefined ? [] : [[volume, bytes]];
  });
  return {
    volumes: Object.fromEntries(keys.map((key) => [key, sizes.get(`${MEASURED}/${key}`) ?? 0])),
    ...(cached.length > 0 ? { cached: Object.fromEntries(cached) } : {}),
    ...(places.length > 0
      ? { backups: places.reduce((total, place) => total + (sizes.get(place) ?? 0), 0) }
      : {}),
  };
}

/** Directory → bytes, from the output of `du -k`. */
export const sizesIn = (stdout: string): ReadonlyMap<string, number> =>
  new Map(
    stdout.split('\n').flatMap((line): [string, number][] => {
      const [, kib, path = ''] = /^(\d+)\s+(.+)$/.exec(line) ?? [];
      return kib === undefined ? [] : [[path, Number(kib) * 1024]];
    }),
  );

/** Limit of one task. */
const TASK_MS = 6 * 3_600_000;

/** Cleans up. The caller holds the run lock. A task that fails does not stop the others. @returns the first Problem */
export async function cleanUp(options: CleanUpOptions): Promise<Problem | undefined> {
  const { config } = options;
  let first: Problem | undefined;
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      first ??= error;
    }
  };
  for (const app of config.apps) {
    const media = await remoteMediaOf(options, app);
    for (const one of appOf(app.id).cleanUps(app, media?.days)) await attempt(() => runTask(options, one));
  }
  await attempt(() => removeImages(options));
  return first;
}

async function runTask({ engine, config, isDryRun, progress }: CleanUpOptions, one: CleanUp): Promise<void> {
  const { id, title, service, argv, dryRun, reports } = one;
  progress.start(id, title);
  if (isDryRun && dryRun === undefined) return progress.skip('no preview');
  const container = await runtimeOf(engine, config.name).running(service);
  if (container === undefined) return progress.skip(`${service} is not running`);
  const command = { argv: [...argv, ...(isDryRun && dryRun !== undefined ? [dryRun] : [])] };
  const { code, stdout, stderr } = await engine.exec(container.id, command, { timeoutMs: TASK_MS });
  if (code === 0) return progress.done(reports?.exec(stdout)?.[0]);
  progress.fail();
  throw new Problem(
    EXIT.FAILED,
    `${title}: \`${command.argv.join(' ')}\` failed in ${service} (exit code ${code}).`,
    {
      means: 'Some of it may have been removed; nothing else is affected.',
      next: `Look at \`fedi-setup logs ${service}\`, then run \`fedi-setup cleanup\` again.`,
      log: `${stdout}${stderr}`.trim().split('\n').slice(-10).join('\n'),
    },
  );
}

/** How long an app keeps remote media; undefined: it keeps none, or does not run. */
export async function remoteMediaOf(
  { engine, config }: Pick<Site, 'engine' | 'config'>,
  { id, options }: AppConfig,
): Promise<RemoteMedia | undefined> {
  const query = appOf(id).remoteMedia?.(options);
  if (query === undefined) return undefined;
  const container = await runtimeOf(engine, config.name).running(query.service);
  if (container === undefined) return undefined;
  const { code, stdout } = await engine.exec(container.id, query.check);
  if (code !== 0) return undefined;
  const { days, bytes, perDay } = JSON.parse(stdout) as Omit<RemoteMedia, 'days'> & { days: number | null };
  return { days: days ?? undefined, bytes, perDay };
}

/**
 * Removes images that only versions before the previous one used, if no container uses them. Images that somebody loaded stay:
 * no registry has them.
 */
async function removeImages({ folder, engine, isDryRun, progress }: CleanUpOptions): Promise<void> {
  progress.start('images', 'Docker images that neither the current nor the previous version uses');
  const old = unneeded(
    await readLock(folder),
    (await readGenerations(folder)).map(({ lock }) => Object.values(lock)),
  );
  let count = 0;
  for (const entry of old) {
    const reference = 'digest' in entry ? lockedReference(entry) : entry.id;
    const image = await engine.image(reference);
    if (image === undefined) continue;
    if (!(await engine.isUnusedImage(image.id, entry.tag))) continue;
    if (isDryRun || (await engine.removeImage(image.id))) count += 1;
  }
  progress.done(`${count === 0 ? 'none' : count}${isDryRun && count > 0 ? ' would be removed' : ''}`);
}

const identity = (entry: LockEntry): string => lockedReference(entry) + ('id' in entry ? entry.id : '');

/**
 * Lock entries of earlier generations that can be removed.
 * @param now the lock of the site
 * @param generations the entries of each generation, oldest first
 */
export function unneeded(
  now: Readonly<Record<string, LockEntry>>,
  generations: readonly (readonly LockEntry[])[],
): LockEntry[] {
  const setOf = (entries: readonly LockEntry[]): Set<string> => new Set(entries.map(identity));
  const current = setOf(Object.values(now));
  const previous = generations.findLast((entries) => entries.some((entry) => !current.has(identity(entry))));
  const needed = new Set([...current, ...setOf(previous ?? [])]);
  const old = new Map(
    generations.flatMap((entries) =>
      entries
        .filter((entry) => !needed.has(identity(entry)) && !('source' in entry && entry.source === 'loaded'))
        .map((entry) => [identity(entry), entry] as const),
    ),
  );
  return [...old.values()];
}
