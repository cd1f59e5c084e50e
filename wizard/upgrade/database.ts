/**
 * A new major version of a database server: its data are dumped, loaded into a new volume and compared. The old data stay in a
 * volume with a date in its name. Docker cannot rename volumes, so they are copied there, and the new volume gets the old name.
 */
import { join } from 'node:path';
import { appNames, databaseServers, keptKey, olderDatabases, wantedOf } from '../apps/majors.ts';
import type { DatabaseServer, OlderDatabase } from '../apps/majors.ts';
import { appOf, namesOf } from '../apps/index.ts';
import { versionsIn } from '../apply/majors.ts';
import { heldImages } from '../apply/older.ts';
import { HIDDEN_COMPOSE, hideCompose, showCompose } from '../apply/unfinished.ts';
import { UNDO, undoVolume } from '../apply/upgrading.ts';
import { writeWhole } from '../atomic.ts';
import { readRecord } from '../backup-record.ts';
import type { BackupSite } from '../backup/backup.ts';
import { emptyVolumes, load } from '../backup/restore.ts';
import { networkOf, readCompose } from '../backup/set.ts';
import type { Manifest } from '../backup/set.ts';
import { sizeText } from '../checks/check.ts';
import type { AppConfig } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { lockedReference, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { revealAll } from '../secrets/secret.ts';
import { Store } from '../secrets/store.ts';
import type { ComposeFile } from '../stack/compose.ts';
import { printYaml } from '../yaml.ts';
import { databaseSpace } from '../backup/space.ts';
import type { Space } from '../backup/space.ts';
import { timeText } from '../time.ts';
import { keepVolumes, refuseFull, spaceNeeded } from './copies.ts';
import { servicesToStop } from './undo.ts';

/** The Compose file with the new server, while compose.yaml is hidden. */
const NEW_COMPOSE = join(UNDO, 'compose-new.yaml');

/** Kinds of database servers that have a newer major version. */
export async function databaseTargets({ folder, config }: BackupSite): Promise<OlderDatabase[]> {
  const held = await heldImages(folder, await readLock(folder));
  return olderDatabases(
    config,
    Object.fromEntries(Object.entries(held).map(([name, { tag }]) => [name, tag])),
  );
}

/** Refuses an app without a database in a container of the site. Exit 2 or 3. */
export function refuseOtherDatabase({ config }: Pick<BackupSite, 'config'>, id: string): void {
  const app = config.apps.find((one) => one.id === id);
  if (app === undefined)
    throw new Problem(EXIT.USAGE, `This site has no ${id}.`, {
      means: 'Nothing was changed.',
      next: `It has: ${config.apps.map((one) => one.id).join(', ')}.`,
    });
  if (databaseServers({ apps: [app] }).length > 0) return;
  const { name, servers } = appOf(id);
  throw servers === undefined
    ? new Problem(EXIT.USAGE, `${name} has no database.`, { means: 'Nothing was changed.' })
    : new Problem(EXIT.REFUSED, `The database of ${name} is on your own server.`, {
        means: 'fedi-setup upgrades only databases in containers of the site. Nothing was changed.',
        next: 'Upgrade it there, with the app stopped: `fedi-setup stop`, then `fedi-setup start`.',
      });
}

/** The apps whose databases move. */
export const appsOf = ({ servers }: OlderDatabase): AppConfig[] => servers.map(({ app }) => app);

/** Volume key → name of the volume for the old data. One of the same day gets a number. */
export async function keptNames(
  { engine, config }: BackupSite,
  { servers, from }: OlderDatabase,
  at: Date,
): Promise<Record<string, string>> {
  const there = new Set(await engine.volumes(config.name));
  return Object.fromEntries(
    servers.map((server) => {
      const name = `${config.name}_${keptKey(server, from, at)}`;
      let free = name;
      for (let n = 2; there.has(free); n++) free = `${name}-${n}`;
      return [server.service, free];
    }),
  );
}

const volumeOf = (compose: ComposeFile, { service }: DatabaseServer): string =>
  compose.volumes[service]?.name ?? '';

/** What an upgrade needs on Docker's disk: a copy of the old data and a dump, which is smaller than the data. */
const COPIES = 2;

export const spaceFor = (site: BackupSite, { servers }: OlderDatabase, image: string): Promise<Space> =>
  databaseSpace(
    site,
    servers.map(({ service }) => service),
    image,
  );

/**
 * Refuses what an upgrade could not move or has no space for, before anything changes.
 * @param shown the new image as the answers name it
 * @param image its reference; it is on the host
 */
export async function refuseDatabase(
  { folder, engine, config }: BackupSite,
  { servers, image: name, product, from, to }: OlderDatabase,
  shown: string,
  image: string,
  space: Space,
): Promise<void> {
  const compose = await readCompose(folder);
  for (const server of servers) {
    const volume = volumeOf(compose, server);
    const found = await versionsIn(engine, config, server, image, volume);
    if (found.data !== from || found.server !== to)
      throw new Problem(
        EXIT.REFUSED,
        found.data === from
          ? `${shown} is ${product} ${found.server ?? 'of an unknown version'}, not ${to}.`
          : `The data in ${volume} are from ${product} ${found.data ?? 'an unknown version'}, not ${from} as the image lock says.`,
        {
          means: 'Nothing was changed.',
          next: `Correct ${found.data === from ? `images.${name} in fedi.yaml` : 'images.lock.yaml'}, and run this again.`,
        },
      );
    const { code, stdout, stderr } = await runtimeOf(engine, config.name).exec(server.service, {
      argv: server.majors.besides(),
    });
    const besides = stdout.trim().split('\n').filter(Boolean);
    if (code === 0 && besides.length === 0) continue;
    throw new Problem(
      EXIT.REFUSED,
      code === 0
        ? `${server.service} has more than the database of ${appOf(server.app.id).name}: ${besides.join(', ')}.`
        : `${server.service} cannot be examined: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        means: `${code === 0 ? 'The new server would not have it. ' : ''}Nothing was changed.`,
        next:
          code === 0
            ? 'Save and remove it, run this again, and create it in the new server.'
            : '`fedi-setup doctor` shows whether it works. Fix that, then run this again.',
      },
    );
  }
  refuseFull(`The upgrade of ${product}`, space, COPIES, 'a dump and the old data');
}

/** The plan, in lines. */
export async function describeDatabase(
  { folder, config, engine }: BackupSite,
  { image, product, servers, from, to }: OlderDatabase,
  kept: Readonly<Record<string, string>>,
  space: Space,
): Promise<string[]> {
  const { upgraded, repositories } = await readRecord(folder);
  const last = upgraded?.[image];
  const running = (await engine.containers(config.name)).filter(({ state }) => state === 'running');
  const services = running.map(({ service }) => service);
  const stopped = servers.flatMap(({ app, service }) => [...servicesToStop(app, services), service]);
  const newest = Object.values(repositories)
    .flatMap((one) => one.last?.at ?? [])
    .toSorted()
    .at(-1);
  return [
    '',
    `  ${product} ${from} → ${to}, for ${appNames(servers)}`,
    `    Database       ${servers.map(({ service }) => service).join(', ')}: ${sizeText(space.used * 1024)}`,
    `    Space          ${sizeText(spaceNeeded(space, COPIES) * 1024)} for a dump and the old data; ${sizeText(space.free * 1024)} are free`,
    `    Backup         to ${(config.backup?.repositories ?? []).map(({ text }) => text).join(', ')}, before anything changes${newest === undefined ? '' : ` (the last one: ${timeText(newest)})`}`,
    `    Maintenance    ${servers.flatMap(({ app }) => namesOf(app)).join(', ')}: visitors see a page, other servers get 503 and try again later`,
    `    Stopped        ${stopped.join(', ')}${last === undefined ? '' : ` (last time: ${last.seconds} s)`}`,
    `    Moved          by a dump, into a new volume; rows of all tables, encoding and collations are compared`,
    `    Old data       stay in ${Object.values(kept).join(', ')} until you remove ${servers.length > 1 ? 'them' : 'it'}`,
    `    If it fails    ${product} ${from} with its data is restored as it was`,
    `    No return      once the site is proven and the maintenance mode ends: then the only way back is to restore the backup`,
    '',
  ];
}

/** Server → what must stay the same when its data move; see `Majors`. */
type Traits = Readonly<Record<string, Readonly<Record<string, string>>>>;

async function traitsOf(
  { engine }: BackupSite,
  store: Store,
  compose: ComposeFile,
  servers: readonly DatabaseServer[],
  image: string,
): Promise<Traits> {
  const traits: Record<string, Record<string, string>> = {};
  for (const { service, majors, dump } of servers)
    traits[service] = linesOf(
      await ask(engine, image, majors.traits(), networkOf(compose, service), dump.env, store, service),
    );
  return traits;
}

const linesOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('\t') as [string, string]),
  );

/** Output of a client of a server. Throws a Problem. */
async function ask(
  engine: Engine,
  image: string,
  argv: readonly string[],
  network: string,
  env: DatabaseServer['dump']['env'],
  store: Store,
  service: string,
): Promise<string> {
  const shot = { image, argv, network, env: revealAll(env((name) => store.get(name))) };
  const { code, stdout, stderr } = await runOneShot(engine, shot);
  if (code === 0) return stdout;
  const words = stderr.trim().split('\n');
  const error = words.find((line) => /error/i.test(line)) ?? words.at(-1) ?? '';
  throw new Problem(EXIT.FAILED, `${service} cannot be examined: ${error}`, {
    next: '`fedi-setup logs` shows why. Fix that, then run this again.',
  });
}

/** What must be the same afterwards, of one upgrade. */
export interface Before {
  readonly dumps: Manifest['dumps'];
  readonly traits: Traits;
}

/**
 * Saves the old data, after the dumps: reads their traits, stops the servers, copies the volumes. The site is in maintenance mode.
 * @param image reference of the new image
 */
export async function keepDatabases(
  site: BackupSite,
  { servers }: OlderDatabase,
  kept: Readonly<Record<string, string>>,
  image: string,
  progress: Progress,
): Promise<Traits> {
  const { folder } = site;
  const compose = await readCompose(folder);
  const traits = await traitsOf(site, await Store.open(folder), compose, servers, image);
  await keepVolumes(
    site,
    servers.map(({ service }) => service),
    kept,
    image,
    progress,
  );
  return traits;
}

/**
 * Loads the dumps into new servers on new volumes, and compares. Throws a Problem; the caller restores the old data then.
 * @param lock of the site, with the new image
 */
export async function moveDatabases(
  site: BackupSite,
  { servers, image: name }: OlderDatabase,
  lock: Lock,
  before: Before,
  progress: Progress,
): Promise<void> {
  const { folder, engine, config } = site;
  const store = await Store.open(folder);
  const image = lockedReference(lock[name] as Lock[string]);
  // Nothing may start the old server on the new volume.
  await hideCompose(folder);
  const compose = await readCompose(folder, HIDDEN_COMPOSE);
  const services = servers.map(({ service }) => service);
  await writeWhole(join(folder, NEW_COMPOSE), printYaml(withImage(compose, services, image)), 0o600);
  for (const { service, id } of await engine.containers(config.name))
    if (services.includes(service)) await engine.removeContainer(id);
  const opened = { config, store, lock, compose };
  await emptyVolumes({ engine, image }, opened, services);
  for (const { dump, app } of servers)
    await withLine(progress, `load.${dump.file}`, `${dump.what.replace(/^t/, 'T')}, in a new volume`, () =>
      load(
        { folder, engine, keepsQueues: true },
        opened,
        undoVolume(config.name),
        { ...dump, app: app.id },
        NEW_COMPOSE,
      ),
    );
  const after = await traitsOf(site, store, compose, servers, image);
  for (const { service, dump } of servers)
    await withLine(progress, `compare.${dump.file}`, 'Rows, encoding and collations as before', async () => {
      const counted = await ask(
        engine,
        image,
        dump.count?.() ?? [],
        networkOf(compose, service),
        dump.env,
        store,
        service,
      );
      const rows = before.dumps.find(({ file }) => file === dump.file)?.rows ?? {};
      refuseDifferent('rows', service, rows, JSON.parse(counted) as typeof rows);
      refuseDifferent('traits', service, before.traits[service] ?? {}, after[service] ?? {});
    });
  await showCompose(folder);
}

/** A Compose file whose services run another image. */
export const withImage = (compose: ComposeFile, services: readonly string[], image: string): ComposeFile => ({
  ...compose,
  services: Object.fromEntries(
    Object.entries(compose.services).map(([key, service]) => [
      key,
      services.includes(key) ? { ...service, image } : service,
    ]),
  ),
});

/** Throws a Problem that names what differs between the old and the new server. */
export function refuseDifferent(
  what: 'rows' | 'traits',
  service: string,
  before: Readonly<Record<string, number | string>>,
  after: Readonly<Record<string, number | string>>,
): void {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const wrong = names.filter((name) => before[name] !== after[name]);
  if (wrong.length === 0 && names.length > 0) return;
  const listed = wrong
    .slice(0, 5)
    .map((name) => `${name}: ${before[name] ?? 'none'} before, ${after[name] ?? 'none'} now`);
  throw new Problem(
    EXIT.FAILED,
    names.length === 0
      ? `Nothing in ${service} could be compared.`
      : `${what === 'rows' ? 'The numbers of rows' : 'Encoding or collation'} in ${service} differ from those before: ${listed.join('; ')}${wrong.length > 5 ? '; …' : ''}`,
    {
      next:
        what === 'rows'
          ? 'Check the database for damage (the log of the server names it), then run this again.'
          : 'With another collation, texts would be sorted and compared differently. Change the database to what a new server has, then run this again.',
    },
  );
}

/** Reference of the image that a site wants for a kind of database server. */
export const newImage = ({ config }: BackupSite, { image }: OlderDatabase): string =>
  wantedOf(config, image)?.reference ?? '';
