/** The status page after a change of the site, and the timers that keep it up to date. */
import { readRecord, writeRecord } from '../backup-record.ts';
import { installTimer, jobFor } from '../maintain/timer.ts';
import type { Job, Scheduler } from '../maintain/timer.ts';
import { Problem } from '../problem.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { checkAndPublish, pageUrl, publish } from '../status/publish.ts';
import { CHECK_MINUTES } from '../uptime-record.ts';
import type { Site } from './find-site.ts';
import { version } from './version.ts';

type Where = Pick<Site, 'folder' | 'config' | 'engine'>;

/** Installs the timers that these answers need, and records it. */
export async function installTimers(
  { folder, config, engine }: Where,
  progress: Progress,
): Promise<{ by: Scheduler; job: Job }> {
  const { chosenBy, socket } = await engine.info();
  const checks = config.statusPage !== undefined;
  const job = jobFor(config.name, folder, checks, chosenBy === undefined ? undefined : socket);
  const by = await withLine(progress, 'timer', 'Timer for `fedi-setup maintain`', () => installTimer(job));
  const record = await readRecord(folder);
  const { timer: _, ...rest } = record;
  await writeRecord(
    folder,
    by === 'none'
      ? rest
      : { ...record, timer: { by, version, ...(checks ? { checks: true as const } : {}) } },
  );
  return { by, job };
}

/** Checks the apps and writes the page now, if there is one. */
export async function refreshPage(site: Where, now: Date): Promise<void> {
  if (site.config.statusPage !== undefined) await checkAndPublish(site, now);
}

/** Writes the page without a check: a maintenance mode began. */
export async function announceMaintenance(site: Where, now: Date): Promise<void> {
  if (site.config.statusPage !== undefined) await publish(site, now);
}

/** After a change of the site: writes the page or removes it, and installs or removes its timer. @returns lines for the user */
export async function updatePage(site: Where, progress: Progress, now: Date): Promise<string[]> {
  const { folder, config } = site;
  const isOn = config.statusPage !== undefined;
  if (isOn) await refreshPage(site, now);
  else await publish(site, now);
  const { timer } = await readRecord(folder);
  const line = isOn ? [`  Status  ${pageUrl(config)}`] : [];
  if (timer === undefined)
    return isOn
      ? [...line, `          \`fedi-setup maintain install\` checks the apps every ${CHECK_MINUTES} minutes`]
      : [];
  if ((timer.checks === true) === isOn) return line;
  // Units of systemd belong to root.
  if (timer.by === 'systemd' && process.getuid?.() !== 0)
    return [
      ...line,
      '  Timer   run `sudo fedi-setup maintain install`, so that it knows about the status page',
    ];
  try {
    await installTimers(site, progress);
    return line;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return [...line, `  ! The timer could not be changed: ${error.message}`];
  }
}
