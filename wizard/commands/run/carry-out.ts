/** Carries an upgrade out, of an app or of its database: agreement, backup, maintenance mode, proof, and what undoes it. */
import { apply } from '../../apply/apply.ts';
import type { Applied } from '../../apply/apply.ts';
import { fetchImages, lockOf } from '../../apply/images.ts';
import type { Prepared } from '../../apply/prepare.ts';
import { proveSite } from '../../apply/receipt.ts';
import { lockedBy, thisProcess } from '../../apply/runlock.ts';
import {
  isInterrupted,
  keepUpgrading,
  readUpgrading,
  removeKept,
  upgradedApps,
} from '../../apply/upgrading.ts';
import type { Upgrading } from '../../apply/upgrading.ts';
import { appOf } from '../../apps/index.ts';
import { pendingMigrations, refuseUnmigrated } from '../../apps/migrations.ts';
import { readRecord, writeRecord } from '../../backup-record.ts';
import type { AppConfig } from '../../config/config.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { lockedReference, readLock } from '../../plan/lock.ts';
import type { Lock } from '../../plan/lock.ts';
import { EXIT, Problem, messageOf } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import type { Progress } from '../../progress.ts';
import { randomToken, Store } from '../../secrets/store.ts';
import { beginUpgrade, finishUpgrade } from '../../upgrade/maintenance.ts';
import { DatabaseChanged } from '../../upgrade/external.ts';
import { upgradable } from '../../upgrade/target.ts';
import { restoreAnswers, restoreVersion } from '../../upgrade/undo.ts';
import type { CommandContext } from '../command.ts';
import { confirmed } from '../confirm.ts';
import type { Site } from '../find-site.ts';
import { answersFor, optionsFor } from '../setup.ts';
import type { Answered } from '../setup.ts';
import { announceMaintenance, refreshPage } from '../status-page.ts';
import { withRunLock } from '../with-lock.ts';
import { backUpSite, refuseFailed } from './backup.ts';

const INTERRUPTED =
  'The upgrade is not complete, and the site may be in maintenance mode. Run `fedi-setup upgrade` to end that: it restores the previous version, or completes the upgrade if the new one was proven.';

/** An upgrade. */
export interface Job {
  /** What gets a new version: "Mastodon", "PostgreSQL". */
  readonly name: string;
  /** Its key in the record of upgrades. */
  readonly key: string;
  /** The apps whose visitors have to wait. */
  readonly apps: readonly AppConfig[];
  readonly from: string;
  readonly to: string;
  /** It changes the data: the site is in maintenance mode meanwhile. */
  readonly withData: boolean;
  /** The external database that it changes and that cannot be restored, in words. */
  readonly external?: string | undefined;
  readonly database?: Upgrading['database'];
  readonly images?: Upgrading['images'];
  /** The answers with the new version. */
  readonly answered: Answered;
  /** The plan, in lines. */
  readonly plan: () => Promise<readonly string[]>;
  /** Saves what restores the running version. Writers are stopped. */
  readonly save: () => Promise<void>;
  /** Changes the data before the new version starts. */
  readonly move?: () => Promise<void>;
  /** Reports what is left. */
  readonly done?: () => void;
}

/** Pulls what the plan lacks. Refuses edited files. @returns the image lock of the new version */
export async function newLock(
  { progress, flags }: CommandContext,
  { folder, engine }: Site,
  { changes, wanted }: Pick<Prepared, 'changes' | 'wanted'>,
): Promise<Lock> {
  if (flags.edited === undefined && changes.some(({ edited }) => edited))
    throw new Problem(EXIT.REFUSED, 'You edited generated files.', {
      means: 'An upgrade would overwrite them. Nothing was changed.',
      next: '`fedi-setup plan --diff` shows the differences. --edited replace overwrites them, --edited keep keeps them.',
    });
  const { missing } = await lockOf(engine, wanted, await readLock(folder));
  const pulled = await fetchImages(engine, wanted, await readLock(folder), missing, progress);
  return (await lockOf(engine, wanted, await readLock(folder), pulled)).lock;
}

