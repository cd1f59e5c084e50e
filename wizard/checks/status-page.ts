/** Checks whether the status page is served and up to date. */
import { namesOf } from '../apps/index.ts';
import { hoursSince, readRecord } from '../backup-record.ts';
import { ingressAddress } from '../config/config.ts';
import { STATUS_PATH } from '../layout.ts';
import { LIMITS, client } from '../prove/http.ts';
import { ago, timeText } from '../time.ts';
import { CHECK_MINUTES, OLD_MINUTES, readUptime } from '../uptime-record.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';
import { rootsOf } from './site.ts';

const ANSWER_MS = 5000;

/** The status that the page is served with; undefined: no answer, which other checks report, or nobody asked. */
async function served({ folder, config, exists }: CheckContext): Promise<number | undefined> {
  const [app] = config.apps;
  if (!exists || app === undefined || config.tls.proxy !== undefined) return undefined;
  const limits = { ...LIMITS, idleMs: ANSWER_MS, wholeMs: ANSWER_MS };
  const http = client(ingressAddress(config), await rootsOf(folder, config), undefined, limits);
  const reply = await http(`https://${namesOf(app).at(-1) ?? app.domain}${STATUS_PATH}`).catch(
    () => undefined,
  );
  return reply?.status;
}

/** Applies to a site with a status page. */
export async function checkStatusPage(context: CheckContext): Promise<CheckResult | undefined> {
  const { folder, config, now } = context;
  if (config.statusPage === undefined) return undefined;
  const [{ at }, { timer }] = [await readUptime(folder), await readRecord(folder)];
  const hours = hoursSince(at, now());
  const found: Finding[] = [];
  const status = await served(context);
  if (status !== undefined && status !== 200)
    found.push({
      level: 'warning',
      what: `Caddy answers requests for the status page with ${status}.`,
      means: 'Visitors do not see it.',
      next: 'Run `fedi-setup apply`, then `fedi-setup maintain check`, which writes it again.',
    });
  if (timer?.checks !== true)
    found.push({
      level: 'warning',
      what: 'Nothing keeps the status page up to date.',
      means: `The page says that its results are old when the last check was more than ${OLD_MINUTES} minutes ago.`,
      next: `Run \`fedi-setup maintain install\`: it checks the apps every ${CHECK_MINUTES} minutes.`,
    });
  else if (hours * 60 > OLD_MINUTES)
    found.push({
      level: 'warning',
      what: `${at === undefined ? 'There was no check for the status page yet' : `The last check for the status page was ${ago(hours)} ago`}; ${timer.by} should start one every ${CHECK_MINUTES} minutes.`,
      means: 'The page says that its results are old.',
      next: '`fedi-setup maintain check` shows whether it works; `fedi-setup maintain install` writes its timer again.',
    });
  return {
    seen: at === undefined ? 'not checked yet' : `checked at ${timeText(at)}`,
    found,
  };
}
