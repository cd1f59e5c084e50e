/** `upgrade`: plans upgrades of apps and of their databases. */
import { refuseForeign } from '../../apply/foreign.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { readUpgrading } from '../../apply/upgrading.ts';
import { appOf } from '../../apps/index.ts';
import { appQuestion } from '../../answers/questions.ts';
import { flagSource } from '../../answers/sources.ts';
import { readCompose } from '../../backup/set.ts';
import { flagOf } from '../../config/question.ts';
import { runtimeOf } from '../../docker/runtime.ts';
import { lockedReference } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { pendingMigrations } from '../../apps/migrations.ts';
import { externalOf } from '../../upgrade/external.ts';
import { describeUpgrade } from '../../upgrade/plan.ts';
import { imageOf, newestOf, refuseOwnImage, refuseUnsaved, upgradable } from '../../upgrade/target.ts';
import type { Target } from '../../upgrade/target.ts';
import { saveVersion } from '../../upgrade/undo.ts';
import { refuseVersion } from '../../upgrade/versions.ts';
import type { CommandContext, Run } from '../command.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { answersFor, planFor } from '../setup.ts';
import type { Answered } from '../setup.ts';
import { carryOut, endInterrupted, newLock } from './carry-out.ts';
import { reportDatabases, upgradeDatabases } from './upgrade-database.ts';
import { reportImages, upgradeImages } from './upgrade-images.ts';

export const run: Run = async (context) => {
  const site = await existingSite(context);
  const { folder, config, engine } = site;
  await engine.info();
  await refuseForeign(folder, config.name, await engine.containers(config.name));
  const upgrading = await readUpgrading(folder);
  // --check changes nothing; below, it is refused.
  if (upgrading !== undefined && !context.flags.check) return endInterrupted(context, site, upgrading);
  await refuseUnfinished(folder);
  await refuseGoodbye(folder, config.apps);
  await readCompose(folder);
  if (context.flags.databases) return upgradeDatabases(context, site);
  if (context.flags.images) return upgradeImages(context, site);
  const targets = targetsFor(context, site);
  for (const app of context.flags.app.length === 0 ? config.apps : [])
    if (!targets.some((target) => target.app.id === app.id))
      context.progress.print(
        `${appOf(app.id).name}: its version comes with fedi-setup, and \`fedi-setup upgrade --images\` installs it.`,
      );
  for (const target of targets) {
    const to = await versionFor(context, site, target);
    if (context.flags.check || to === undefined || to === target.from) {
      report(context, target, to);
      const external =
        to === undefined || to === target.from
          ? undefined
          : await externalOf(site, target.app, context.progress);
      if (external !== undefined && external.obstacles.length > 0)
        context.progress.print(
          `  If it has migrations, the first one is the point of no return: fedi-setup cannot restore ${external.place} (${external.obstacles.join(', ')}). Make a snapshot or a backup there, and add --confirm ${target.app.id}.`,
        );
    } else {
      const code = await upgrade(context, site, target, to);
      if (code !== EXIT.OK) return code;
    }
  }
  await reportDatabases(context, site);
  await reportImages(context, site);
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
            : 'Update fedi-setup, then run `fedi-setup upgrade --images`.',
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

export async function upgrade(
  context: CommandContext,
  site: Site,
  target: Target,
  to: string,
): Promise<ExitCode> {
  const { progress } = context;
  const { folder, config, engine } = site;
  const { app, name, from } = target;
  const answered = await answersWith(context, folder, target, to);
  refuseOwnImage(target, site);
  refuseUnsaved(site);
  const planned = await planFor(context, folder, answered, engine);
  const lock = await newLock(context, site, planned);
  const image = lockedReference(lock[target.upgrades.image] as (typeof lock)[string]);
  const migrations = await pendingMigrations(
    engine,
    runtimeOf(engine, config.name),
    target.upgrades,
    app,
    image,
  );
  const changesData = migrations === undefined || migrations.before.length + migrations.after.length > 0;
  const external = changesData ? await externalOf(site, app, progress) : undefined;
  return carryOut(context, site, {
    name,
    key: app.id,
    apps: [app],
    from,
    to,
    withData: changesData,
    external: external?.obstacles.length === 0 ? undefined : external?.place,
    answered: { ...answered, jobsFirst: !changesData },
    plan: () => describeUpgrade(site, target, to, migrations, external),
    save: async () => void (await saveVersion(site, [app], progress, changesData)),
  });
}
