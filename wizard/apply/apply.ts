/** Applies answers to a site and proves it. Every command that changes a site runs through here. */
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { APP_IDS, appOf } from '../apps/index.ts';
import { preflight, preflightInside } from '../checks/preflight.ts';
import type { PreflightOptions } from '../checks/preflight.ts';
import { configOf } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import { changed } from '../config/later.ts';
import { questionsFor } from '../answers/questions.ts';
import type { Resolved } from '../answers/resolve.ts';
import { saveInto, worthSaving, withoutApps } from '../answers/save.ts';
import { caddyOf, caddyRunsOn, reloadCaddy } from '../docker/caddy.ts';
import { EngineGone } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import type { Change } from '../plan/diff.ts';
import { lockedReference, pullReference, readLock, wantedImages } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { summary } from '../plan/diff.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import type { ExitCode } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import type { Receipt } from '../prove/proof.ts';
import { placeOf, renderSite } from '../render/site.ts';
import type { RenderedSite } from '../render/site.ts';
import { customFiles, verifySite } from '../render/verify.ts';
import { makeRoot } from '../secrets/openssl.ts';
import { Secret } from '../secrets/secret.ts';
import { SITE_SECRETS, Store } from '../secrets/store.ts';
import type { SecretSpec } from '../secrets/store.ts';
import { exists, writeWhole } from '../atomic.ts';
import { AddressesTaken, bringUp, ownFilesHash, leftovers, removeUnused, stale } from './containers.ts';
import { OWN, STARTS, SWAP } from '../layout.ts';
import { placesBefore } from './data.ts';
import { dropDraft } from './draft.ts';
import { lastReceipt, proveSite } from './receipt.ts';
import { renew, tellServers } from './rotate.ts';
import { closeSecrets, commit, compare, makeFolders, needsRecovery, readManifest, recover } from './files.ts';
import { makeDataFolders, refuseMoved, refusePlaces } from './folders.ts';
import { installRoot } from './root.ts';
import { runningAnswers } from './generations.ts';
import { fetchImages, lockOf, toMove } from './images.ts';
import { refuseOlder } from './older.ts';
import { readPictures } from './pictures.ts';
import { takeLock } from './runlock.ts';
import { checkMarkers } from './marker.ts';
import { runSteps } from './steps.ts';
import { makeSwap, swapIsThere } from './swap.ts';
import { runTrials, tryBuckets } from './trials.ts';

/** What to do with generated files that were changed by hand. */
export type Edited = 'keep' | 'replace' | 'abort';

export interface ApplyOptions {
  /** Absolute path of the site directory. */
  readonly folder: string;
  readonly resolved: Resolved;
  /** Text of the fedi.yaml that the answers came from; undefined: there was none. */
  readonly savedText: string | undefined;
  /** Reads the answers again, after fedi.yaml has changed. */
  readonly reload: () => Promise<{ resolved: Resolved; savedText: string | undefined }>;
  readonly connect: () => Promise<Engine>;
  readonly progress: Progress;
  /** Image lock to use instead of the site's own, for `rollback`. */
  readonly lock?: Lock | undefined;
  /** A secret to rotate. */
  readonly renew?: SecretSpec | undefined;
  /** Called once with the edited files, if there are any. */
  readonly onEdited: (changes: readonly Change[]) => Promise<Edited>;
  readonly skipChecks: readonly string[];
  /** Called once if there are warnings about this host; absent: not interactive. */
  readonly onWarnings?: PreflightOptions['accept'];
  /** Size of the swap file to create if there is none; 0: none. */
  readonly swapGiB: number;
  readonly now: () => Date;
  /** Called when the site is set up, while this run still holds the lock. */
  readonly onSetUp: (config: Config, store: Store) => Promise<void>;
  /** Called with a function that releases the run lock, for signal handlers. */
  readonly onLocked: (release: () => Promise<void>) => void;
}