/** Asks, backs up, upgrades and proves. Throws {@link UpgradeUndone} if it failed. */
export async function carryOut(context: CommandContext, site: Site, job: Job): Promise<ExitCode> {
  const { progress, now } = context;
  const { folder, config } = site;
  const { name, key, apps, from, to, withData, external, database, images } = job;
  const { answered, plan, save, move, done } = job;
  for (const line of await plan()) progress.say(line);
  if (external !== undefined)
    await confirmed(
      context,
      apps[0]?.id ?? '',
      `changes ${external}. If it fails after the first migration, only you can restore that database, from a snapshot or a backup on its server`,
    );
  else if (!(await agrees(context))) {
    progress.say('Nothing was changed.');
    return EXIT.OK;
  }
  await refuseUnproven(context, site);
  const backups = await backUpSite(context, site, config.backup?.repositories ?? []);
  refuseFailed(backups);

  const upgrading: Upgrading = {
    app: apps[0]?.id ?? '',
    from,
    to,
    at: now().toISOString(),
    owner: await thisProcess(),
    withData,
    token: randomToken(),
    phase: 'started',
    ...(external === undefined ? {} : { external: true }),
    ...(database === undefined ? {} : { database }),
    ...(images === undefined ? {} : { images }),
  };
  try {
    context.onInterrupted(INTERRUPTED);
    await withRunLock(context, folder, () =>
      beginUpgrade(site, apps, upgrading, progress, async () => {
        await announceMaintenance(site, now());
        await save();
      }),
    );
  } catch (error) {
    // Another run was first: it is not undone here.
    const there = await readUpgrading(folder);
    if (there?.token !== upgrading.token) throw error;
    return undo(context, site, name, upgrading, error);
  }
  try {
    if (move !== undefined) await withRunLock(context, folder, move);
    const applied = await apply(optionsFor(context, folder, answered));
    if (applied.exit !== EXIT.OK) throw unproven(versionText(name, upgrading, to), applied);
    await checkMigrations(site, name, upgrading);
  } catch (error) {
    return undo(context, site, name, upgrading, error);
  }
  const [backup] = backups;
  await complete(
    context,
    site,
    name,
    key,
    upgrading,
    `\`fedi-setup restore --from ${backup?.repository.text ?? ''} --at ${backup?.snapshot ?? ''}\``,
  );
  done?.();
  return EXIT.OK;
}

/** Throws a Problem if the database of a new version lacks migrations. */
async function checkMigrations(
  site: Site,
  name: string,
  { app, to, withData, database, images }: Upgrading,
): Promise<void> {
  const target = upgradable(site).find((one) => one.app.id === app);
  if (!withData || database !== undefined || images !== undefined || target === undefined) return;
  const { folder, config, engine } = site;
  const { upgrades } = target;
  const image = lockedReference((await readLock(folder))[upgrades.image] as Lock[string]);
  const runtime = runtimeOf(engine, config.name);
  refuseUnmigrated(`${name} ${to}`, await pendingMigrations(engine, runtime, upgrades, target.app, image));
}

/** Ends an upgrade whose new version is proven. @param way the command that restores the backup */
async function complete(
  context: CommandContext,
  site: Site,
  name: string,
  key: string,
  upgrading: Upgrading,
  way: string,
): Promise<void> {
  const { progress, now } = context;
  const { folder } = site;
  const { at, to, withData } = upgrading;
  await keepUpgrading(folder, { ...upgrading, phase: 'proven' });
  await finish(context, site);
  context.onInterrupted();
  const seconds = Math.round((now().getTime() - Date.parse(at)) / 1000);
  const record = await readRecord(folder);
  await writeRecord(folder, {
    ...record,
    upgraded: { ...record.upgraded, [key]: { at, to, seconds: withData ? seconds : 0 } },
  });
  emitAll(progress, upgrading, 'upgraded', withData ? seconds : undefined);
  progress.say(
    `\n  ${versionText(name, upgrading, to)} is proven${withData ? `; the site was in maintenance mode for ${seconds} s` : ''}. To go back, restore the backup made before the upgrade; everything written since is lost:\n  ${way}`,
  );
}

/** Ends the maintenance mode. */
async function finish(context: CommandContext, site: Site): Promise<void> {
  await withRunLock(context, site.folder, () => finishUpgrade(site));
  await refreshPage(site, context.now());
}

