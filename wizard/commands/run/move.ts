/** `move`: the backups and the sheet that another host restores the site from. */
import { resolve as resolvePath } from 'node:path';
import { EXIT } from '../../problem.ts';
import type { Run } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { existingSite } from '../find-site.ts';
import { backUpSite, refuseFailed, repositoriesFor, writeSheet } from './backup.ts';

export const run: Run = async (context) => {
  const site = await existingSite(context);
  const { config, engine } = site;
  await engine.info();
  const { progress, flags } = context;
  const repositories = repositoriesFor(context, site);
  const path = resolvePath(context.words[0] ?? `${config.name}-recovery.yaml`);
  await confirmed(context, config.name, 'stops the site, until it is restored on the other host');
  refuseFailed(await backUpSite(context, site, repositories));
  // Before the site is stopped: the file may not be writable.
  await writeSheet(context, site, path);
  const stopping = { ...context, flags: { ...flags, stop: true } };
  refuseFailed(await backUpSite(stopping, site, repositories));
  const [from] = repositories;
  progress.say(`
  On the other host, with this version of fedi-setup:
    1. Copy ${path} there${from?.kind === 'local' ? `, and the directory ${from.text} to the same path` : ''}.
    2. Let the DNS records of ${config.apps.map(({ domain }) => domain).join(', ')} point to it.
    3. fedi-setup restore --from ${from?.text ?? ''} --password-file ${path.split('/').at(-1) ?? ''} --dir fedi
  When it is proven there, remove the site here: \`fedi-setup uninstall --data\`.
  To cancel the move: \`fedi-setup backup resume\`, then \`fedi-setup apply\` and \`fedi-setup maintain install\`.`);
  return EXIT.OK;
};
