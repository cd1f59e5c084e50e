/** `upgrade --databases`: moves databases to a new major version of their server. */
import { appOf } from '../../apps/index.ts';
import { appNames, databaseServers } from '../../apps/majors.ts';
import type { OlderDatabase } from '../../apps/majors.ts';
import { sizeText } from '../../checks/check.ts';
import { lockedReference } from '../../plan/lock.ts';
import type { Lock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import {
  appsOf,
  databaseTargets,
  describeDatabase,
  keepDatabases,
  keptNames,
  moveDatabases,
  newImage,
  refuseDatabase,
  refuseOtherDatabase,
  spaceFor,
} from '../../upgrade/database.ts';
import type { Before } from '../../upgrade/database.ts';
import { refuseUnsaved } from '../../upgrade/target.ts';
import { saveVersion } from '../../upgrade/undo.ts';
import type { CommandContext } from '../command.ts';
import type { Site } from '../find-site.ts';
import { answersFor, planFor } from '../setup.ts';
import { carryOut, newLock } from './carry-out.ts';

/** Upgrades the databases of some apps, or all, to the major version that the answers want. */
export async function upgradeDatabases(context: CommandContext, site: Site): Promise<ExitCode> {
  const { flags, progress } = context;
  if (flags.to.length > 0)
    throw new Problem(EXIT.USAGE, '--to is the version of an app, not of a database.', {
      means: 'Nothing was changed.',
      next: 'Set images.postgres or images.mariadb in fedi.yaml to choose another image.',
    });
  for (const id of flags.app) refuseOtherDatabase(site, id);
  const targets = (await databaseTargets(site)).filter(
    ({ servers }) => flags.app.length === 0 || servers.some(({ app }) => flags.app.includes(app.id)),
  );
  if (targets.length === 0) progress.print(noTarget(site));
  for (const target of targets) {
    if (flags.check) await check(context, site, target);
    else {
      const code = await upgrade(context, site, target);
      if (code !== EXIT.OK) return code;
    }
  }
  return EXIT.OK;
}

/** Why there is nothing to upgrade. */
function noTarget({ config }: Site): string {
  if (databaseServers(config).length > 0) return 'No database has a newer major version to upgrade to.';
  const names = config.apps.map(({ id }) => appOf(id).name).join(' and ');
  return config.apps.some(({ id }) => appOf(id).servers !== undefined)
    ? `No database of ${names} is in a container of the site: yours are upgraded on their server.`
    : `${names} has no database. \`fedi-setup upgrade --images\` installs new versions.`;
}

/** Names databases that can be upgraded. */
export async function reportDatabases({ progress }: CommandContext, site: Site): Promise<void> {
  for (const target of await databaseTargets(site)) {
    const { servers, product, from, to } = target;
    progress.print(
      `${appNames(servers)}: the database runs on ${product} ${from}; ${product} ${to} is available.\n  \`fedi-setup upgrade --databases\``,
    );
  }
}

/** Shows the plan, with the running image: the new one may not be here. */
async function check(context: CommandContext, site: Site, target: OlderDatabase): Promise<void> {
  const { progress, now } = context;
  for (const { app } of target.servers)
    progress.emit({
      event: 'upgrade',
      app: app.id,
      from: `${target.product} ${target.from}`,
      to: `${target.product} ${target.to}`,
      state: 'available',
      seconds: undefined,
    });
  const { lock } = await planFor(context, site.folder, await answered(context, site), site.engine);
  const space = await spaceFor(site, target, lockedReference(lock['caddy'] as Lock[string]));
  const kept = await keptNames(site, target, now());
  for (const line of await describeDatabase(site, target, kept, space)) progress.print(line);
}

const answered = async (context: CommandContext, { folder }: Site) => ({
  ...(await answersFor({ ...context, sources: [] }, folder, [], false)),
  upgrading: true as const,
});

async function upgrade(context: CommandContext, site: Site, target: OlderDatabase): Promise<ExitCode> {
  const { progress, now } = context;
  const { folder, engine } = site;
  const { servers, product, from, to, image: name } = target;
  refuseUnsaved(site);
  const moving = { ...(await answered(context, site)), moved: [name] };
  const lock = await newLock(context, site, await planFor(context, folder, moving, engine));
  const entry = lock[name] as Lock[string];
  const image = lockedReference(entry);
  const space = await spaceFor(site, target, image);
  await refuseDatabase(site, target, newImage(site, target), image, space);
  const kept = await keptNames(site, target, now());
  let before: Before = { dumps: [], traits: {} };
  return carryOut(context, site, {
    name: product,
    key: name,
    apps: appsOf(target),
    from,
    to,
    withData: true,
    database: { product, apps: servers.map(({ app }) => app.id), kept },
    answered: moving,
    plan: () => describeDatabase(site, target, kept, space),
    save: async () => {
      // The newer client writes what the newer server reads.
      const dumps = await saveVersion(site, appsOf(target), progress, true, { [name]: entry });
      before = { dumps, traits: await keepDatabases(site, target, kept, image, progress) };
    },
    move: () => moveDatabases(site, target, lock, before, progress),
    done: () => {
      const volumes = Object.values(kept);
      progress.say(
        `  The old data (${sizeText(space.used * 1024)}) are in ${volumes.join(', ')}. When you are sure that you do not need them:\n  \`docker volume rm ${volumes.join(' ')}\``,
      );
    },
  });
}