/** Secrets of a site; those that the user supplies have no `make`. */
export function secretSpecs(config: Config): SecretSpec[] {
  const specs: SecretSpec[] = [...SITE_SECRETS];
  if (config.tls.mode === 'internal') {
    specs.push({
      name: 'tls.root',
      class: 'steps',
      about: 'The internal CA: certificate and key.',
      make: () => makeRoot(`${config.name} internal CA`),
    });
  }
  for (const { id } of config.apps) specs.push(...appOf(id).secrets);
  return specs;
}

export interface Prepared {
  readonly config: Config;
  readonly store: Store;
  readonly lock: Lock;
  readonly missing: readonly string[];
  readonly site: RenderedSite;
  readonly changes: readonly Change[];
  /** What the change leaves behind, in sentences. */
  readonly leaves: readonly string[];
}

/** Conflicts between answers, and unusable pictures, in sentences. */
export async function problemsOf(
  folder: string,
  { answers, secrets }: Pick<Resolved, 'answers' | 'secrets'>,
): Promise<string[]> {
  const config = configOf(answers);
  const store = await Store.open(folder);
  return [
    ...config.apps.flatMap(({ id }) => appOf(id).problems?.(config) ?? []),
    ...samePlaces(config, (name) =>
      secrets[name] === undefined ? store.get(name) : new Secret(secrets[name]),
    ),
    ...(await readPictures(folder, config)).problems,
  ];
}

/** Finds apps that share a database or a Redis database number. */
function samePlaces(config: Config, secret: (name: string) => Secret): string[] {
  const owners = new Map<string, string>();
  return config.apps.flatMap((app) =>
    appOf(app.id)
      .markers(config.answers)
      .flatMap((marker) => {
        let place: string;
        try {
          place = placeOf(config, marker, secret);
        } catch (error) {
          if (error instanceof Problem) return []; // A missing address is reported later.
          throw error;
        }
        const other = owners.get(place);
        owners.set(place, appOf(app.id).name);
        return other === undefined
          ? []
          : [`${other} and ${appOf(app.id).name} would both use ${place}. Each needs its own.`];
      }),
  );
}

async function refuseProblems(folder: string, given: Pick<Resolved, 'answers' | 'secrets'>): Promise<void> {
  const cannot = await problemsOf(folder, given);
  if (cannot.length > 0)
    throw gather(
      EXIT.USAGE,
      'These answers conflict:',
      cannot,
      'Change them and run this again. Nothing was changed.',
    );
}

/** Prepares everything up to the plan. Changes nothing on the disk or in the engine. */
export async function prepare(
  options: Pick<ApplyOptions, 'folder' | 'resolved' | 'savedText' | 'lock' | 'renew' | 'now'>,
  engine: Engine,
  pulled?: ReadonlySet<string>,
): Promise<Prepared> {
  const { folder, resolved, savedText, now } = options;
  const config = configOf(resolved.answers);
  const store = await Store.open(folder);
  const classes = new Map(secretSpecs(config).map((spec) => [spec.name, spec.class]));
  for (const [name, value] of Object.entries(resolved.secrets))
    store.put(name, classes.get(name) ?? 'free', value, now());
  if (config.mail.user !== undefined && !store.has('mail.password')) {
    throw new Problem(EXIT.USAGE, 'Outgoing mail has a user name but no password.', {
      means: 'Nothing was changed.',
      next: 'Give --mail-password-file FILE (or -) or FEDI_MAIL_PASSWORD, or remove the user name.',
    });
  }
  await refuseProblems(folder, resolved);
  const running = (await runningAnswers(folder)) ?? {};
  const { refused, leaves } = changed(
    questionsFor(config.apps.map(({ id }) => id)),
    running,
    resolved.answers,
  );
  const gone = APP_IDS.filter((id) => !config.apps.some((app) => app.id === id));
  for (const id of gone)
    if (
      String(running['apps'] ?? '')
        .split(',')
        .includes(id)
    )
      leaves.push(
        `${appOf(id).name} will be removed. Its data stay until \`fedi-setup remove ${id} --data\`.`,
      );
  if (refused.length > 0) {
    throw new Problem(EXIT.REFUSED, refused.join('\n'), {
      means: 'Nothing was changed.',
      next: 'Change it back, or create a new site in another directory. `fedi-setup reset` empties a site that was never live.',
    });
  }
  await refuseOlder(folder, config, engine);
  await store.ensure(secretSpecs(config), now());
  if (options.renew !== undefined) await renew(config, store, options.renew, now());

  const wanted = wantedImages(config);
  const locked = options.lock ?? (await readLock(folder));
  const { lock, missing } = await lockOf(engine, wanted, locked, pulled);
  // A missing image is shown by its tag; the lock is written after the pull.
  const shown: Lock = {
    ...lock,
    ...Object.fromEntries(
      missing.map((name) => [name, { tag: wanted[name]?.reference ?? '', id: '', source: 'built' as const }]),
    ),
  };
  const questions = questionsFor(config.apps.map(({ id }) => id));
  const custom = await customFiles(folder);
  const site = await renderSite({
    config,
    store,
    lock: shown,
    answersText: saveInto(savedText && withoutApps(savedText, gone), worthSaving(questions, resolved)),
    customCaddy: Object.entries(custom)
      .filter(([name]) => name.startsWith('caddy/'))
      .map(([name, text]) => `${name}\n${text}`)
      .join('\n'),
    pictures: (await readPictures(folder, config)).files,
    noProxy: await engine.noProxy(),
    networks: config.tls.mode === 'internal' ? await engine.networks() : [],
  });
  return { config, store, lock, missing, site, changes: await compare(folder, site.files), leaves };
}

