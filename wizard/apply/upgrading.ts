/** An upgrade in progress, and its maintenance mode. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, writeWhole } from '../atomic.ts';
import { OWN, STATUS_PATH } from '../layout.ts';
import type { Engine } from '../docker/engine.ts';
import { isAlive } from './runlock.ts';
import type { Owner } from './runlock.ts';

const FILE = join(OWN, 'upgrade.json');
/** Caddy imports the files of this directory at the start of each site (caddy/Caddyfile). */
const RULES = join('caddy', 'maintenance');

/** The header by which Caddy recognises the proofs of fedi-setup. */
export const MAINTENANCE_HEADER = 'X-Fedi-Setup-Maintenance';

/** What is in progress. */
export interface Upgrading {
  readonly app: string;
  readonly from: string;
  readonly to: string;
  /** ISO 8601. */
  readonly at: string;
  /** The process that runs it. Between its steps it does not hold the run lock. */
  readonly owner: Owner;
  /** The new version changes the data: the site is in maintenance mode, and dumps are saved. */
  readonly withData: boolean;
  /** Value of {@link MAINTENANCE_HEADER}. */
  readonly token: string;
  /**
   * `started`: nothing was changed. `saved`: files and dumps of the previous version are saved, the new one may have changed the
   * data. `proven`: the running version works, and users may write.
   */
  readonly phase: 'started' | 'saved' | 'proven';
  /** It changes an external database that cannot be restored. */
  readonly external?: true;
  /** Newer builds of images, of several apps; absent: a new version. */
  readonly images?: {
    /** Services that run them. */
    readonly services: readonly string[];
    /** Apps whose data may change; absent: none. */
    readonly apps?: readonly string[];
    /** Key of each volume whose data may change → name of the volume with its copy. */
    readonly copies?: Readonly<Record<string, string>>;
  };
  /** A new major version of a database server; absent: a new version of the app. */
  readonly database?: {
    /** "PostgreSQL". */
    readonly product: string;
    /** All apps whose databases it moves. */
    readonly apps: readonly string[];
    /** Key of each moved volume → name of the volume with its old data. */
    readonly kept: Readonly<Record<string, string>>;
  };
}

/** What is upgraded, and the apps whose data change. */
export const upgradedApps = ({ app, database, images }: Upgrading): readonly string[] =>
  database?.apps ?? images?.apps ?? [app];

/** Volume key → name of the volume with the data from before. */
export const copiesOf = ({ database, images }: Upgrading): Readonly<Record<string, string>> =>
  database?.kept ?? images?.copies ?? {};

/** Whether the databases and queues are saved as dumps. */
export const hasDumps = ({ withData, images }: Upgrading): boolean => withData && images === undefined;

export async function readUpgrading(folder: string): Promise<Upgrading | undefined> {
  const text = await readFile(join(folder, FILE), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Upgrading);
}

/** Whether its process ended before it was complete. */
export const isInterrupted = async ({ owner }: Upgrading): Promise<boolean> => !(await isAlive(owner));

export const keepUpgrading = (folder: string, upgrading: Upgrading): Promise<void> =>
  writeWhole(join(folder, FILE), `${JSON.stringify(upgrading)}\n`, 0o600);

/** Directory with the files of the previous version. */
export const UNDO = join(OWN, 'undo');

/** Volume with the dumps of the previous version. Names of copies start with it too. @param site name of the Compose project */
export const undoVolume = (site: string): string => `${site}_undo`;

/** Removes what was saved of the previous version. */
export async function removeSaved(folder: string, site: string, engine: Engine): Promise<void> {
  await rm(join(folder, UNDO), { recursive: true, force: true });
  const undo = undoVolume(site);
  for (const volume of await engine.volumes(site))
    if (volume === undo || volume.startsWith(`${undo}_`)) await engine.removeVolume(volume);
}

/** Removes copies of old data: an upgrade that was undone needs none. */
export async function removeKept({ database }: Upgrading, engine: Engine): Promise<void> {
  for (const volume of Object.values(database?.kept ?? {}))
    if ((await engine.volume(volume)) !== undefined) await engine.removeVolume(volume);
}

/** Ends an upgrade: nothing can be restored afterwards. */
export async function endUpgrading(folder: string, site: string, engine: Engine): Promise<void> {
  await removeSaved(folder, site, engine);
  await rm(join(folder, FILE), { force: true });
}

/**
 * Writes the rule by which Caddy answers 503 to all other clients. Takes effect when Caddy is reloaded.
 * @param hasPage the site has a status page, which everybody may see
 */
export async function writeMaintenance(
  folder: string,
  app: string,
  token: string,
  names: readonly string[],
  hasPage: boolean,
): Promise<void> {
  await mkdir(join(folder, RULES), { recursive: true, mode: 0o755 });
  await writeWhole(
    join(folder, RULES, `${app}.caddy`),
    `# An upgrade is in progress. \`fedi-setup upgrade\` removes this file.
@maintenance_${app} {
	host ${names.join(' ')}
	not header ${MAINTENANCE_HEADER} ${token}
${hasPage ? `	not path ${STATUS_PATH}\n` : ''}}
invoke @maintenance_${app} maintenance
`,
    0o644,
  );
}

/** Whether an app is in maintenance mode. */
export const isInMaintenance = (folder: string, app: string): Promise<boolean> =>
  exists(join(folder, RULES, `${app}.caddy`));

export const removeMaintenance = (folder: string): Promise<void> =>
  rm(join(folder, RULES), { recursive: true, force: true });
