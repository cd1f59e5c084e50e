/** `move`: the backups and the sheet that another host restores the site from. */
import { resolve as resolvePath } from 'node:path';
import { exists } from '../../atomic.ts';
import { EXIT, Problem } from '../../problem.ts';
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
  if (await exists(path))
    throw new Problem(EXIT.USAGE, `${path} already exists.`, {
      means: 'Nothing was changed.',
      next: 'Choose another file for the recovery sheet.',
    });
  await confirmed(context, config.name, 'stops the site, until it is restored on the other host');
  refuseFailed(await backUpSite(context, site, repositories));
  const stopping = { ...context, flags: { ...flags, stop: true } };
  refuseFailed(await backUpSite(stopping, site, repositories));
  await writeSheet(context, site, path);
  const [from] = repositories;
  progress.say(`
  On the other host, with this version of fedi-setup:
    1. Copy ${path} there${from?.kind === 'local' ? `, and the directory ${from.text} to the same path` : ''}.
    2. Let the DNS records of ${config.apps.map(({ domain }) => domain).join(', ')} point to it.
    3. fedi-setup restore --from ${from?.text ?? ''} --password-file ${path.split('/').at(-1) ?? ''} --dir fedi
  When it is proven there, remove the site here: \`fedi-setup uninstall --data\`.
  To cancel the move: \`fedi-setup backup resume\`, then \`fedi-setup apply\`.`);
  return EXIT.OK;
};