/** Refuses a Compose project that belongs to another site directory. */
async function refuseForeign(folder: string, config: Config, engine: Engine): Promise<void> {
  const here = await realpath(folder).catch(() => folder);
  for (const { labels } of await engine.containers(config.name)) {
    const there = labels['com.docker.compose.project.working_dir'];
    if (there === undefined || there === here || !(await exists(join(there, 'compose.yaml')))) continue;
    throw new Problem(
      EXIT.REFUSED,
      `The Compose project ${config.name} on this engine belongs to ${there}.`,
      {
        means: 'Two sites with the same name would share containers and volumes. Nothing was changed.',
        next: 'Choose another --name for this site, or work in that directory with --dir.',
      },
    );
  }
}

const PRIOR_FILE = 'own-files';

/** True if disk, containers, Caddy and the last receipt are all up to date. */
async function nothingToDo(options: ApplyOptions, engine: Engine): Promise<boolean> {
  const { folder } = options;
  // Requested now, so that the engine answers during the rendering.
  const running = engine.containers(configOf(options.resolved.answers).name);
  running.catch(() => undefined);
  let prepared: Prepared;
  try {
    prepared = await prepare(options, engine);
  } catch (error) {
    if (error instanceof Problem && !(error instanceof EngineGone)) throw error;
    return false; // the preflight reports an engine that does not answer
  }
  // A new value of a secret shows as a changed env file.
  const { site, changes, missing, store } = prepared;
  if (missing.length > 0 || !store.existed || changes.some(({ kind }) => kind !== 'same')) return false;
  const [receipt, manifest] = [await lastReceipt(folder), await readManifest(folder)];
  if (!receipt?.proven || receipt.generation !== manifest.generation) return false;
  if ((await priorHash(folder)) !== (await ownFilesHash(folder))) return false;
  // A password that was not shown yet has to be shown.
  if (prepared.config.apps.some(({ id }) => !store.wasShown(appOf(id).adminSecret))) return false;
  // The labels are keyed hashes: only a run with these secrets, on marked data, can have set them.
  const containers = await running;
  if ((await stale(containers, folder, site)).length > 0 || leftovers(containers, site).length > 0)
    return false;
  return isCaddyCurrent(engine, folder, site);
}

/** Whether the user's own files for Compose or Caddy changed since the last apply. */
export async function ownFilesChanged(folder: string): Promise<boolean> {
  const prior = await priorHash(folder);
  return prior !== undefined && prior !== (await ownFilesHash(folder));
}

