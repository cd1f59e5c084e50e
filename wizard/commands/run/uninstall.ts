import { readdir } from 'node:fs/promises';
import { dataOf, placesIn } from '../../apply/data.ts';
import { refuseForeign } from '../../apply/foreign.ts';
import { removeTimer } from '../../maintain/timer.ts';
import { EXIT } from '../../problem.ts';
import { confirmed } from '../confirm.ts';
import { refuseUnreadableBackups, removeOurs, removeSite } from '../remove-site.ts';
import { runningSite } from '../find-site.ts';
import type { Run } from '../command.ts';

/** Removes containers and networks, with --data the data too. The user must confirm the site's name. */
export const run: Run = async (context) => {
  const { data } = context.flags;
  const site = await runningSite(context);
  await site.engine.info();
  await refuseForeign(site.folder, site.config.name, await site.engine.containers(site.config.name));
  if (data) await refuseUnreadableBackups(site.folder);
  const what = data
    ? 'the containers, ALL DATA and the site directory'
    : 'the containers; data, secrets and answers stay';
  await confirmed(
    context,
    site.config.name,
    `removes ${what}: ${site.folder}`,
    data ? '' : ' (and --data to remove the data too)',
  );
  await removeTimer({ site: site.config.name, folder: site.folder });
  await removeSite(context, site, what, data, () => (data ? removeOurs(site.folder) : Promise.resolve()));
  if (data) {
    const own = await readdir(site.folder).catch(() => []);
    if (own.length > 0) context.progress.say(`  Your own files stay in ${site.folder}: ${own.join(', ')}`);
    return EXIT.OK;
  }
  const places = [...(await dataOf(site.engine, site.config.name)).values()].flat();
  context.progress.say(
    `  The data stay${places.length > 0 ? ` in ${placesIn(places)}` : ''}; \`fedi-setup apply --dir ${site.folder}\` restores the site.`,
  );
  return EXIT.OK;
};
