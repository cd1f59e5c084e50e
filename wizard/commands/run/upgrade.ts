/** `upgrade`: plans an upgrade of an app, runs it, and undoes it if it fails. */
import { apply } from '../../apply/apply.ts';
import type { Applied } from '../../apply/apply.ts';
import { refuseForeign } from '../../apply/foreign.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { fetchImages, lockOf } from '../../apply/images.ts';
import { proveSite } from '../../apply/receipt.ts';
import { lockedBy, thisProcess } from '../../apply/runlock.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { isInterrupted, keepUpgrading, readUpgrading } from '../../apply/upgrading.ts';
import type { Upgrading } from '../../apply/upgrading.ts';
import { appOf } from '../../apps/index.ts';
import { configOf } from '../../answers/config.ts';
import { appQuestion } from '../../answers/questions.ts';
import { flagSource } from '../../answers/sources.ts';
import { readRecord, writeRecord } from '../../backup-record.ts';
import { readCompose } from '../../backup/set.ts';
import { flagOf } from '../../config/question.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { lockedReference, readLock, wantedImages } from '../../plan/lock.ts';
import { EXIT, Problem, messageOf } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { randomToken, Store } from '../../secrets/store.ts';
import { beginUpgrade, finishUpgrade } from '../../upgrade/maintenance.ts';
import { pendingMigrations } from '../../upgrade/migrations.ts';
import { describeUpgrade } from '../../upgrade/plan.ts';
import {
  imageOf,
  newestOf,
  refuseExternal,
  refuseOwnImage,
  refuseUnsaved,
  upgradable,
} from '../../upgrade/target.ts';
import type { Target } from '../../upgrade/target.ts';
import { restoreVersion } from '../../upgrade/undo.ts';
import { refuseVersion } from '../../upgrade/versions.ts';
import type { CommandContext, Run } from '../command.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { answersFor, optionsFor, planFor } from '../setup.ts';
import type { Answered } from '../setup.ts';
import { withRunLock } from '../with-lock.ts';
import { backUpSite, refuseFailed } from './backup.ts';

export const run: Run = async (context) => {
  const site = await existingSite(context);
  const { folder, config, engine } = site;
  await engine.info();
  await refuseForeign(folder, config.name, await engine.containers(config.name));
  const upgrading = await readUpgrading(folder);
  if (upgrading !== undefined) return endInterrupted(context, site, upgrading);
  await refuseUnfinished(folder);
  await refuseGoodbye(folder, config.apps);
  await readCompose(folder);
  const targets = targetsFor(context, site);
  for (const app of context.flags.app.length === 0 ? config.apps : [])
    if (!targets.some((target) => target.app.id === app.id))
      context.progress.print(`${appOf(app.id).name}: its version comes with fedi-setup.`);
  for (const target of targets) {
    const to = await versionFor(context, site, target);
    if (context.flags.check || to === undefined || to === target.from) report(context, target, to);
    else {
      const code = await upgrade(context, site, target, to);
      if (code !== EXIT.OK) return code;
    }
  }
  return EXIT.OK;
};

/** The apps to upgrade. Throws exit 2 for one that the site lacks or whose version comes with fedi-setup. */
function targetsFor({ flags }: CommandContext, site: Site): Target[] {
  const { config } = site;
  const all = upgradable(site);
  const targets = flags.app.length === 0 ? all : all.filter(({ app }) => flags.app.includes(app.id));
  for (const id of flags.app) {
    if (targets.some(({ app }) => app.id === id)) continue;
    const app = config.apps.find((one) => one.id === id);
    const { name } = app === undefined ? { name: id } : appOf(id);
    throw new Problem(
      EXIT.USAGE,
      app === undefined ? `This site has no ${id}.` : `The version of ${name} comes with fedi-setup.`,
      {
        means: 'Nothing was changed.',
        next:
          app === undefined
            ? `It has: ${config.apps.map((one) => one.id).join(', ')}.`
            : 'Update fedi-setup, then run `fedi-setup apply`.',
      },
    );
  }
  if (flags.to.length > 0 && (flags.to.length > 1 || targets.length !== 1))
    throw new Problem(EXIT.USAGE, '--to is the version of one app.', {
      means: 'Nothing was changed.',
      next: `Name the app: --app ${targets[0]?.app.id ?? 'APP'}.`,
    });
  return targets;
}

/** The version to upgrade to; undefined: there is no newer one. Throws a Problem if it cannot be installed. */
async function versionFor(
  { flags }: CommandContext,
  { engine }: Site,
  target: Target,
): Promise<string | undefined> {
  const { app, name, upgrades, from } = target;
  const [wanted] = flags.to;
  if (wanted !== undefined) {
    const parsed = appQuestion(app.id, upgrades.answer).parse(wanted);
    if ('problem' in parsed)
      throw new Problem(EXIT.USAGE, `--to ${wanted}: ${parsed.problem}`, { means: 'Nothing was changed.' });
    const to = String(parsed.value);
    refuseVersion(name, upgrades, from, to);
    // Throws if the registry does not have it.
    if (flags.check && to !== from) await engine.findInRegistry(imageOf(target, to));
    return to;
  }
  return newestOf(engine, target);
}

