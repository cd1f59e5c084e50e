/** `maintain`: what a timer runs: backups, their verification, checks, and mails about problems. */
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runningConfig } from '../../apply/generations.ts';
import { refuseForeign } from '../../apply/foreign.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { refuseMoved, refuseUnfinished } from '../../apply/unfinished.ts';
import { isInterrupted, readUpgrading } from '../../apply/upgrading.ts';
import { writeWhole } from '../../atomic.ts';
import { hoursSince, readRecord, writeRecord } from '../../backup-record.ts';
import { findingsOf } from '../../checks/preflight.ts';
import { OWN } from '../../layout.ts';
import { addReading, readReadings } from '../../disk-record.ts';
import { keepLast } from '../../last-reading.ts';
import type { People } from '../../last-reading.ts';
import { measure } from '../../maintain/clean-up.ts';
import { metricsText, writeMetrics } from '../../maintain/textfile.ts';
import { NEWS, notify } from '../../maintain/notify.ts';
import type { Notice } from '../../maintain/notify.ts';
import { removeTimer } from '../../maintain/timer.ts';
import { lockedReference, readLock } from '../../plan/lock.ts';
import { newestOf, releaseFor, upgradable } from '../../upgrade/target.ts';
import type { Target } from '../../upgrade/target.ts';
import { CHECK_MINUTES } from '../../uptime-record.ts';
import { newerBuilds, openBuilds } from '../../upgrade/images.ts';
import { EXIT, Problem, messageOf } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { askPeople, siteClient } from '../../status/people.ts';
import { checkAndPublish } from '../../status/publish.ts';
import { Store } from '../../secrets/store.ts';
import type { CommandContext, Run } from '../command.ts';
import { checkOptions, existingSite, runningSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { installTimers, refreshPage } from '../status-page.ts';
import { cleanUpSite } from './cleanup.ts';
import { backUpSite, refuseFailed, verifyAll } from './backup.ts';
import { UpgradeUndone, endInterrupted } from './carry-out.ts';
import { upgradeImages } from './upgrade-images.ts';
import { upgrade } from './upgrade.ts';

/** An hourly timer may start a little early. */
const SLACK_HOURS = 0.5;
const VERIFY_HOURS = 30 * 24;
/** Checks whose findings are mailed. */
const CHECKED = [
  'containers',
  'data',
  'disk',
  'certificates',
  'backups',
  'migrations',
  'jobs',
  'streaming',
  'mail',
  'bucket',
  'retention',
  'files',
  'statuspage',
];
const PING_MS = 20_000;
/** Limit of an app's answer. */
const ANSWER_MS = 20_000;

export const run: Run = async (context) => {
  const [action = 'run'] = context.words;
  if (action === 'check') return check(context, await runningSite(context));
  const site = await existingSite(context);
  if (action === 'install') return install(context, site);
  if (action === 'remove') return remove(context, site);
  if (action === 'run') return maintain(context, site);
  throw new Problem(EXIT.USAGE, `There is no \`maintain ${action}\`.`, {
    next: 'Use run, check, install or remove.',
  });
};

async function install({ progress }: CommandContext, site: Site): Promise<ExitCode> {
  const { folder, config, engine } = site;
  await refuseMoved(folder);
  await refuseForeign(folder, config.name, await engine.containers(config.name));
  const { by, job } = await installTimers(site, progress);
  if (by === 'none') {
    const { cronLines } = await import('../../maintain/timer.ts');
    const lines = cronLines(job);
    throw new Problem(EXIT.FAILED, 'This host has no systemd that you can use, and no cron.', {
      means: 'Nothing starts `fedi-setup maintain` on a schedule.',
      next: `${process.getuid?.() === 0 ? 'Install cron' : 'Run this as root, install cron'}, or have another scheduler run ${lines.length > 1 ? 'these lines' : 'this line every hour'}:\n${lines.join('\n')}`,
    });
  }
  progress.say(
    `  ${by} runs it every hour as ${job.user}, with a copy of this version in ${folder}/${OWN}/tool.`,
  );
  if (job.checks === true)
    progress.say(`  It runs \`maintain check\` every ${CHECK_MINUTES} minutes, for the status page.`);
  if (config.backup === undefined)
    progress.say('  ! It makes no backups: none are configured. `fedi-setup apply --backup-to PLACE`');
  if (config.mail.server === undefined)
    progress.say(
      '  ! It cannot send mail about problems: the site has no mail server. `fedi-setup doctor` shows them.',
    );
  return EXIT.OK;
}

async function remove({ progress }: CommandContext, { folder, config }: Site): Promise<ExitCode> {
  await removeTimer({ site: config.name, folder });
  const { timer, ...rest } = await readRecord(folder);
  await writeRecord(folder, rest);
  progress.say(
    timer === undefined
      ? 'There was no timer.'
      : 'The timer was removed. Backups are made only by `fedi-setup backup` from now on.',
  );
  return EXIT.OK;
}

/** Checks the apps and writes the status page. It takes no lock, so it also runs during backups and upgrades. */
async function check({ progress, now }: CommandContext, { folder, config, engine }: Site): Promise<ExitCode> {
  // The apps that were set up, and the newest announcement.
  const running = (await runningConfig(folder)) ?? config;
  if (running.statusPage === undefined) {
    progress.say('This site has no status page. `fedi-setup apply --status-page on` adds one.');
    return EXIT.OK;
  }
  const site = {
    folder,
    engine,
    config: { ...running, statusPage: config.statusPage ?? running.statusPage },
  };
  const { found, changed } = await checkAndPublish(site, now());
  for (const [id, { state, why }] of Object.entries(found)) {
    const text = `${id}: ${state}${why === undefined ? '' : ` (${why})`}`;
    progress.say(`  ${text}`);
    // The page has all results; the log has 1000 lines.
    if (changed.includes(id)) await log(folder, now(), `check ${text}`);
  }
  return EXIT.OK;
}

/** Does what is due. A task that fails does not stop the others; the exit code is then that of the first one. */
async function maintain(context: CommandContext, site: Site): Promise<ExitCode> {
  const { folder } = site;
  await site.engine.info();
  const upgrading = await readUpgrading(folder);
  // Nobody may be there to see the maintenance mode.
  if (upgrading !== undefined && (await isInterrupted(upgrading))) {
    await log(folder, context.now(), `the upgrade of ${upgrading.app} was interrupted: ending it`);
    await endInterrupted({ ...context, interactive: false }, site, upgrading);
  }
  await refuseUnfinished(folder);
  await refuseGoodbye(folder, site.config.apps);
  const notices: Notice[] = [];
  let failed: Problem | undefined;
  const task = async (id: string, work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      await log(folder, context.now(), `${id} ok`);
      context.progress.say(`  ${id}: done`);
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      failed ??= error;
      const text = [error.message, error.means, error.next].filter(Boolean).join(' ');
      await log(folder, context.now(), `${id} failed: ${text}`);
      notices.push({ key: id, text });
      context.progress.say(`  ${id}: ${text}`);
      return false;
    }
  };
  const isBackedUp =
    (await isBackupDue(context, site)) && (await task('backup', () => backUp(context, site)));
  if (await isVerificationDue(context, site)) await task('verify', () => verifyAll(context, site));
  if (await isCleanUpDue(context, site)) await task('cleanup', () => cleanUpSite(context, site));
  else if (await isReadingDue(context, site))
    await task('sizes', async () => addReading(folder, await measure(site, context.now())));
  await writeRecord(folder, { ...(await readRecord(folder)), maintained: context.now().toISOString() });
  await task('checks', async () => {
    const images = Object.fromEntries(
      Object.entries(await readLock(folder)).map(([name, entry]) => [name, lockedReference(entry)]),
    );
    for (const [id, all] of await findingsOf({ ...checkOptions(context, site), images }, CHECKED)) {
      const found = all.filter(({ level }) => level !== 'advice');
      if (found.length > 0)
        notices.push({
          key: `check ${id}`,
          text: found.map(({ what, next }) => `${what} ${next}`).join('\n  '),
        });
    }
    for (const { text } of notices) context.progress.say(`  ! ${text}`);
  });
  notices.push(...(await releases(context, site, task)));
  await keepReading(context, site, notices);
  if (site.config.statusPage !== undefined) await task('status page', () => refreshPage(site, context.now()));
  if (site.config.monitoring !== undefined)
    await task('metrics', () => exportMetrics(context, site, notices));
  const ping = site.config.backup?.ping;
  if (isBackedUp && ping !== undefined) await task('ping', () => request(ping));
  await task('mail', () => mail(context, site, notices));
  if (failed !== undefined) throw failed;
  return EXIT.OK;
}

