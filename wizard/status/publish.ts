/** Checks the apps, records the result, and writes the status page that Caddy serves. */
import { appOf, namesOf } from '../apps/index.ts';
import { join } from 'node:path';
import { isUnfinished } from '../apply/unfinished.ts';
import { isInMaintenance } from '../apply/upgrading.ts';
import { readAsset } from '../assets.ts';
import { makeFolder, writeWhole } from '../atomic.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { STATUS_PAGE, STATUS_PATH } from '../layout.ts';
import { forgetUptime, keepUptime, readUptime, withCheck } from '../uptime-record.ts';
import { statusPage } from './page.ts';
import type { PageApp } from './page.ts';
import { tryApps } from './try-apps.ts';
import type { Found } from './try-apps.ts';

interface Site {
  readonly folder: string;
  readonly config: Config;
}

/** URL of the page. */
export const pageUrl = ({ apps: [app] }: Config): string =>
  app === undefined ? '' : `https://${namesOf(app).at(-1) ?? app.domain}${STATUS_PATH}`;

/** Checks and publishes. @returns what was found, by app, and which of it is new */
export async function checkAndPublish(
  site: Site & { readonly engine: Engine },
  now: Date,
): Promise<{ readonly found: Readonly<Record<string, Found>>; readonly changed: readonly string[] }> {
  const found = await tryApps(site, now);
  const before = await readUptime(site.folder);
  const after = withCheck(before, found, now);
  await keepUptime(site.folder, after);
  await publish(site, now);
  return {
    found,
    changed: Object.keys(found).filter((id) => before.apps[id]?.state !== found[id]?.state),
  };
}

/** Writes the page from what is recorded; removes both if the site has none. */
export async function publish({ folder, config }: Site, now: Date): Promise<void> {
  if (config.statusPage === undefined) return forgetUptime(folder);
  const { at, apps } = await readUptime(folder);
  const isRestored = await isUnfinished(folder);
  const shown = config.apps.map(async (app): Promise<PageApp> => {
    const { state, since, version, days = [] } = apps[app.id] ?? {};
    // It may have started since the last check.
    const isNew = state !== 'maintenance' && (isRestored || (await isInMaintenance(folder, app.id)));
    return {
      name: appOf(app.id).name,
      domain: namesOf(app).at(-1) ?? app.domain,
      state: isNew ? 'maintenance' : state,
      since: isNew ? now.toISOString() : since,
      version,
      days,
    };
  });
  const page = { at, now, apps: await Promise.all(shown), notice: config.statusPage.notice };
  await makeFolder(join(folder, STATUS_PAGE), 0o755);
  await writeWhole(
    join(folder, STATUS_PAGE, 'index.html'),
    statusPage(page, await readAsset('caddy/status-page.css')),
    0o644,
  );
}
