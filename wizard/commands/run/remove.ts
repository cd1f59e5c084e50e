import { APP_IDS, appOf } from '../../apps/index.ts';
import { dataOf, dataStay, placesIn } from '../../apply/data.ts';
import { refuseForeign } from '../../apply/foreign.ts';
import { removeVariables } from '../../apply/goodbye.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { forgetGoodbye, readGoodbyes } from '../../goodbye-record.ts';
import { withRunLock } from '../with-lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import { isOf } from '../../stack/compose.ts';
import { chosenApp } from '../chosen-app.ts';
import { confirmed } from '../confirm.ts';
import { domainsOf, goodbyeText, incompleteText, refuseAttempts, sayGoodbyes } from '../goodbye.ts';
import { answersFor, setUp } from '../setup.ts';
import { existingSite } from '../find-site.ts';
import type { Run } from '../command.ts';

const NOT_INFORMED =
  'Other servers do not learn that its accounts are gone; --goodbye has them delete these first';

export const run: Run = async (context) => {
  const { flags, progress } = context;
  refuseAttempts(context);
  const { folder, config, engine } = await existingSite(context);
  await engine.info();
  await refuseForeign(folder, config.name, await engine.containers(config.name));
  const ids = config.apps.map((app) => app.id);
  // A removed app may have left its data, and an interrupted removal its containers.
  const left = await dataOf(engine, config.name);
  const id = chosenApp(
    context,
    APP_IDS.filter((one) => ids.includes(one) || left.has(one)),
    'remove',
  );
  const here = ids.includes(id);
  if (ids.length === 1 && here)
    throw new Problem(EXIT.USAGE, `${appOf(id).name} is the only app of this site.`, {
      next: `\`fedi-setup uninstall${flags.goodbye ? ' --goodbye' : ''}\` removes the site.`,
    });

  const app = config.apps.find((one) => one.id === id);
  const goodbye = flags.goodbye && app !== undefined ? [app] : [];
  const said = (await readGoodbyes(folder))[id];
  if (flags.goodbye && app === undefined && said?.complete === undefined)
    throw new Problem(EXIT.USAGE, `${appOf(id).name} was removed from this site already.`, {
      means: 'Only an app that runs can have its accounts deleted on other servers. Nothing was changed.',
      next: `\`fedi-setup add ${id}\` restores it, if its data are still there.`,
    });
  const places = left.get(id) ?? [];
  const what = flags.data
    ? `the containers of ${appOf(id).name} and ALL ITS DATA (${placesIn(places)})${goodbye.length > 0 || said !== undefined ? '' : `. ${NOT_INFORMED}`}`
    : `the containers of ${appOf(id).name}; its data stay (${placesIn(places)}), and so do its secrets`;
  const how = flags.data ? '' : ' (and --data to remove the data too)';
  if (goodbye.length > 0) {
    await refuseUnfinished(folder);
    if (flags.dryRun)
      progress.print(
        `Before this, other servers delete the accounts of ${appOf(id).name}. Not in a dry run.`,
      );
    else {
      await confirmed(context, domainsOf(goodbye), `${goodbyeText(goodbye)} Then it removes ${what}`, how);
      await sayGoodbyes(context, { folder, config, engine }, goodbye, `remove ${id} --goodbye`);
    }
  } else if (!flags.dryRun)
    await confirmed(
      context,
      // A run that was killed after the goodbye may have removed the app from the answers.
      (flags.goodbye ? said?.domain : undefined) ?? id,
      `removes ${what}${await incompleteText(folder, id)}`,
      how,
    );

  const apps = { text: ids.filter((one) => one !== id).join(','), from: `remove ${id}` };
  const fewer = { ...context, sources: [new Map([['apps', apps]]), ...context.sources] };
  const exit = await setUp(fewer, folder, await answersFor(fewer, folder, [], false), true);
  if (flags.dryRun) return exit;
  // An interrupted run may have left them.
  await engine.removeNetworks(config.name, (key) => isOf(id, key));
  await removeVariables(folder, id);
  if (flags.data) {
    await withRunLock(context, folder, async () => {
      for (const { volume, device } of places) {
        progress.start(`volume.${volume}`, `Volume ${volume} removed`);
        if ((await engine.volume(volume)) === undefined) progress.already();
        else {
          await engine.removeVolume(volume);
          progress.done(device === undefined ? undefined : dataStay(device));
        }
      }
    });
    await forgetGoodbye(folder, id);
  } else if ((await readGoodbyes(folder))[id] !== undefined)
    progress.say(
      `  The data of ${appOf(id).name} are kept in ${placesIn(places)}, but it cannot run with them again: its accounts are deleted on other servers. \`fedi-setup remove ${id} --data\` removes them.`,
    );
  else {
    progress.say(
      `  The data of ${appOf(id).name} are kept in ${placesIn(places)}; \`fedi-setup add ${id}\` with the same domain restores it.`,
    );
  }
  return exit;
};
