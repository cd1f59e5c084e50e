import { readdir } from 'node:fs/promises';
import { dataOf, placesIn } from '../../apply/data.ts';
import { refuseForeign } from '../../apply/foreign.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { readGoodbyes } from '../../goodbye-record.ts';
import { removeTimer } from '../../maintain/timer.ts';
import { EXIT } from '../../problem.ts';
import { confirmed } from '../confirm.ts';
import { domainsOf, goodbyeText, incompleteText, refuseAttempts, sayGoodbyes } from '../goodbye.ts';
import { refuseStarted } from '../../apply/goodbye.ts';
import { refuseUnreadableBackups, removeOurs, removeSite } from '../remove-site.ts';
import { runningSite } from '../find-site.ts';
import type { Run } from '../command.ts';

/** Removes containers and networks, with --data the data too. The user must confirm the site's name. */
export const run: Run = async (context) => {
  const { data, goodbye } = context.flags;
  refuseAttempts(context);
  const site = await runningSite(context);
  await site.engine.info();
  await refuseForeign(site.folder, site.config.name, await site.engine.containers(site.config.name));
  if (data) await refuseUnreadableBackups(site.folder);
  const what = data
    ? 'the containers, ALL DATA and the site directory'
    : 'the containers; data, secrets and answers stay';
  const { apps } = site.config;
  if (!goodbye && !data) await refuseStarted(site.folder, apps);
  const removes = `removes ${what}: ${site.folder}`;
  const how = data ? '' : ' (and --data to remove the data too)';
  if (goodbye) {
    await refuseUnfinished(site.folder);
    await confirmed(context, domainsOf(apps), `${goodbyeText(apps)} Then it ${removes}`, how);
    await sayGoodbyes(context, site, apps, 'uninstall --goodbye');
  } else await confirmed(context, site.config.name, `${removes}${await incompleteText(site.folder)}`, how);
  await removeTimer({ site: site.config.name, folder: site.folder });
  const said = await readGoodbyes(site.folder);
  await removeSite(context, site, what, data, () => (data ? removeOurs(site.folder) : Promise.resolve()));
  if (data) {
    const own = await readdir(site.folder).catch(() => []);
    if (own.length > 0) context.progress.say(`  Your own files stay in ${site.folder}: ${own.join(', ')}`);
    const gone = Object.values(said).map(({ domain }) => domain);
    if (gone.length > 0)
      context.progress.say(
        `  A new site must not use the same user names on ${gone.join(', ')}: servers that deleted an account refuse it for good.`,
      );
    return EXIT.OK;
  }
  const places = [...(await dataOf(site.engine, site.config.name)).values()].flat();
  if (Object.keys(said).length > 0) {
    context.progress.say(
      `  The data stay${places.length > 0 ? ` in ${placesIn(places)}` : ''}, but the site cannot run with them again: its accounts are deleted on other servers. \`fedi-setup uninstall --data --dir ${site.folder}\` removes them.`,
    );
    return EXIT.OK;
  }
  context.progress.say(
    `  The data stay${places.length > 0 ? ` in ${placesIn(places)}` : ''}; \`fedi-setup apply --dir ${site.folder}\` restores the site.`,
  );
  return EXIT.OK;
};
