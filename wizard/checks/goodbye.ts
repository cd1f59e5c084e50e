/** Reports apps whose accounts are deleted on other servers. */
import { appOf } from '../apps/index.ts';
import { readGoodbyes } from '../goodbye-record.ts';
import { timeText } from '../time.ts';
import type { CheckContext, CheckResult } from './check.ts';

/** Applies only to a site with such an app. */
export async function checkGoodbye({
  folder,
}: Pick<CheckContext, 'folder'>): Promise<CheckResult | undefined> {
  const states = Object.entries(await readGoodbyes(folder));
  if (states.length === 0) return undefined;
  return {
    seen: states
      .map(([id, { complete }]) => `${id} ${complete === undefined ? 'started' : 'complete'}`)
      .join(', '),
    found: states.map(([id, { at, by, complete }]) => ({
      level: 'warning',
      what:
        complete === undefined
          ? `Since ${timeText(at)} the accounts of ${appOf(id).name} are being deleted on other servers.`
          : `The accounts of ${appOf(id).name} were deleted on other servers.`,
      means: 'This cannot be undone. Do not run the app on these data again.',
      next:
        complete === undefined
          ? `\`fedi-setup ${by}\` shows the progress, and completes the removal at the end.`
          : `\`fedi-setup remove ${id} --data\` removes what is left of it, \`fedi-setup uninstall --data\` the whole site.`,
    })),
  };
}
