import { isLab } from '../../ingress/tls.ts';
import { ALL_QUESTIONS } from '../../answers/questions.ts';
import { CONFIG_FILE } from '../../answers/sources.ts';
import { answersOf, readGeneration } from '../../apply/generations.ts';
import { allReceipts } from '../../apply/receipt.ts';
import { refuseForeign } from '../../apply/foreign.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { removeTimer } from '../../maintain/timer.ts';
import { EXIT, Problem } from '../../problem.ts';
import { STORE_FILE, Store } from '../../secrets/store.ts';
import { confirmed } from '../confirm.ts';
import { placesWithBackups, refuseUnreadableBackups, removeOurs, removeSite } from '../remove-site.ts';
import { existingSite } from '../find-site.ts';
import type { Run } from '../command.ts';

/**
 * Removes containers, data and generated files; keeps the answers. Refused for a site that was live, since other servers know
 * its accounts, unless --data is given.
 */
export const run: Run = async (context) => {
  const { progress, flags } = context;
  const site = await existingSite(context);
  const { folder } = site;
  await site.engine.info();
  await refuseForeign(site.folder, site.config.name, await site.engine.containers(site.config.name));
  await refuseGoodbye(folder, site.config.apps);
  await refuseUnreadableBackups(folder);
  const live = await wasLive(folder);
  if (live !== undefined && !flags.data) {
    throw new Problem(EXIT.REFUSED, `This site was live: proven with public certificates at ${live}.`, {
      means:
        'Other servers may know its accounts. Without the data those account names cannot be used again: other servers would not follow them. Nothing was removed.',
      next: `To delete it anyway: \`fedi-setup reset --data\`. To stop it and keep the data: \`fedi-setup uninstall\`.`,
    });
  }
  const what = 'the containers, ALL DATA, the generated files and secrets; the answers stay';
  const backups = await placesWithBackups(folder);
  await confirmed(
    context,
    site.config.name,
    `removes ${what}: ${site.folder}${backups.length === 0 ? '' : `. The site gets other secrets, so its backups in ${backups.join(', ')} open only with the recovery sheet, and new ones need another place`}`,
    live === undefined ? '' : ' --data',
  );
  await removeTimer({ site: site.config.name, folder });
  await removeSite(context, site, what, true, async () => {
    const store = await Store.open(folder);
    store.keepOnly(ALL_QUESTIONS.filter(({ secret }) => secret).map(({ key }) => key));
    await removeOurs(folder, [CONFIG_FILE, ...(store.list().length > 0 ? [STORE_FILE] : [])]);
    if (store.list().length > 0) await store.save();
  });
  progress.say(`  \`fedi-setup --dir ${folder}\` starts again with the saved answers.`);
  return EXIT.OK;
};

/** When the site was proven with publicly trusted certificates; undefined: never. */
async function wasLive(folder: string): Promise<string | undefined> {
  for (const { at, proven, generation } of await allReceipts(folder)) {
    if (!proven) continue;
    const then = await readGeneration(folder, generation);
    // A generation that cannot be read may have been live.
    if (then === undefined || !isLab(await answersOf(then))) return at;
  }
  return undefined;
}