/** What runs, in words: "Mastodon v4.6.5", "The site with the previous images". */
const versionText = (name: string, { images }: Pick<Upgrading, 'images'>, version: string): string =>
  images === undefined ? `${name} ${version}` : `${name} with ${version}`;

/** An upgrade failed, and the previous version runs again. */
export class UpgradeUndone extends Problem {}

/** Restores the previous version, after an upgrade that failed. Throws {@link UpgradeUndone} with the reason. */
async function undo(
  context: CommandContext,
  site: Site,
  name: string,
  upgrading: Upgrading,
  reason: unknown,
): Promise<never> {
  const { progress } = context;
  const { from, to, withData } = upgrading;
  const what = upgrading.images === undefined ? ` of ${name}` : '';
  progress.say(`\n  The upgrade${what} failed: ${messageOf(reason)}\n  Restoring ${from}.`);
  await restoreAndProve(context, site).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    if (error instanceof DatabaseChanged) throw withReason(error, `The upgrade${what} to ${to}`, reason);
    throw new Problem(
      error.exit,
      `${versionText(name, upgrading, from)} could not be restored: ${error.message}`,
      {
        means: `The upgrade failed before: ${messageOf(reason)}${withData ? ' The site is still in maintenance mode.' : ''} What is needed to restore ${from} is kept.`,
        next: 'Fix that, then run `fedi-setup upgrade` again.',
        ...(error.log === undefined ? {} : { log: error.log }),
        cause: error,
      },
    );
  });
  emitAll(progress, upgrading, 'undone', undefined);
  const { means: _, next = '', log } = reason instanceof Problem ? reason : { means: '', log: undefined };
  throw new UpgradeUndone(EXIT.FAILED, `The upgrade${what} to ${to} failed: ${messageOf(reason)}`, {
    means: withData
      ? `${versionText(name, upgrading, from)} runs again, with the data from before, and is proven. Nothing was lost.`
      : `${versionText(name, upgrading, from)} runs again and is proven. Its data were not changed.`,
    next: next === '' ? 'Fix that and run this again.' : next,
    ...(log === undefined ? {} : { log }),
    cause: reason,
  });
}

/** A changed database, and why the upgrade failed. */
function withReason(changed: DatabaseChanged, upgrade: string, reason: unknown): Problem {
  const { message, means = '', next = '' } = changed;
  const log = reason instanceof Problem ? reason.log : undefined;
  return new DatabaseChanged(changed.exit, `${upgrade} failed: ${messageOf(reason)}`, {
    means: `${message} ${means}`,
    next,
    ...(log === undefined ? {} : { log }),
    cause: reason,
  });
}

/** Restores the previous version, proves it, and ends the maintenance mode. */
async function restoreAndProve(context: CommandContext, site: Site): Promise<void> {
  const { folder } = site;
  const upgrading = await readUpgrading(folder);
  if (upgrading !== undefined)
    await withRunLock(context, folder, async () => {
      if (upgrading.phase === 'saved') await restoreVersion(site, upgrading, context.progress);
      await restoreAnswers(folder, context.progress);
      if (upgrading.database === undefined) return;
      // From now on there is nothing to restore, so the copies may go.
      await keepUpgrading(folder, { ...upgrading, phase: 'started' });
      await removeKept(upgrading, site.engine);
    });
  const receipt = await applySaved(context, site);
  if (receipt?.proven !== true)
    throw new Problem(EXIT.UNPROVEN, 'The previous version was restored, but it could not be proven.', {
      means: 'Its data are those from before the upgrade. If it was in maintenance mode, it still is.',
      next: 'Fix what the proof names, then run `fedi-setup upgrade` again.',
    });
  // From now on people may write: nothing must be restored again.
  if (upgrading !== undefined) await keepUpgrading(folder, { ...upgrading, phase: 'proven' });
  await finish(context, site);
  context.onInterrupted();
}

/** Applies the site as it is saved, and proves it. */
async function applySaved(context: CommandContext, site: Site): Promise<Applied['receipt']> {
  const { folder } = site;
  const answered = await answersFor({ ...context, sources: [] }, folder, [], false);
  const applied = await apply(optionsFor(context, folder, { ...answered, upgrading: true }));
  return applied.changed
    ? applied.receipt
    : proveSite({
        ...site,
        store: await Store.open(folder),
        progress: context.progress,
        now: context.now,
      });
}

