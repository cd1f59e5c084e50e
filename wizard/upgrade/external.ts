/** An upgrade of an app whose database is external: whether it was changed, and whether fedi-setup can restore it. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { placesBefore } from '../apply/data.ts';
import { trustMounts } from '../apply/trust.ts';
import { UNDO, undoVolume } from '../apply/upgrading.ts';
import type { Upgrading } from '../apply/upgrading.ts';
import { appOf } from '../apps/index.ts';
import { writeWhole } from '../atomic.ts';
import { ensureImage } from '../backup/access.ts';
import type { BackupSite } from '../backup/backup.ts';
import { dumpsOf, imageOf, networkOf, readCompose } from '../backup/set.ts';
import type { AppDump } from '../backup/set.ts';
import type { AppConfig } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Output } from '../docker/engine.ts';
import { readLock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { revealAll } from '../secrets/secret.ts';
import { Store } from '../secrets/store.ts';

/** Checksum of the external database before the upgrade. */
const STATE = join(UNDO, 'database-state');

/** The database of an app if it is on an external server. */
const externalDump = (app: AppConfig, store: Store): AppDump | undefined =>
  dumpsOf([app], store).find(({ service }) => service === undefined);

/** An external database that an upgrade changes. */
export interface External {
  /** "the database x at y". */
  readonly place: string;
  /** Why fedi-setup cannot restore it; empty: it can. */
  readonly obstacles: readonly string[];
}

/** The external database of an app; undefined: it is in a container. Throws a Problem if it cannot be asked. */
export async function externalOf(
  site: BackupSite,
  app: AppConfig,
  progress: Progress,
): Promise<External | undefined> {
  const { folder, engine, config } = site;
  const store = await Store.open(folder);
  const dump = externalDump(app, store);
  if (dump === undefined) return undefined;
  await ensureImage(engine, imageOf(dump, await readLock(folder), config), progress);
  const found =
    dump.reload === undefined
      ? 'its server cannot undo changes of the schema'
      : await ask(site, store, dump, dump.reload.besides());
  return { place: await placeOf(folder, app), obstacles: found.split('\n').filter(Boolean) };
}

/** Which database that is, in words. */
const placeOf = async (folder: string, { id }: AppConfig): Promise<string> =>
  (await placesBefore(folder))[id] ?? 'your external database';

/** Runs a client of an external database. @param reads it reads the dumps that were saved, in /stage */
async function client(
  { folder, engine, config }: BackupSite,
  store: Store,
  dump: AppDump,
  argv: readonly string[],
  reads = false,
): Promise<Output> {
  return runOneShot(engine, {
    image: imageOf(dump, await readLock(folder), config),
    argv,
    network: networkOf(await readCompose(folder), dump.service),
    mounts: [
      ...(reads ? [`${undoVolume(config.name)}:/stage:ro`] : []),
      ...(await trustMounts(folder, config)),
    ],
    env: revealAll(dump.env((name) => store.get(name))),
    ...(reads ? { user: '0:0', capabilities: ['DAC_OVERRIDE'] } : {}),
  });
}

const firstError = (stderr: string): string => {
  const lines = stderr.trim().split('\n');
  return lines.find((line) => /error|fatal/i.test(line)) ?? lines.at(-1) ?? '';
};

/** What a client prints. Throws a Problem. */
async function ask(site: BackupSite, store: Store, dump: AppDump, argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await client(site, store, dump, argv);
  if (code === 0) return stdout.trim();
  throw new Problem(EXIT.FAILED, `${dump.what.replace(/^t/, 'T')} cannot be read: ${firstError(stderr)}`, {
    next: 'Check that the database server works and that no session there holds a lock, then run `fedi-setup upgrade` again.',
  });
}

/** A checksum of the schema and of the list of migrations. Throws a Problem. */
const stateOf = (site: BackupSite, store: Store, dump: AppDump): Promise<string> =>
  ask(site, store, dump, dump.state?.(appOf(dump.app).upgrades?.table ?? '') ?? []);

/** Records the state of an external database. The app is stopped. */
export async function keepState(site: BackupSite, apps: readonly AppConfig[], store: Store): Promise<void> {
  for (const app of apps) {
    const dump = externalDump(app, store);
    if (dump === undefined) continue;
    await mkdir(join(site.folder, UNDO), { recursive: true, mode: 0o700 });
    await writeWhole(join(site.folder, STATE), await stateOf(site, store, dump), 0o600);
  }
}

/** The new version has changed an external database, which could not be restored. The administrator decides. */
export class DatabaseChanged extends Problem {}

/**
 * Restores an external database that is not as it was, if that was possible before the upgrade. Otherwise throws
 * {@link DatabaseChanged}. The app is stopped.
 */
export async function restoreExternal(
  site: BackupSite,
  upgrading: Pick<Upgrading, 'app' | 'from' | 'to' | 'external'>,
  progress: Progress,
): Promise<void> {
  const { folder, config } = site;
  const before = await readFile(join(folder, STATE), 'utf8').catch(() => undefined);
  const app = config.apps.find(({ id }) => id === upgrading.app);
  if (before === undefined || app === undefined) return;
  const store = await Store.open(folder);
  const dump = externalDump(app, store);
  if (dump === undefined || (await stateOf(site, store, dump)) === before) return;
  const { reload, file, what } = dump;
  if (reload === undefined || upgrading.external !== undefined)
    throw await changedProblem(site, store, app, dump, upgrading);
  await withLine(progress, `undo.${file}`, what.replace(/^t/, 'T'), async () => {
    const { code, stderr } = await client(site, store, dump, reload.load(`/stage/${file}`), true);
    if (code !== 0) throw await changedProblem(site, store, app, dump, upgrading, firstError(stderr));
    if ((await stateOf(site, store, dump)) !== before)
      throw await changedProblem(site, store, app, dump, upgrading, 'its schema differs from the one before');
  });
}

/** @param why it could not be restored; absent: that was known before */
async function changedProblem(
  { folder, config }: BackupSite,
  store: Store,
  app: AppConfig,
  dump: AppDump,
  { from, to }: Pick<Upgrading, 'from' | 'to'>,
  why?: string,
): Promise<DatabaseChanged> {
  const { file } = dump;
  const image = imageOf(dump, await readLock(folder), config);
  const place = await placeOf(folder, app);
  return new DatabaseChanged(
    EXIT.FAILED,
    `${to} has changed ${place}, and ${from} cannot use it now.${why === undefined ? '' : ` It could not be restored: ${why}`}`,
    {
      means: `${why === undefined ? 'fedi-setup cannot restore that database. ' : ''}${appOf(app.id).name} is stopped and in maintenance mode, so nobody can write anything.`,
      next: [
        ...(why === undefined
          ? []
          : ['Fix that and run `fedi-setup upgrade` again. Or restore it yourself:']),
        `To go back to ${from}, restore your snapshot on the database server. Or load the dump made at the start of the upgrade; on this host:`,
        `  \`docker run --rm --user=0 --entrypoint=cat --volume=${undoVolume(config.name)}:/stage:ro ${image} /stage/${file} >${file}\``,
        'With that file, as an administrator of the database server:',
        ...(
          dump.byHand?.(
            dump.env((name) => store.get(name)),
            file,
          ) ?? []
        ).map((line) => `  \`${line}\``),
        `Then run \`fedi-setup upgrade\`: it finds the database as it was, and restores ${from}.`,
        `To go on with ${to} instead, fix the cause and run \`fedi-setup upgrade --confirm ${app.id}\`.`,
      ].join('\n'),
    },
  );
}
