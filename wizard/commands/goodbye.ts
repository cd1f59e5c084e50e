/** `--goodbye` of `remove` and `uninstall`: other servers delete the accounts first. */
import { sayGoodbye } from '../apply/goodbye.ts';
import { appOf } from '../apps/index.ts';
import type { AppConfig } from '../config/config.ts';
import { readGoodbyes } from '../goodbye-record.ts';
import { EXIT, Problem } from '../problem.ts';
import type { CommandContext } from './command.ts';
import type { Site } from './find-site.ts';
import { withRunLock } from './with-lock.ts';

/** A server that was down for about an hour is then given up: Sidekiq waits longer after each failure. */
const ATTEMPTS = 8;

/** Throws exit 2 if --attempts is given without --goodbye. */
export function refuseAttempts({ flags }: Pick<CommandContext, 'flags'>): void {
  if (flags.attempts === undefined || flags.goodbye) return;
  throw new Problem(EXIT.USAGE, '--attempts belongs to --goodbye.', {
    means: 'Nothing was changed.',
    next: 'Give both, or none.',
  });
}

/** What the user types to confirm. */
export const domainsOf = (apps: readonly AppConfig[]): string => apps.map(({ domain }) => domain).join(',');

/** Verb and object of the confirmation, as sentences. */
export const goodbyeText = (apps: readonly AppConfig[]): string =>
  [
    `deletes all accounts of ${apps.map(({ id, domain }) => `${appOf(id).name} (${domain})`).join(' and ')} and cannot be undone.`,
    ...apps.map((app) => appOf(app.id).goodbye(app).about),
    `Do not use the same user names on ${apps.length === 1 ? 'this domain' : 'these domains'} again: servers that deleted an account refuse it for good.`,
  ].join(' ');

/** What a removal without --goodbye leaves undone. @param id of the app; absent: any */
export async function incompleteText(folder: string, id?: string): Promise<string> {
  const open = Object.entries(await readGoodbyes(folder)).find(
    ([app, { complete }]) => complete === undefined && (id ?? app) === app,
  );
  return open === undefined
    ? ''
    : `. The deletion of the accounts of ${appOf(open[0]).name} on other servers is not complete: --goodbye completes it`;
}

/** Returns when the apps have nothing left to send. A run that was interrupted is continued. */
export async function sayGoodbyes(
  context: CommandContext,
  site: Pick<Site, 'folder' | 'config' | 'engine'>,
  apps: readonly AppConfig[],
  by: string,
): Promise<void> {
  const { flags, progress, now } = context;
  const { folder, config, engine } = site;
  const attempts = Number(flags.attempts ?? ATTEMPTS);
  await withRunLock(context, folder, async () => {
    context.onInterrupted(
      'Accounts are being deleted on other servers, and the site continues that. Run the same command again to wait for it and to remove the site afterwards.',
    );
    for (const app of apps) {
      const unreached = await sayGoodbye({ folder, config, engine, progress, now, by, attempts }, app);
      if (unreached.length > 0)
        progress.say(
          `  ! These servers did not answer and still have the accounts of ${appOf(app.id).name}: ${unreached.join(', ')}.`,
        );
    }
  });
  context.onInterrupted();
}