/** Starts the new version again, on an external database that it has changed before. */
async function goOn(
  context: CommandContext,
  site: Site,
  name: string,
  upgrading: Upgrading,
): Promise<ExitCode> {
  const { app, to } = upgrading;
  context.progress.say(`  The database was changed, and you confirmed it: starting ${to} again.`);
  try {
    const receipt = await applySaved(context, site);
    if (receipt?.proven !== true) throw unproven(`${name} ${to}`, { receipt });
    await checkMigrations(site, name, upgrading);
  } catch (error) {
    return undo(context, site, name, upgrading, error);
  }
  await complete(
    context,
    site,
    name,
    app,
    upgrading,
    '`fedi-setup backup list` shows it, `fedi-setup restore --at ID` restores it',
  );
  return EXIT.OK;
}

/** Completes or undoes an upgrade that was interrupted. Throws exit 6 if it still runs. */
export async function endInterrupted(
  context: CommandContext,
  site: Site,
  upgrading: Upgrading,
): Promise<ExitCode> {
  if (!(await isInterrupted(upgrading))) throw lockedBy(upgrading.owner);
  const { app, from, to, phase, database, images } = upgrading;
  // From now on this process runs it.
  context.onInterrupted(INTERRUPTED);
  await keepUpgrading(site.folder, { ...upgrading, owner: await thisProcess() });
  const name = images === undefined ? (database?.product ?? appOf(app).name) : 'The site';
  const { progress } = context;
  if (phase === 'proven') {
    await finish(context, site);
    progress.say(`  ${name} works. The upgrade that was interrupted at its end is complete.`);
    return EXIT.OK;
  }
  const what = images === undefined ? `of ${name} to` : 'to';
  progress.say(`  The upgrade ${what} ${to} was interrupted. Restoring ${from}.`);
  try {
    await restoreAndProve(context, site);
  } catch (error) {
    const isInstalled = upgradable(site).some((one) => one.app.id === app && one.from === to);
    if (error instanceof DatabaseChanged && isInstalled && context.flags.confirm === app)
      return goOn(context, site, name, upgrading);
    throw error;
  }
  emitAll(progress, upgrading, 'undone', undefined);
  progress.say(
    `\n  ${versionText(name, upgrading, from)} runs again${upgrading.withData ? ', with the data from before' : '; its data were not changed'}. Run this again to upgrade.`,
  );
  return EXIT.OK;
}

const unproven = (what: string, { receipt }: Pick<Applied, 'receipt'>): Problem =>
  new Problem(
    EXIT.UNPROVEN,
    `${what} runs, but is not proven: ${(receipt?.proofs ?? [])
      .filter(({ ok }) => !ok)
      .map(({ title, seen }) => `${title}: ${seen}`)
      .join('; ')}`,
  );

/** Refuses to upgrade a site that is not proven: the result could not be judged. */
async function refuseUnproven(context: CommandContext, site: Site): Promise<void> {
  const { progress, now } = context;
  progress.say('  The site before the upgrade:');
  const store = await Store.open(site.folder);
  const { proven } = await withRunLock(context, site.folder, () =>
    proveSite({ ...site, store, progress, now }),
  );
  if (proven) return;
  throw new Problem(EXIT.REFUSED, 'The site does not work now.', {
    means: 'The result of an upgrade could not be judged. Nothing was changed.',
    next: '`fedi-setup doctor` shows what is wrong. Fix that, then run this again.',
  });
}

/** One event an app. */
function emitAll(
  progress: Progress,
  upgrading: Upgrading,
  state: 'upgraded' | 'undone',
  seconds: number | undefined,
): void {
  const { from, to, database } = upgrading;
  const shown = (version: string): string =>
    database === undefined ? version : `${database.product} ${version}`;
  for (const app of upgradedApps(upgrading))
    progress.emit({ event: 'upgrade', app, from: shown(from), to: shown(to), state, seconds });
}

async function agrees({ interactive, flags }: CommandContext): Promise<boolean> {
  if (!interactive || flags.yes) return true;
  const { askChoice } = await import('../../ask/prompts.ts');
  return (
    (await askChoice('Upgrade now', [
      { value: 'yes', name: 'Yes' },
      { value: 'no', name: 'No, change nothing' },
    ])) === 'yes'
  );
}