const priorHash = (folder: string): Promise<string | undefined> =>
  readFile(join(folder, OWN, PRIOR_FILE), 'utf8').catch(() => undefined);

/** The id in the Caddyfile on the disk, which the user may have edited and kept. */
async function caddyId(folder: string, site: RenderedSite): Promise<string> {
  const text = await readFile(join(folder, 'caddy/Caddyfile'), 'utf8').catch(() => '');
  return /^\s*respond (\w+)$/m.exec(text)?.[1] ?? site.caddyId;
}

/** Asks Caddy which configuration it runs. */
async function isCaddyCurrent(engine: Engine, folder: string, site: RenderedSite): Promise<boolean> {
  const caddy = await caddyOf(engine, site.compose.name);
  return caddy !== undefined && (await caddyRunsOn(engine, caddy)) === (await caddyId(folder, site));
}

async function renewCaddy(engine: Engine, folder: string, site: RenderedSite): Promise<void> {
  const caddy = await caddyOf(engine, site.compose.name);
  if (caddy === undefined) {
    throw new Problem(EXIT.FAILED, 'Caddy is not running.', { next: 'Check `docker compose ps --all`.' });
  }
  const { code, stderr } = await reloadCaddy(engine, caddy);
  if (code !== 0 || !(await isCaddyCurrent(engine, folder, site))) {
    throw new Problem(EXIT.FAILED, 'Caddy rejected the new configuration.', {
      means: 'It still runs the previous one.',
      next: 'Fix the error in the log above and run this again.',
      log: stderr.trim().split('\n').slice(-10).join('\n'),
    });
  }
}

const checksOf = (
  { folder, skipChecks: skip, progress, now, onWarnings: accept }: ApplyOptions,
  config: Config,
  engine: Engine,
): PreflightOptions => ({ folder, config, engine, skip, progress, now, accept });

/** References of the images to pull; none if the engine does not answer. */
export async function pullsOf(folder: string, config: Config, engine: Engine): Promise<string[]> {
  const wanted = wantedImages(config);
  const { missing } = await lockOf(engine, wanted, await readLock(folder)).catch((error: unknown) => {
    if (error instanceof Problem && !(error instanceof EngineGone)) throw error;
    return { missing: [] };
  });
  return missing.flatMap((name) => {
    const spec = wanted[name];
    return spec === undefined || spec.build !== undefined ? [] : pullReference(spec);
  });
}

export interface Applied {
  readonly exit: ExitCode;
  readonly config: Config;
  readonly receipt: Receipt | undefined;
  /** False if there was nothing to do. */
  readonly changed: boolean;
}

export async function apply(options: ApplyOptions): Promise<Applied> {
  const { folder, progress } = options;
  const engine = await options.connect();
  const config = configOf(options.resolved.answers);

  const unchanged = async (): Promise<Applied> => {
    progress.emit({ event: 'unchanged' });
    progress.say('Nothing to change.');
    return { exit: EXIT.OK, config, receipt: await lastReceipt(folder), changed: false };
  };
  const opened = await closeSecrets(folder);
  if (opened.length > 0)
    progress.say(`  ${opened.join(', ')}: other users could read it; the permissions are fixed now.`);
  // The common case first: a run with nothing to do changes nothing and takes no lock.
  const quick = (await exists(join(folder, OWN, 'manifest.json'))) && !(await needsRecovery(folder));
  const asked = options.swapGiB > 0 && !(await swapIsThere()) ? options.swapGiB : 0;
  if (quick && asked === 0 && (await nothingToDo(options, engine))) return unchanged();

  // Fail before downloading images. A pending commit may still change the answers, so it is handled below.
  if (!(await needsRecovery(folder))) await refuseProblems(folder, options.resolved);
  const pulls = await pullsOf(folder, config, engine);
  const offered = await preflight({ ...checksOf(options, config, engine), pulls, swapGiB: asked });
  const allowed = { ...options, swapGiB: asked || offered };
  await refuseForeign(folder, config, engine);
  await makeFolders(folder);
  const release = await takeLock(folder);
  options.onLocked(release);
  try {
    if (quick) return await applyLocked(allowed, engine, config);
    const finished = await recover(folder);
    // A completed commit has its own answers.
    const current = finished ? { ...allowed, ...(await options.reload()) } : allowed;
    if (finished) progress.say('  Completed the files of an interrupted run.');
    if (
      allowed.swapGiB === 0 &&
      (await readManifest(folder)).generation > 0 &&
      (await nothingToDo(current, engine))
    )
      return await unchanged();
    return await applyLocked(current, engine, configOf(current.resolved.answers));
  } finally {
    await release();
  }
}