/** Tells Prometheus about backups and disks, and that `maintain` runs. */
async function exportMetrics(
  { now }: CommandContext,
  { folder, config }: Site,
  notices: readonly Notice[],
): Promise<void> {
  const wanted = (config.backup?.repositories ?? []).map(({ text }) => text);
  const problems = notices.filter(({ isNews }) => isNews !== true).length;
  const text = metricsText(
    await readRecord(folder),
    wanted,
    (await readReadings(folder)).at(-1),
    problems,
    now(),
  );
  await writeMetrics(folder, text);
}

/** Records for `status` what is slow to know, or gone while the site is down. */
async function keepReading(
  { now }: CommandContext,
  { folder, config }: Site,
  notices: readonly Notice[],
): Promise<void> {
  const at = now().toISOString();
  const http = await siteClient(folder, config, ANSWER_MS);
  const people: [string, People & { readonly at: string }][] = [];
  for (const app of config.apps) {
    const found = await askPeople(http, app);
    if (found !== undefined) people.push([app.id, { ...found, at }]);
  }
  const found = notices.filter(({ isNews }) => isNews !== true).map(({ key, text }) => ({ key, text }));
  await keepLast(folder, { people: Object.fromEntries(people), problems: { at, found } });
}

/** Whether one of the repositories needs a backup: they all get the same. */
async function isBackupDue({ now }: CommandContext, { folder, config: { backup } }: Site): Promise<boolean> {
  if (backup === undefined) return false;
  const { repositories } = await readRecord(folder);
  return backup.repositories.some(
    ({ text }) => hoursSince(repositories[text]?.last?.at, now()) >= backup.everyHours - SLACK_HOURS,
  );
}