function report(
  { progress, flags }: CommandContext,
  { app, name, from, upgrades }: Target,
  to: string | undefined,
): void {
  const isNewer = to !== undefined && to !== from;
  progress.emit({
    event: 'upgrade',
    app: app.id,
    from,
    to: isNewer ? to : undefined,
    state: isNewer ? 'available' : 'current',
    seconds: undefined,
  });
  progress.print(
    isNewer
      ? `${name} ${from}: ${to} is available. ${upgrades.notes(to)}\n  \`fedi-setup upgrade --app ${app.id}${flags.to.length > 0 ? ` --to ${to}` : ''}\``
      : to === from
        ? `${name}: the site runs ${from} already.`
        : `${name} ${from}: there is no newer patch release.`,
  );
}

/** The answers of the site with another version of an app. */
async function answersWith(
  context: CommandContext,
  folder: string,
  { app, upgrades }: Target,
  to: string,
): Promise<Answered> {
  const flag = flagOf(appQuestion(app.id, upgrades.answer));
  const sources = [await flagSource({ [flag]: to })];
  const answered = await answersFor({ ...context, sources }, folder, [], false);
  return { ...answered, upgrading: true };
}

const INTERRUPTED =
  'The upgrade is not complete, and the site may be in maintenance mode. Run `fedi-setup upgrade` to end that: it restores the previous version, or completes the upgrade if the new one was proven.';

export async function upgrade(
  context: CommandContext,
  site: Site,
  target: Target,
  to: string,
): Promise<ExitCode> {
  const { progress, now } = context;
  const { folder, config, engine } = site;
  const { app, name, from } = target;
  const answered = await answersWith(context, folder, target, to);
  const next = configOf(answered.resolved.answers);
  refuseOwnImage(target, site);
  refuseUnsaved(site);
  const planned = await planFor(context, folder, answered, engine);
  if (context.flags.edited === undefined && planned.changes.some(({ edited }) => edited))
    throw new Problem(EXIT.REFUSED, 'You edited generated files.', {
      means: 'An upgrade would overwrite them. Nothing was changed.',
      next: '`fedi-setup plan --diff` shows the differences. --edited replace overwrites them, --edited keep keeps them.',
    });
  const wanted = wantedImages(next);
  const { missing } = await lockOf(engine, wanted, await readLock(folder));
  const pulled = await fetchImages(engine, wanted, await readLock(folder), missing, progress);
  const { lock } = await lockOf(engine, wanted, await readLock(folder), pulled);
  const image = lockedReference(lock[target.upgrades.image] as (typeof lock)[string]);
  const migrations = await pendingMigrations(
    engine,
    runtimeOf(engine, config.name),
    target.upgrades,
    app,
    image,
  );
  refuseExternal(target, migrations, await Store.open(folder));
  for (const line of await describeUpgrade(site, target, to, migrations)) progress.say(line);
  if (!(await agrees(context))) {
    progress.say('Nothing was changed.');
    return EXIT.OK;
  }
  await refuseUnproven(context, site);
  const backups = await backUpSite(context, site, config.backup?.repositories ?? []);
  refuseFailed(backups);

  const startedAt = Date.now();
  const changesData = migrations === undefined || migrations.before.length + migrations.after.length > 0;
  const upgrading: Upgrading = {
    app: app.id,
    from,
    to,
    at: now().toISOString(),
    owner: await thisProcess(),
    withData: changesData,
    token: randomToken(),
    phase: 'started',
  };
  try {
    context.onInterrupted(INTERRUPTED);
    await withRunLock(context, folder, () => beginUpgrade(site, target, upgrading, progress));
  } catch (error) {
    // Another run was first: it is not undone here.
    const there = await readUpgrading(folder);
    if (there?.token !== upgrading.token) throw error;
    return undo(context, site, target, upgrading, error);
  }
  try {
    const applied = await apply(optionsFor(context, folder, answered));
    if (applied.exit !== EXIT.OK) throw unproven(name, to, applied);
  } catch (error) {
    return undo(context, site, target, upgrading, error);
  }
  await keepUpgrading(folder, { ...upgrading, phase: 'proven' });
  await withRunLock(context, folder, () => finishUpgrade(site));
  context.onInterrupted();
  const seconds = Math.round((Date.now() - startedAt) / 1000);
  const record = await readRecord(folder);
  await writeRecord(folder, {
    ...record,
    upgraded: { ...record.upgraded, [app.id]: { at: upgrading.at, to, seconds: changesData ? seconds : 0 } },
  });
  progress.emit({
    event: 'upgrade',
    app: app.id,
    from,
    to,
    state: 'upgraded',
    seconds: changesData ? seconds : undefined,
  });
  progress.say(
    `\n  ${name} ${to} is proven${changesData ? `; the site was in maintenance mode for ${seconds} s` : ''}. To go back, restore the backup made before the upgrade; everything written since is lost:\n  \`fedi-setup restore --from ${backups[0]?.repository.text ?? ''} --at ${backups[0]?.snapshot ?? ''}\``,
  );
  return EXIT.OK;
}