async function applyLocked(options: ApplyOptions, engine: Engine, config: Config): Promise<Applied> {
  try {
    return await applyOnce(options, engine, config);
  } catch (error) {
    // Another program created the network after this site was rendered.
    if (!(error instanceof AddressesTaken)) throw error;
    options.progress.say('  Another network took the addresses of a network of this site. Selecting others.');
    return await applyOnce({ ...options, ...(await options.reload()) }, engine, config);
  }
}

async function applyOnce(options: ApplyOptions, engine: Engine, config: Config): Promise<Applied> {
  const { folder, progress, now } = options;
  const wanted = wantedImages(config);
  const locked = options.lock ?? (await readLock(folder));
  const before = await lockOf(engine, wanted, locked);
  const pulled = await fetchImages(engine, wanted, locked, before.missing, progress);

  const prepared = await prepare(options, engine, pulled);
  const { store, lock, site, changes } = prepared;
  if (prepared.missing.length > 0)
    throw new Problem(
      EXIT.FAILED,
      `After fetching, these images are still missing: ${prepared.missing.join(', ')}.`,
      {
        means: 'The images just built or pulled are not those in images.lock.yaml. Nothing was changed.',
        next: toMove(prepared.missing),
      },
    );

  const caddy = lockedReference(lock['caddy'] as Lock[string]);
  await preflightInside({ ...checksOf(options, config, engine), caddy, accept: undefined });

  // Verify who owns existing data before writing anything, secrets included.
  await refuseMoved(engine, site);
  await refusePlaces(engine, site);
  await runTrials(engine, config, store, lock, progress);
  const running = (await runningAnswers(folder)) ?? {};
  await tryBuckets(config, store, running, options.resolved.secrets, progress);
  const imageOf = (name: string): string => lockedReference(lock[name] as Lock[string]);
  const unmarked = await checkMarkers(engine, config, store, imageOf, await placesBefore(folder));
  const keep = await decideEdited(options, changes);
  await withLine(progress, 'verify', 'Files rendered, checked by Compose and Caddy', () =>
    verifySite(engine, folder, lock, site),
  );

  if (options.swapGiB > 0) {
    await withLine(progress, 'swap', `Swap file of ${options.swapGiB} GB: ${SWAP.file}`, () =>
      makeSwap(options.swapGiB * 1024),
    );
  }
  await tellServers(engine, config, store, progress, now);
  await withLine(progress, 'secrets', store.existed ? 'Secrets' : 'Secrets generated', () => store.save());
  await makeDataFolders(engine, site, caddy);
  await installRoot(engine, site, caddy);
  for (const app of config.apps) {
    const own = unmarked.filter((one) => one.app === app);
    if (own.length === 0) continue;
    await withLine(progress, `seal.${app.id}`, `Ownership marker of ${appOf(app.id).name}`, async () => {
      for (const { write } of own) await write();
    });
  }
  await writeFiles(options, changes, keep);
  await startContainers(options, engine, site);
  for (const app of config.apps) {
    if (config.apps.length > 1) progress.say(appOf(app.id).name);
    await runSteps({ engine, project: config.name, store, progress, now }, appOf(app.id).steps(config, app));
  }

  const receipt = await proveSite({ folder, config, store, engine, progress, now });
  if (receipt.proven) {
    // Of all apps: a removed one may come back.
    const kept = APP_IDS.flatMap((id) => appOf(id).secrets).filter(({ keepsPrevious }) => keepsPrevious);
    store.forgetPrevious(kept.map(({ name }) => name));
  }
  await options.onSetUp(config, store);
  return { exit: receipt.proven ? EXIT.OK : EXIT.UNPROVEN, config, receipt, changed: true };
}