const backUp = async (context: CommandContext, site: Site): Promise<void> =>
  refuseFailed(await backUpSite(context, site, site.config.backup?.repositories ?? []));

/** Registries are asked once a day. */
const RELEASES_HOURS = 24;

/** Looks for new patch releases and builds, and installs them if that is wanted. @returns news about them */
async function releases(
  context: CommandContext,
  site: Site,
  task: (id: string, work: () => Promise<void>) => Promise<boolean>,
): Promise<Notice[]> {
  const { folder, config, engine } = site;
  if (config.upgrades === 'off') return [];
  const { releases: last } = await readRecord(folder);
  const newest: Record<string, string> = { ...last?.newest };
  let builds = last?.builds ?? {};
  if (hoursSince(last?.at, context.now()) >= RELEASES_HOURS - SLACK_HOURS) {
    for (const target of upgradable(site)) {
      const { id } = target.app;
      delete newest[id];
      try {
        const found = await newestOf(engine, target);
        if (found !== undefined) newest[id] = found;
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        // A registry that is down for a day is no problem of the site.
        await log(folder, context.now(), `releases of ${id}: ${error.message}`);
      }
    }
    try {
      builds = await newerBuilds(engine, config, await readLock(folder));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      await log(folder, context.now(), `newer builds of images: ${error.message}`);
    }
    const record = await readRecord(folder);
    await writeRecord(folder, { ...record, releases: { at: context.now().toISOString(), newest, builds } });
  }
  const notices: Notice[] = [];
  for (const target of upgradable(site)) {
    const release = releaseFor(target, newest);
    if (release === undefined) continue;
    const { app, name, upgrades, from } = target;
    if (config.upgrades === 'patch')
      notices.push(...(await installPatch(context, site, target, release, task)));
    else
      notices.push({
        key: `${NEWS}${app.id} ${release}`,
        text: `${name} ${release} is available; this site runs ${from}. ${upgrades.notes(release)}\n  Install it with \`fedi-setup upgrade\`.`,
        isNews: true,
      });
  }
  // After a patch release, which may have replaced some.
  return [...notices, ...(await newBuilds(context, site, builds, task))];
}

/** Newer builds of images: news about them, or a notice about those that could not be installed. */
async function newBuilds(
  context: CommandContext,
  site: Site,
  builds: Readonly<Record<string, string>>,
  task: (id: string, work: () => Promise<void>) => Promise<boolean>,
): Promise<Notice[]> {
  const { folder, config } = site;
  const names = openBuilds(builds, await readLock(folder));
  if (names.length === 0) return [];
  const shown = names.join(', ');
  const id = names.map((name) => `${name} ${(builds[name] ?? '').slice(7, 19)}`).join(', ');
  if (config.upgrades !== 'patch')
    return [
      {
        key: `${NEWS}images: ${id}`,
        text: `The registry has newer builds of ${shown}, under the tags that this site uses. They may have security updates.\n  Install them with \`fedi-setup upgrade --images\`.`,
        isNews: true,
      },
    ];
  return installOnce(
    folder,
    'images',
    id,
    `newer builds of ${shown}`,
    'upgrade --images',
    task,
    async () => void (await upgradeImages({ ...context, interactive: false }, site, names)),
  );
}