/** An upgrade failed, and the previous version runs again. */
export class UpgradeUndone extends Problem {}

/** Restores the previous version, after an upgrade that failed. Throws {@link UpgradeUndone} with the reason. */
async function undo(
  context: CommandContext,
  site: Site,
  { app, name }: Target,
  { from, to, withData }: Upgrading,
  reason: unknown,
): Promise<never> {
  const { progress } = context;
  progress.say(`\n  The upgrade of ${name} failed: ${messageOf(reason)}\n  Restoring ${from}.`);
  await restoreAndProve(context, site, app.id).catch((error: unknown) => {
    if (!(error instanceof Problem)) throw error;
    throw new Problem(error.exit, `${name} ${from} could not be restored: ${error.message}`, {
      means: `The upgrade failed before: ${messageOf(reason)}${withData ? ' The site is still in maintenance mode.' : ''} What is needed to restore ${from} is kept.`,
      next: 'Fix that, then run `fedi-setup upgrade` again.',
      ...(error.log === undefined ? {} : { log: error.log }),
      cause: error,
    });
  });
  progress.emit({ event: 'upgrade', app: app.id, from, to, state: 'undone', seconds: undefined });
  const { means: _, next = '', log } = reason instanceof Problem ? reason : { means: '', log: undefined };
  throw new UpgradeUndone(EXIT.FAILED, `The upgrade of ${name} to ${to} failed: ${messageOf(reason)}`, {
    means: withData
      ? `${name} ${from} runs again, with the data from before, and is proven. Nothing was lost.`
      : `${name} ${from} runs again and is proven. Its data were not changed.`,
    next: next === '' ? 'Fix that and run this again.' : next,
    ...(log === undefined ? {} : { log }),
    cause: reason,
  });
}

/** Restores the previous version, proves it, and ends the maintenance mode. */
async function restoreAndProve(context: CommandContext, site: Site, app: string): Promise<void> {
  const { folder } = site;
  const upgrading = await readUpgrading(folder);
  if (upgrading?.phase === 'saved')
    await withRunLock(context, folder, () => restoreVersion(site, app, context.progress, upgrading.withData));
  const answered = await answersFor({ ...context, sources: [] }, folder, [], false);
  const applied = await apply(optionsFor(context, folder, { ...answered, upgrading: true }));
  const receipt = applied.changed
    ? applied.receipt
    : await proveSite({
        ...site,
        store: await Store.open(folder),
        progress: context.progress,
        now: context.now,
      });
  if (receipt?.proven !== true)
    throw new Problem(EXIT.UNPROVEN, 'The previous version was restored, but it could not be proven.', {
      means: 'Its data are those from before the upgrade. If it was in maintenance mode, it still is.',
      next: 'Fix what the proof names, then run `fedi-setup upgrade` again.',
    });
  // From now on people may write: nothing must be restored again.
  if (upgrading !== undefined) await keepUpgrading(folder, { ...upgrading, phase: 'proven' });
  await withRunLock(context, folder, () => finishUpgrade(site));
  context.onInterrupted();
}

/** Completes or undoes an upgrade that was interrupted. Throws exit 6 if it still runs. */
export async function endInterrupted(
  context: CommandContext,
  site: Site,
  upgrading: Upgrading,
): Promise<ExitCode> {
  if (!(await isInterrupted(upgrading))) throw lockedBy(upgrading.owner);
  const { app, from, to, phase } = upgrading;
  // From now on this process runs it.
  context.onInterrupted(INTERRUPTED);
  await keepUpgrading(site.folder, { ...upgrading, owner: await thisProcess() });
  const { name } = appOf(app);
  const { progress } = context;
  if (phase === 'proven') {
    await withRunLock(context, site.folder, () => finishUpgrade(site));
    progress.say(`  ${name} works. The upgrade that was interrupted at its end is complete.`);
    return EXIT.OK;
  }
  progress.say(`  The upgrade of ${name} to ${to} was interrupted. Restoring ${from}.`);
  await restoreAndProve(context, site, app);
  progress.emit({ event: 'upgrade', app, from, to, state: 'undone', seconds: undefined });
  progress.say(`\n  ${name} ${from} runs again, with the data from before. Run this again to upgrade.`);
  return EXIT.OK;
}

const unproven = (name: string, to: string, { receipt }: Applied): Problem =>
  new Problem(
    EXIT.UNPROVEN,
    `${name} ${to} runs, but is not proven: ${(receipt?.proofs ?? [])
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
