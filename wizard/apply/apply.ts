/** Executes the plan of a site and proves it. Every command that changes a site runs through here. */
import { join } from 'node:path';
import { APP_IDS, appOf } from '../apps/index.ts';
import { preflight, preflightInside } from '../checks/preflight.ts';
import type { PreflightOptions } from '../checks/preflight.ts';
import { configOf } from '../answers/config.ts';
import { componentsOf } from '../components/index.ts';
import type { Config } from '../config/config.ts';
import type { Resolved } from '../answers/resolve.ts';
import { reloadCaddy } from '../docker/caddy.ts';
import { EngineGone } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import type { Change } from '../plan/diff.ts';
import { lockedReference, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { isEmpty, pullsIn } from '../plan/plan.ts';
import { fileLines } from '../plan/print.ts';
import { EXIT, Problem } from '../problem.ts';
import type { ExitCode } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import type { Receipt } from '../prove/proof.ts';
import type { RenderedSite } from '../render/site.ts';
import { verifySite } from '../render/verify.ts';
import { Store } from '../secrets/store.ts';
import { makeFolder, writeWhole } from '../atomic.ts';
import { tryBuckets } from './buckets.ts';
import {
  AddressesTaken,
  bringUp,
  leftovers,
  removeUnused,
  replaceAfterJobs,
  stale,
  tryNetworks,
} from './containers.ts';
import { OWN, STARTS, STATUS_PAGE, SWAP } from '../layout.ts';
import { placesBefore } from './data.ts';
import { dropDraft } from './draft.ts';
import { lastReceipt, proveSite } from './receipt.ts';
import { changeInServers } from './rotate.ts';
import { closeSecrets, commit, makeFolders, needsRecovery, recover } from './files.ts';
import { keepPlace } from './foreign.ts';
import { makeDataFolders, refuseMoved, refusePlaces } from './folders.ts';
import { installRoot } from './root.ts';
import { runningAnswers } from './generations.ts';
import { fetchImages, toMove } from './images.ts';
import { refuseMajor } from './majors.ts';
import { takeLock } from './runlock.ts';
import { checkMarkers } from './marker.ts';
import type { Unmarked } from './marker.ts';
import {
  isCaddyCurrent,
  isOutdated,
  keepOwnFilesHash,
  ownFilesChanged,
  prepare,
  prepareWithImages,
  pullsOf,
  startsOf,
} from './prepare.ts';
import type { PlanInput, Prepared } from './prepare.ts';
import { runSteps } from './steps.ts';
import { makeSwap } from './swap.ts';
import { tryMail } from './mail.ts';
import { runTrials } from './trials.ts';
import { trustMounts } from './trust.ts';
import { readOwnCas } from '../trust.ts';

/** What to do with generated files that were changed by hand. */
export type Edited = 'keep' | 'replace' | 'abort';

export interface ApplyOptions {
  readonly input: PlanInput;
  /** The plan that the user accepted; absent: none was shown. */
  readonly accepted?: Prepared | undefined;
  /** Reads the answers again, after fedi.yaml has changed. */
  readonly reload: () => Promise<{ resolved: Resolved; savedText: string | undefined }>;
  readonly connect: () => Promise<Engine>;
  readonly progress: Progress;
  /** Called once with the edited files, if there are any. */
  readonly onEdited: (changes: readonly Change[]) => Promise<Edited>;
  readonly skipChecks: readonly string[];
  /** Called once if there are warnings about this host; absent: not interactive. */
  readonly onWarnings?: PreflightOptions['accept'];
  /** Called when the site is set up, while this run still holds the lock. */
  readonly onSetUp: (config: Config, store: Store) => Promise<void>;
  /** Called with a function that releases the run lock, for signal handlers. */
  readonly onLocked: (release: () => Promise<void>) => void;
}

export interface Applied {
  readonly exit: ExitCode;
  readonly config: Config;
  readonly receipt: Receipt | undefined;
  /** False if there was nothing to do. */
  readonly changed: boolean;
}

/** Plans, checks this host, and executes the plan under the run lock. An empty plan takes no lock and changes nothing. */
export async function apply(options: ApplyOptions): Promise<Applied> {
  const { input, progress } = options;
  const { folder } = input;
  const engine = await options.connect();
  await closeOpenSecrets(folder, progress);
  const planned = await planFirst(options, engine);
  if (planned !== undefined && isEmpty(planned.plan)) return unchanged(options, planned.config);

  const config = planned?.config ?? configOf(input.resolved.answers);
  const swapGiB = await checkHost(options, config, engine, planned);
  await makeFolders(folder);
  const release = await takeLock(folder);
  options.onLocked(release);
  try {
    const prepared = await planUnderLock({ ...options, input: { ...input, swapGiB } }, engine, planned);
    if (isEmpty(prepared.plan)) return await unchanged(options, prepared.config);
    return await execute(options, engine, prepared).catch(async (error: unknown) => {
      // Another program created the network after this site was rendered.
      if (!(error instanceof AddressesTaken)) throw error;
      progress.say('  Another network took the addresses of a network of this site. Selecting others.');
      const again = await prepare({ ...prepared.input, ...(await options.reload()) }, engine);
      return execute(options, engine, again);
    });
  } finally {
    await release();
  }
}

/** All phases of a change, in order. Phases that can refuse precede the first write. */
async function execute(options: ApplyOptions, engine: Engine, planned: Prepared): Promise<Applied> {
  const prepared = await getImages(options, engine, planned);
  const { config, store, site } = prepared;
  const { unmarked, untested } = await checkData(options, engine, prepared);
  const keep = await decideEdited(options, prepared.changes);
  await verifyFiles(options, engine, prepared);

  await createSwap(options, prepared);
  await saveSecrets(options, engine, prepared);
  await prepareData(options, engine, prepared, unmarked);
  await writeFiles(options, prepared, keep);
  await startContainers(options, engine, site, prepared.input);
  await runAppSteps(options, engine, prepared);

  const receipt = await proveChange(options, engine, prepared, untested);
  await options.onSetUp(config, store);
  return { exit: receipt.proven ? EXIT.OK : EXIT.UNPROVEN, config, receipt, changed: true };
}

async function unchanged({ input, progress }: ApplyOptions, config: Config): Promise<Applied> {
  progress.emit({ event: 'unchanged' });
  progress.say('Nothing to change.');
  return { exit: EXIT.OK, config, receipt: await lastReceipt(input.folder), changed: false };
}

async function closeOpenSecrets(folder: string, progress: Progress): Promise<void> {
  const opened = await closeSecrets(folder);
  if (opened.length > 0)
    progress.say(`  ${opened.join(', ')}: other users could read it; the permissions are fixed now.`);
}

/** The plan before the lock is taken; undefined: files of an interrupted run come first, or the engine does not answer. */
async function planFirst({ input, accepted }: ApplyOptions, engine: Engine): Promise<Prepared | undefined> {
  if (await needsRecovery(input.folder)) return undefined;
  if (accepted !== undefined) return accepted;
  return prepare(input, engine).catch((error: unknown) => {
    // The checks of this host report it.
    if (error instanceof EngineGone) return undefined;
    throw error;
  });
}

/** The plan under the lock: the one made before, or a new one if files have changed since. */
async function planUnderLock(
  { input, accepted, reload, progress }: ApplyOptions,
  engine: Engine,
  planned: Prepared | undefined,
): Promise<Prepared> {
  if (await recover(input.folder)) progress.say('  Completed the files of an interrupted run.');
  else if (planned !== undefined && planned.input.swapGiB === input.swapGiB && !(await isOutdated(planned)))
    return planned;
  const prepared = await prepare({ ...input, ...(await reload()) }, engine);
  const { swap: _, ...before } = accepted?.plan ?? {};
  const { swap: __, ...now } = prepared.plan;
  if (accepted !== undefined && JSON.stringify(before) !== JSON.stringify(now))
    throw new Problem(EXIT.REFUSED, 'The site has changed since this plan was shown.', {
      means: 'Another run or an editor changed its files. Nothing was changed by this run.',
      next: 'Run this again to see the new plan.',
    });
  return prepared;
}

/** Checks this host before anything is downloaded. Returns the size of the swap file to create in GiB; 0: none. */
async function checkHost(
  options: ApplyOptions,
  config: Config,
  engine: Engine,
  planned: Prepared | undefined,
): Promise<number> {
  const { folder } = options.input;
  const swapGiB = planned?.plan.swap?.gib ?? 0;
  const pulls = planned === undefined ? await pullsOf(folder, config, engine) : pullsIn(planned.plan);
  const offered = await preflight({ ...checksOf(options, config, engine), pulls, swapGiB });
  if (planned !== undefined) await tryNetworks(engine, planned.site);
  return options.input.swapGiB || offered;
}

const checksOf = (
  { input: { folder, now }, skipChecks: skip, progress, onWarnings: accept }: ApplyOptions,
  config: Config,
  engine: Engine,
): PreflightOptions => ({ folder, config, engine, skip, progress, now, accept });

/** Pulls or builds missing images. The site is rendered again with them, since its files name their digests. */
async function getImages({ progress }: ApplyOptions, engine: Engine, planned: Prepared): Promise<Prepared> {
  const { images } = planned.plan;
  if (images.length === 0) return planned;
  const { folder, lock } = planned.input;
  const pulled = await fetchImages(
    engine,
    planned.wanted,
    lock ?? (await readLock(folder)),
    images.map(({ name }) => name),
    progress,
  );
  const prepared = await prepareWithImages(planned, engine, pulled);
  const missing = prepared.plan.images.map(({ name }) => name);
  if (missing.length > 0)
    throw new Problem(EXIT.FAILED, `After fetching, these images are still missing: ${missing.join(', ')}.`, {
      means: 'The images just built or pulled are not those in images.lock.yaml. Nothing was changed.',
      next: toMove(missing),
    });
  return prepared;
}

const imageOf = ({ lock }: Prepared, name: string): string => lockedReference(lock[name] as Lock[string]);

interface Checked {
  /** Places without an ownership marker. */
  readonly unmarked: Unmarked[];
  /** Trials that were skipped on request. */
  readonly untested: readonly string[];
}

/** Verifies who owns existing data, and tests external servers. */
async function checkData(options: ApplyOptions, engine: Engine, prepared: Prepared): Promise<Checked> {
  const { progress } = options;
  const { config, store, lock, site, input } = prepared;
  const caddy = imageOf(prepared, 'caddy');
  await preflightInside({ ...checksOf(options, config, engine), caddy, accept: undefined });
  await refuseMoved(engine, site);
  await refusePlaces(engine, site);
  await refuseMajor(engine, prepared);
  const mounts = await trustMounts(input.folder, config);
  await runTrials(engine, config, store, lock, progress, mounts);
  const running = (await runningAnswers(input.folder)) ?? {};
  const ownCas = await readOwnCas(input.folder, config);
  const { answers, secrets } = input.resolved;
  const isSkipped = (id: string): boolean => options.skipChecks.includes(id);
  const isBucketUntested = await tryBuckets({
    config,
    store,
    ownCas,
    before: running,
    secrets,
    isSkipped: isSkipped('bucket'),
    progress,
  });
  const isMailUntested = await tryMail({
    engine,
    config,
    store,
    image: caddy,
    ownCas,
    before: running,
    passwordBefore: (await Store.open(input.folder)).find('mail.password'),
    answers,
    isSkipped: isSkipped('mail'),
    progress,
  });
  const untested = [...(isBucketUntested ? ['bucket'] : []), ...(isMailUntested ? ['mail'] : [])];
  const places = await placesBefore(input.folder);
  const unmarked = await checkMarkers(
    engine,
    config,
    store,
    (name) => imageOf(prepared, name),
    places,
    mounts,
    site.dataFolders,
  );
  return { unmarked, untested };
}

const verifyFiles = (
  { progress }: ApplyOptions,
  engine: Engine,
  { input, lock, site }: Prepared,
): Promise<unknown> =>
  withLine(progress, 'verify', 'Files rendered, checked by Compose and Caddy', () =>
    verifySite(engine, input.folder, lock, site),
  );

async function createSwap({ progress }: ApplyOptions, { plan: { swap } }: Prepared): Promise<void> {
  if (swap === undefined) return;
  await withLine(progress, 'swap', `Swap file of ${swap.gib} GB: ${SWAP.file}`, () =>
    makeSwap(swap.gib * 1024),
  );
}

/** Saves the secrets; a rotated one is set in its server first. */
async function saveSecrets(
  { progress }: ApplyOptions,
  engine: Engine,
  { config, store, input }: Prepared,
): Promise<void> {
  await changeInServers(engine, config, store, progress, input.now);
  await withLine(progress, 'secrets', store.existed ? 'Secrets' : 'Secrets generated', () => store.save());
}

/** Creates data directories and the internal CA, and marks new data as this site's. */
async function prepareData(
  { progress }: ApplyOptions,
  engine: Engine,
  prepared: Prepared,
  unmarked: readonly Unmarked[],
): Promise<void> {
  const caddy = imageOf(prepared, 'caddy');
  await makeDataFolders(engine, prepared.site, caddy);
  await installRoot(engine, prepared.site, caddy);
  for (const app of prepared.config.apps) {
    const own = unmarked.filter((one) => one.app === app);
    if (own.length === 0) continue;
    await withLine(progress, `seal.${app.id}`, `Ownership marker of ${appOf(app.id).name}`, async () => {
      for (const { write } of own) await write();
    });
  }
}

async function runAppSteps(
  { progress }: ApplyOptions,
  engine: Engine,
  { config, store, input }: Prepared,
): Promise<void> {
  const context = { runtime: runtimeOf(engine, config.name), store, progress, now: input.now };
  // First those of components: the accounts of exporters, which report a fault until they can log in.
  for (const { steps } of componentsOf(config))
    await runSteps(context, steps?.(config, (name) => store.get(name)) ?? []);
  for (const app of config.apps) {
    if (config.apps.length > 1) progress.say(appOf(app.id).name);
    await runSteps(context, appOf(app.id).steps(app));
  }
}

/** Proves the site. A complete receipt ends the use of previous secrets. */
async function proveChange(
  { progress }: ApplyOptions,
  engine: Engine,
  { config, store, input }: Prepared,
  untested: readonly string[],
): Promise<Receipt> {
  const { folder, now } = input;
  const receipt = await proveSite({ folder, config, store, engine, progress, now, untested });
  if (receipt.proven) {
    // Of all apps: a removed one may come back.
    const kept = APP_IDS.flatMap((id) => appOf(id).secrets).filter(({ keepsPrevious }) => keepsPrevious);
    store.forgetPrevious(kept.map(({ name }) => name));
  }
  return receipt;
}

/** Where fedi-setup overwrites nothing. */
const LASTING = 'Put lasting changes into compose.override.yaml, env/*.local.env or caddy/custom';

/** Paths of edited files to keep. */
async function decideEdited(options: ApplyOptions, changes: readonly Change[]): Promise<ReadonlySet<string>> {
  const edited = changes.filter((change) => change.edited);
  if (edited.length === 0) return new Set();
  const decision = await options.onEdited(edited);
  const outdated = edited.filter(({ keepable }) => !keepable);
  if (decision === 'keep' && outdated.length > 0) {
    throw new Problem(
      EXIT.REFUSED,
      `This change needs new versions of files that you edited: ${outdated.map(({ path }) => path).join(', ')}.`,
      {
        means: 'If yours stayed, only a part of the change would take effect. Nothing was changed.',
        next: `\`fedi-setup plan --diff\` shows the differences. ${LASTING}, then run this with --edited replace.`,
      },
    );
  }
  if (decision === 'abort') {
    throw new Problem(
      EXIT.REFUSED,
      `You edited generated files: ${edited.map(({ path }) => path).join(', ')}.`,
      {
        means: 'Overwriting them would lose those changes. Nothing was changed.',
        next: `\`fedi-setup plan --diff\` shows the differences. ${outdated.length === 0 ? '--edited keep keeps your versions, ' : ''}--edited replace overwrites them. ${LASTING}.`,
      },
    );
  }
  return new Set(decision === 'keep' ? edited.map(({ path }) => path) : []);
}

async function writeFiles(
  { progress }: ApplyOptions,
  { config, input: { folder }, plan, changes }: Prepared,
  keep: ReadonlySet<string>,
): Promise<void> {
  const lines = fileLines(plan.files);
  // Otherwise Docker would create it for the mount, and it would belong to root.
  if (config.statusPage !== undefined) await makeFolder(join(folder, STATUS_PAGE), 0o755);
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

async function keepStarts(
  folder: string,
  services: readonly string[],
  healthyAt: Readonly<Record<string, number>>,
  since: number,
): Promise<void> {
  const starts: Record<string, number> = { ...(await startsOf(folder)) };
  for (const name of services)
    if (healthyAt[name] !== undefined) starts[name] = Math.ceil((healthyAt[name] - since) / 1000);
  await writeWhole(join(folder, OWN, STARTS), `${JSON.stringify(starts)}\n`, 0o600);
}

async function startContainers(
  { progress }: ApplyOptions,
  engine: Engine,
  site: RenderedSite,
  { folder, jobsFirst }: PlanInput,
): Promise<void> {
  const ownChanged = await ownFilesChanged(folder);
  progress.start('up', 'Containers');
  try {
    const containers = await engine.containers(site.compose.name);
    const before = await stale(containers, folder, site);
    if (before.length === 0 && leftovers(containers, site).length === 0 && !ownChanged) progress.already();
    else {
      progress.update(before.join(', '));
      const since = Date.now();
      if (jobsFirst === true) await replaceAfterJobs(engine, folder, site, before, progress);
      const healthyAt = await bringUp(engine, folder, site, progress);
      await removeUnused(engine, site, containers);
      await keepStarts(folder, before, healthyAt, since);
      progress.done(before.join(', '));
    }
  } catch (error) {
    progress.fail();
    throw error;
  }
  if (ownChanged || !(await isCaddyCurrent(engine, folder, site))) {
    await withLine(progress, 'reload', 'Caddy reloaded', () => renewCaddy(engine, folder, site));
  }
  await keepOwnFilesHash(folder);
  await keepPlace(folder);
}

async function renewCaddy(engine: Engine, folder: string, site: RenderedSite): Promise<void> {
  const { code, stderr } = await reloadCaddy(runtimeOf(engine, site.compose.name));
  if (code !== 0 || !(await isCaddyCurrent(engine, folder, site))) {
    throw new Problem(EXIT.FAILED, 'Caddy rejected the new configuration.', {
      means: 'It still runs the previous one.',
      next: 'Fix the error in the log above and run this again.',
      log: stderr.trim().split('\n').slice(-10).join('\n'),
    });
  }
}
