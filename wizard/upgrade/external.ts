/** An upgrade of an app whose database is external: fedi-setup cannot restore that one, so it finds out whether it was changed. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { placesBefore } from '../apply/data.ts';
import { trustMounts } from '../apply/trust.ts';
import { UNDO, undoVolume } from '../apply/upgrading.ts';
import type { Upgrading } from '../apply/upgrading.ts';
import { appOf } from '../apps/index.ts';
import { writeWhole } from '../atomic.ts';
import type { BackupSite } from '../backup/backup.ts';
import { dumpsOf, imageOf, networkOf, readCompose } from '../backup/set.ts';
import type { AppDump } from '../backup/set.ts';
import type { AppConfig } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import { readLock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { revealAll } from '../secrets/secret.ts';
import { Store } from '../secrets/store.ts';

/** Checksum of the external database before the upgrade. */
const STATE = join(UNDO, 'database-state');

/** The database of an app if it is on an external server. */
export const externalDump = (app: AppConfig, store: Store): AppDump | undefined =>
  dumpsOf([app], store).find(({ service }) => service === undefined);

/** Which database that is, in words. */
export const placeOf = async (folder: string, { id }: AppConfig): Promise<string> =>
  (await placesBefore(folder))[id] ?? 'your external database';

/** A checksum of the schema and of the list of migrations. Throws a Problem. */
async function stateOf({ folder, engine, config }: BackupSite, store: Store, dump: AppDump): Promise<string> {
  const table = appOf(dump.app).upgrades?.table ?? '';
  const { code, stdout, stderr } = await runOneShot(engine, {
    image: imageOf(dump, await readLock(folder), config),
    argv: dump.state?.(table) ?? [],
    network: networkOf(await readCompose(folder), dump.service),
    mounts: await trustMounts(folder),
    env: revealAll(dump.env((name) => store.get(name))),
  });
  if (code === 0) return stdout.trim();
  throw new Problem(
    EXIT.FAILED,
    `The schema of ${dump.what} cannot be read: ${stderr.trim().split('\n').at(-1) ?? ''}`,
    {
      next: 'Check that the database server works and that no session there holds a lock, then run `fedi-setup upgrade` again.',
    },
  );
}

/** Records the state of an external database. The app is stopped. */
export async function keepState(site: BackupSite, apps: readonly AppConfig[], store: Store): Promise<void> {
  for (const app of apps) {
    const dump = externalDump(app, store);
    if (dump === undefined) continue;
    await mkdir(join(site.folder, UNDO), { recursive: true, mode: 0o700 });
    await writeWhole(join(site.folder, STATE), await stateOf(site, store, dump), 0o600);
  }
}

/** The new version has changed an external database. The administrator decides. */
export class DatabaseChanged extends Problem {}

/** Throws {@link DatabaseChanged} if an external database is not as it was. The app is stopped. */
export async function refuseChanged(
  site: BackupSite,
  { app: id, from, to }: Pick<Upgrading, 'app' | 'from' | 'to'>,
): Promise<void> {
  const { folder, config } = site;
  const before = await readFile(join(folder, STATE), 'utf8').catch(() => undefined);
  const app = config.apps.find((one) => one.id === id);
  if (before === undefined || app === undefined) return;
  const store = await Store.open(folder);
  const dump = externalDump(app, store);
  if (dump === undefined || (await stateOf(site, store, dump)) === before) return;
  const { file } = dump;
  const image = imageOf(dump, await readLock(folder), config);
  throw new DatabaseChanged(
    EXIT.FAILED,
    `${to} has changed ${await placeOf(folder, app)}, and ${from} cannot use it now.`,
    {
      means: `fedi-setup cannot restore that database. ${appOf(id).name} is stopped and in maintenance mode, so nobody can write anything.`,
      next: [
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
        `To go on with ${to} instead, fix the cause and run \`fedi-setup upgrade --confirm ${id}\`.`,
      ].join('\n'),
    },
  );
}