/** Installs a patch release. One that failed is not tried again: each time the site would be in maintenance mode. @returns a notice about that */
async function installPatch(
  context: CommandContext,
  site: Site,
  target: Target,
  release: string,
  task: (id: string, work: () => Promise<void>) => Promise<boolean>,
): Promise<Notice[]> {
  const what = `${target.name} ${release}`;
  return installOnce(
    site.folder,
    target.app.id,
    release,
    what,
    'upgrade',
    task,
    async () => void (await upgrade({ ...context, interactive: false }, site, target, release)),
  );
}

/** Installs something, unless that failed before. @param id key in the record. @param to what is not tried again if it fails */
async function installOnce(
  folder: string,
  id: string,
  to: string,
  what: string,
  command: string,
  task: (id: string, work: () => Promise<void>) => Promise<boolean>,
  work: () => Promise<void>,
): Promise<Notice[]> {
  const key = `upgrade of ${id} to ${to}`;
  if ((await readRecord(folder)).refused?.[id] === to)
    return [{ key, text: `${what} could not be installed. Try it with \`fedi-setup ${command}\`.` }];
  await task(key, async () => {
    try {
      await work();
    } catch (error) {
      if (error instanceof UpgradeUndone) {
        const record = await readRecord(folder);
        await writeRecord(folder, { ...record, refused: { ...record.refused, [id]: to } });
      }
      throw error;
    }
  });
  return [];
}

/** A backup comes first: it has what the clean-up removes. */
async function isCleanUpDue({ now }: CommandContext, { folder, config }: Site): Promise<boolean> {
  if (config.cleanUpDays === 0) return false;
  const { cleaned } = await readRecord(folder);
  // A new site has nothing to remove yet.
  const since = cleaned ?? (await readReadings(folder))[0]?.at;
  return since !== undefined && hoursSince(since, now()) >= config.cleanUpDays * 24 - SLACK_HOURS;
}

/** Once a day. */
const READING_HOURS = 24;

async function isReadingDue({ now }: CommandContext, { folder }: Site): Promise<boolean> {
  const last = (await readReadings(folder)).at(-1);
  return hoursSince(last?.at, now()) >= READING_HOURS - SLACK_HOURS;
}

/** A new repository is verified when it is 30 days old. */
async function isVerificationDue(
  { now }: CommandContext,
  { folder, config: { backup } }: Site,
): Promise<boolean> {
  const { repositories } = await readRecord(folder);
  return (backup?.repositories ?? []).some(({ text }) => {
    const { first, verified } = repositories[text] ?? {};
    return first !== undefined && hoursSince(verified ?? first, now()) >= VERIFY_HOURS;
  });
}

/** Tells a monitoring service that the backup is complete. */
async function request(url: string): Promise<void> {
  const problem = (why: string): Problem =>
    new Problem(EXIT.FAILED, `${url} does not answer: ${why}`, {
      means: 'The backup is complete, but the monitoring service did not get the request.',
      next: 'Check backup.ping.',
    });
  const reply = await fetch(url, { signal: AbortSignal.timeout(PING_MS) }).catch((error: unknown) => {
    throw problem(messageOf(error));
  });
  if (!reply.ok) throw problem(`status ${reply.status}`);
}

async function mail(
  { progress, now }: CommandContext,
  site: Site,
  notices: readonly Notice[],
): Promise<void> {
  const caddy = (await readLock(site.folder))['caddy'];
  if (caddy === undefined || site.config.mail.server === undefined) return;
  const password = (await Store.open(site.folder)).find('mail.password');
  const sent = await notify(site, password, lockedReference(caddy), notices, now());
  if (sent !== undefined) progress.say(`  Mailed: ${sent}`);
}

const LOG = join(OWN, 'maintain.log');
const MOST_LINES = 1000;

/** Adds a line, and drops the oldest ones. */
async function log(folder: string, now: Date, line: string): Promise<void> {
  const path = join(folder, LOG);
  const before = (await readFile(path, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const text = `${now.toISOString()} ${line.replaceAll('\n', ' ')}\n`;
  if (before.length < MOST_LINES) await appendFile(path, text, { mode: 0o600 });
  else await writeWhole(path, `${before.slice(-MOST_LINES / 2).join('\n')}\n${text}`, 0o600);
}
