/** Restores the newest backup into a separate place without a network, compares and uses the data, and removes them again. */
import { setTimeout as delay } from 'node:timers/promises';
import { appOf } from '../apps/index.ts';
import { readRecord, writeRecord } from '../backup-record.ts';
import { shellProgram } from '../assets.ts';
import type { AppConfig } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { OneShot, Output } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import { EXIT, Problem, messageOf } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { revealAll } from '../secrets/secret.ts';
import { withScratch, withTemporary } from '../temporary.ts';
import { ensureImage } from './access.ts';
import { OWNERS, restic, repositoryProblem } from './restic.ts';
import type { Access, Snapshot } from './restic.ts';
import { savedSite } from './saved.ts';
import type { Contents, Saved } from './saved.ts';
import { SET, dumpsOf, imageOf } from './set.ts';
import type { AppDump, Manifest } from './set.ts';

export interface DrillOptions {
  readonly folder: string;
  readonly access: Access;
  readonly snapshot: Snapshot;
  readonly manifest: Manifest;
  readonly files: Contents['files'];
  readonly progress: Progress;
  readonly now: () => Date;
}

/** Everything is below this directory of the drill's volume. */
const AT = '/drill';
/** Owner of the files of a server's image. */
const SERVER = '999:999';
const WAIT_MS = 1000;

/** One database runs at a time. Of an interrupted drill it is removed by its name. */
const containerOf = (site: string): string => `fedi-setup-drill-${site}`;

/** One part of a drill, for the report. */
interface Result {
  readonly ok: boolean;
  readonly seen: string;
}

/** @returns whether all parts succeeded */
export async function drill(options: DrillOptions): Promise<boolean> {
  const { folder, access, manifest, progress, now } = options;
  const { engine } = access;
  const volume = `${manifest.site}_drill`;
  const remove = async (): Promise<void> => {
    await engine.removeContainer(containerOf(manifest.site), 'disposable');
    if ((await engine.volume(volume)) !== undefined) await engine.removeVolume(volume);
  };
  // Of a killed drill.
  await remove();
  await engine.createVolume(volume, manifest.site, 'drill');
  let ok = true;
  const part = async (id: string, title: string, work: () => Promise<Result>): Promise<boolean> => {
    progress.start(`drill.${id}`, title);
    const result = await work().catch((error: unknown): Result => {
      if (!(error instanceof Problem)) throw error;
      return { ok: false, seen: error.message };
    });
    if (result.ok) progress.done(result.seen);
    else progress.fail(result.seen);
    ok &&= result.ok;
    return result.ok;
  };
  await withTemporary(remove, () =>
    withScratch(async (scratch) => {
      let site: Saved | undefined;
      await part('secrets', 'Configuration and secrets', async () => {
        site = await savedSite(options, scratch);
        return sameSecrets(site, manifest);
      });
      await part('files', 'Files', () => restoreAll(options, volume));
      if (site !== undefined)
        for (const app of site.config.apps) await drillApp(options, site, app, volume, part);
    }),
  );
  await writeRecord(folder, { ...(await readRecord(folder)), drill: { at: now().toISOString(), ok } });
  return ok;
}

function sameSecrets({ config, store }: Saved, manifest: Manifest): Result {
  const wrong = manifest.apps.filter(
    ({ id, secrets }) =>
      !config.apps.some((app) => app.id === id) || store.identityFingerprint(appOf(id).secrets) !== secrets,
  );
  return wrong.length === 0
    ? { ok: true, seen: `match the data of ${manifest.apps.map(({ id }) => id).join(', ')}` }
    : { ok: false, seen: `do not match the data of ${wrong.map(({ id }) => id).join(', ')}` };
}

/** Restores all files, and compares each with its checksum. */
async function restoreAll({ access, snapshot, manifest }: DrillOptions, volume: string): Promise<Result> {
  const output = await restic(
    access,
    [
      'restore',
      '--no-lock',
      '--verify',
      '--json',
      snapshot.id,
      `--include=${SET}/volumes`,
      `--include=${SET}/stage`,
      '--target',
      AT,
    ],
    { mounts: [`${volume}:${AT}`], capabilities: OWNERS },
  );
  if (output.code !== 0) throw repositoryProblem(access, output, 'Restoring from');
  const counted = await runOneShot(access.engine, {
    image: access.image,
    argv: shellProgram('backup/programs/count-files.sh', [`${AT}${SET}/volumes`]),
    mounts: [`${volume}:${AT}:ro`],
    user: '0:0',
    capabilities: ['DAC_READ_SEARCH'],
  });
  const files = counted.stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .reduce((sum, line) => sum + Number(line.split(' ')[1]), 0);
  const missing = manifest.volumes.filter(({ key }) => !counted.stdout.includes(`${key} `));
  return missing.length === 0
    ? { ok: true, seen: `${files} restored, each with the right checksum` }
    : { ok: false, seen: `missing: ${missing.map(({ key }) => key).join(', ')}` };
}

type Part = (id: string, title: string, work: () => Promise<Result>) => Promise<boolean>;