/** Paths of edited files to keep. */
async function decideEdited(options: ApplyOptions, changes: readonly Change[]): Promise<ReadonlySet<string>> {
  const edited = changes.filter((change) => change.edited);
  if (edited.length === 0) return new Set();
  const decision = await options.onEdited(edited);
  if (decision === 'abort') {
    throw new Problem(
      EXIT.REFUSED,
      `Changed by hand since fedi-setup wrote them: ${edited.map(({ path }) => path).join(', ')}.`,
      {
        means: 'Overwriting them would lose those changes. Nothing was changed.',
        next: '`fedi-setup plan` shows the differences. --edited keep keeps them, --edited replace overwrites them. Lasting changes belong in compose.override.yaml, env/*.local.env and caddy/custom/.',
      },
    );
  }
  return new Set(decision === 'keep' ? edited.map(({ path }) => path) : []);
}

async function writeFiles(
  { folder, progress }: ApplyOptions,
  changes: readonly Change[],
  keep: ReadonlySet<string>,
): Promise<void> {
  const lines = summary(changes);
  progress.start('write', 'Files written');
  if (lines.length === 0) {
    progress.already();
    return;
  }
  try {
    const generation = await commit(folder, changes, keep);
    // The answers are in fedi.yaml now.
    await dropDraft(folder);
    progress.done(`generation ${generation}`);
  } catch (error) {
    progress.fail();
    throw error;
  }
  for (const line of lines) progress.say(`    ${line}`);
}

/** Seconds that each service was down when it was last recreated, as far as known. */
export async function startsOf(folder: string): Promise<Readonly<Record<string, number>>> {
  try {
    const starts: unknown = JSON.parse(await readFile(join(folder, OWN, STARTS), 'utf8'));
    return typeof starts === 'object' ? ((starts ?? {}) as Record<string, number>) : {};
  } catch {
    return {}; // only for display
  }
}

async function keepStarts(
  folder: string,
  services: readonly string[],
  well: Readonly<Record<string, number>>,
  since: number,
): Promise<void> {
  const starts: Record<string, number> = { ...(await startsOf(folder)) };
  for (const name of services)
    if (well[name] !== undefined) starts[name] = Math.ceil((well[name] - since) / 1000);
  await writeWhole(join(folder, OWN, STARTS), `${JSON.stringify(starts)}\n`, 0o600);
}

async function startContainers(
  { folder, progress }: ApplyOptions,
  engine: Engine,
  site: RenderedSite,
): Promise<void> {
  const own = await ownFilesHash(folder);
  const prior = await priorHash(folder);
  const ownChanged = prior !== own;
  progress.start('up', 'Containers');
  try {
    const containers = await engine.containers(site.compose.name);
    const before = await stale(containers, folder, site);
    if (before.length === 0 && leftovers(containers, site).length === 0 && !ownChanged) progress.already();
    else {
      progress.update(before.join(', '));
      const since = Date.now();
      const well = await bringUp(engine, folder, site, progress);
      await removeUnused(engine, site, containers);
      await keepStarts(folder, before, well, since);
      progress.done(before.join(', '));
    }
  } catch (error) {
    progress.fail();
    throw error;
  }
  if ((ownChanged && prior !== undefined) || !(await isCaddyCurrent(engine, folder, site))) {
    await withLine(progress, 'reload', 'Caddy reloaded', () => renewCaddy(engine, folder, site));
  }
  if (ownChanged) await writeWhole(join(folder, OWN, PRIOR_FILE), own, 0o600);
}