/** Loads the databases of one app, compares their rows, and uses its keys meanwhile. */
async function drillApp(
  options: DrillOptions,
  site: Saved,
  app: AppConfig,
  volume: string,
  part: Part,
): Promise<void> {
  const { access, manifest, progress } = options;
  const { engine } = access;
  const dumps = dumpsOf([app], site.store).filter(({ file }) =>
    manifest.dumps.some((one) => one.file === file),
  );
  const { name } = appOf(app.id);
  let server: Running | undefined;
  for (const dump of dumps) {
    if (dump.drill === undefined) continue;
    await ensureImage(engine, imageOf(dump, site.lock, site.config), progress);
    await part(`rows.${dump.file}`, dump.what.replace(/^t/, 'T'), async () => {
      server = await startServer(options, site, volume, dump);
      return compareRows(server, manifest, dump);
    });
  }
  try {
    await part(`keys.${app.id}`, `Signing keys of ${name}`, () =>
      useKeys(options, site, app, volume, server),
    );
  } finally {
    if (server !== undefined) {
      await engine.removeContainer(server.container, 'disposable');
      await server.ended.catch(() => undefined);
    }
  }
}

/** A database in a container without a network, until it is removed. */
interface Running {
  readonly container: string;
  readonly ended: Promise<Output>;
  readonly rows: string;
  readonly port: number;
}

/** Loads a dump into a new server. Resolves when it is loaded. */
async function startServer(
  { access: { engine, image } }: DrillOptions,
  { config, store, lock }: Saved,
  volume: string,
  dump: AppDump,
): Promise<Running> {
  const place = `${AT}/${dump.file}`;
  const shot = async (argv: readonly string[]): Promise<Output> =>
    runOneShot(engine, {
      image,
      argv,
      mounts: [`${volume}:${AT}`],
      user: '0:0',
      capabilities: ['CHOWN', 'DAC_OVERRIDE'],
    });
  await shot(shellProgram('backup/programs/make-place.sh', [place, SERVER]));
  const container = containerOf(config.name);
  const server: OneShot = {
    name: container,
    image: imageOf(dump, lock, config),
    argv: dump.drill?.start(place, `${AT}${SET}/stage/${dump.file}`) ?? [],
    mounts: [`${volume}:${AT}`],
    user: SERVER,
    env: revealAll(dump.env((name) => store.get(name))),
  };
  let output: Output | undefined;
  const ended = runOneShot(engine, server).then((result) => (output = result));
  ended.catch(() => undefined);
  for (;;) {
    const { code, stdout } = await shot(['cat', `${place}/ready`]);
    if (code === 0) return { container, ended, rows: stdout, port: dump.drill?.port ?? 0 };
    if (output !== undefined)
      throw new Problem(EXIT.FAILED, `cannot be loaded: ${output.stderr.trim().split('\n').at(-1) ?? ''}`);
    await delay(WAIT_MS);
  }
}

/** Compares the rows of each table with those that were dumped. */
function compareRows({ rows }: Running, manifest: Manifest, { file }: AppDump): Result {
  const wanted = manifest.dumps.find((one) => one.file === file)?.rows ?? {};
  const found = JSON.parse(rows) as Record<string, number>;
  const tables = [...new Set([...Object.keys(wanted), ...Object.keys(found)])];
  const wrong = tables.filter((table) => wanted[table] !== found[table]);
  const sum = Object.values(found).reduce((total, n) => total + n, 0);
  return wrong.length === 0
    ? { ok: true, seen: `${tables.length} tables with ${sum} rows, as in the backup` }
    : {
        ok: false,
        seen: wrong
          .slice(0, 5)
          .map((table) => `${table}: ${found[table] ?? 'no table'} instead of ${wanted[table] ?? 'no table'}`)
          .join('; '),
      };
}

async function useKeys(
  { access: { engine }, progress }: DrillOptions,
  { config, store, lock }: Saved,
  app: AppConfig,
  volume: string,
  server: Running | undefined,
): Promise<Result> {
  const check = appOf(app.id).keyCheck(app.options);
  const entry = lock[check.image];
  if (entry === undefined) return { ok: false, seen: `the backup names no image of ${check.image}` };
  if (check.env !== undefined && server === undefined)
    return { ok: false, seen: 'the database was not restored' };
  const image = lockedReference(entry);
  await ensureImage(engine, image, progress);
  const env =
    check.env === undefined
      ? {}
      : {
          ...appOf(app.id).env(
            config,
            app,
            (name) => store.get(name),
            (name) => store.previous(name),
          )[check.env.group],
          ...check.env.database(server?.port ?? 0),
        };
  const { argv, stdin } = check.command(`${AT}${SET}/volumes`);
  const { code, stdout, stderr } = await runOneShot(engine, {
    image,
    argv,
    ...(stdin === undefined ? {} : { stdin }),
    mounts: [`${volume}:${AT}:ro`],
    network: server === undefined ? 'none' : `container:${server.container}`,
    env: revealAll(env),
  });
  if (code !== 0) return { ok: false, seen: stderr.trim().split('\n').at(-1) ?? `exit code ${code}` };
  try {
    const { keys, secrets } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
      keys: number;
      secrets: number;
    };
    return keys > 0
      ? {
          ok: true,
          seen: `${keys} work${keys === 1 ? 's' : ''}${secrets === 0 ? '' : `, ${secrets} two-factor secrets can be read`}`,
        }
      : { ok: false, seen: 'there is no key of an account' };
  } catch (error) {
    return { ok: false, seen: `${messageOf(error)}: ${stdout.trim().slice(0, 200)}` };
  }
}
