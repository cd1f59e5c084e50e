/** Checks background jobs: whether workers take them, in time, and whether one scheduler starts the periodic ones. */
import { appOf, namesOf } from '../apps/index.ts';
import type { App, JobFigures, Jobs, Worker } from '../apps/app.ts';
import type { AppConfig } from '../config/config.ts';
import type { Container } from '../docker/engine.ts';
import { Problem, messageOf } from '../problem.ts';
import { isOf } from '../stack/compose.ts';
import { waited } from '../time.ts';
import { notMade } from './check.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** Jobs that wait longer are a finding. */
const SLOW_SECONDS = 300;
/** Failed jobs count for so long, and so many are more than a few broken ones. */
const DAY_MS = 24 * 3_600_000;
/** A container that runs for less time may not have started its workers yet. */
const YOUNG_MS = 60_000;
const LOOK_MS = 30_000;

const secondsSince = (time: number, now: Date): number =>
  Math.max(0, Math.round((now.getTime() - time) / 1000));

/** How an app's jobs are counted; undefined: it has none. */
export const jobsIn = ({ id, options }: Pick<AppConfig, 'id' | 'options'>): Jobs | undefined =>
  (appOf(id) as App).jobs?.(options);

/** The service of the container with this host name; undefined: it is not of this site. */
const serviceOn = (containers: readonly Container[], { host }: Worker): string | undefined =>
  containers.find(({ id }) => host.length >= 12 && id.startsWith(host))?.service;

/**
 * What is wrong with the jobs of an app.
 * @param containers of the site
 */
export function wrongJobs(
  app: AppConfig,
  jobs: Pick<Jobs, 'always' | 'sole' | 'single' | 'failedPage'>,
  figures: JobFigures,
  containers: readonly Container[],
  now: Date,
): Finding[] {
  return [
    ...workerFindings(app, jobs, figures, containers, now),
    ...soleFindings(app, jobs, figures, containers),
    ...slowFindings(app, figures, now),
    ...failedFindings(app, jobs, figures, now),
  ];
}

function workerFindings(
  { id }: AppConfig,
  { always }: Pick<Jobs, 'always'>,
  { workers, queues, waiting }: JobFigures,
  containers: readonly Container[],
  now: Date,
): Finding[] {
  const { name } = appOf(id);
  const isYoung = containers.some(
    ({ service, state, startedAt, restarts }) =>
      isOf(id, service) &&
      state === 'running' &&
      restarts === 0 &&
      now.getTime() - Date.parse(startedAt) < YOUNG_MS,
  );
  if (workers === undefined || isYoung) return [];
  const next = `\`fedi-setup start ${id}\` starts what is stopped; \`fedi-setup logs ${id}\` shows why a worker does not work.`;
  if (workers.length === 0)
    return [
      {
        level: 'blocker',
        what: `No process takes the background jobs of ${name}${waiting === 0 ? '' : `; ${waiting} wait`}.`,
        means: 'No post is delivered or received, no mail is sent, no picture is processed.',
        next,
      },
    ];
  const found: Finding[] = workers
    .filter(({ isPaused }) => isPaused)
    .map((worker) => {
      const service = serviceOn(containers, worker);
      return {
        level: 'warning',
        what: `A process with background jobs of ${name} is paused: ${service ?? worker.process}.`,
        means: 'It takes no new jobs.',
        next: service === undefined ? 'Restart it.' : `Restart it: \`fedi-setup restart ${service}\`.`,
      };
    });
  const served = new Set(workers.flatMap((worker) => (worker.isPaused ? [] : worker.queues)));
  const isOpen = (queue: string): boolean =>
    !served.has(queue) && (always.includes(queue) || (queues[queue] ?? 0) > 0);
  const open = [...new Set([...always, ...Object.keys(queues)])].filter(isOpen);
  if (open.length === 0 || (served.size === 0 && found.length > 0)) return found;
  const list = open.map((queue) => {
    const count = queues[queue] ?? 0;
    return count === 0 ? queue : `${queue} (${count} wait)`;
  });
  found.push({
    level: 'blocker',
    what: `No process takes jobs of ${name} from ${open.length === 1 ? 'the queue' : 'the queues'} ${list.join(', ')}.`,
    means: 'They wait until one does.',
    next: `\`fedi-setup plan\` shows whether something was changed, \`fedi-setup apply\` restores it. Otherwise, ${next}`,
  });
  return found;
}

function soleFindings(
  { id }: AppConfig,
  { sole, single }: Pick<Jobs, 'sole' | 'single'>,
  { workers }: JobFigures,
  containers: readonly Container[],
): Finding[] {
  if (sole === undefined) return [];
  const { queue, means } = sole;
  const processes = new Map(
    (workers ?? []).filter(({ queues }) => queues.includes(queue)).map((worker) => [worker.process, worker]),
  );
  if (processes.size < 2) return [];
  const places = [...processes.values()].map((worker) => serviceOn(containers, worker) ?? worker);
  // Several containers of one service are another finding.
  if (new Set(places).size === 1 && typeof places[0] === 'string' && places[0] in single) return [];
  const words = places.map((place) =>
    typeof place === 'string' ? place : `${place.process}, which no service of this site runs`,
  );
  return [
    {
      level: 'warning',
      what: `${processes.size} processes take jobs of ${appOf(id).name} from the queue ${queue}: ${words.join('; ')}.`,
      means,
      next: 'Stop all but one. A copy of this site elsewhere must not use the same Redis; a service of your own must not serve this queue.',
    },
  ];
}

function slowFindings({ id }: AppConfig, { oldest, oldestIn }: JobFigures, now: Date): Finding[] {
  const slow = Object.entries(oldestIn)
    .map(([queue, time]) => ({ queue, seconds: secondsSince(time, now) }))
    .filter(({ seconds }) => seconds > SLOW_SECONDS)
    .toSorted((a, b) => b.seconds - a.seconds)
    .map(({ queue, seconds }) => `${waited(seconds)} in ${queue}`);
  const longest = oldest === undefined ? 0 : secondsSince(oldest, now);
  if (longest <= SLOW_SECONDS) return [];
  const times = slow.length === 0 ? waited(longest) : slow.join(', ');
  return [
    {
      level: 'warning',
      what: `Jobs of ${appOf(id).name} have waited for too long: ${times}.`,
      means: 'Posts are delivered late.',
      next: `Look at \`fedi-setup logs ${id}\`; choose a larger size if that lasts.`,
    },
  ];
}

function failedFindings(
  app: AppConfig,
  { failedPage }: Pick<Jobs, 'failedPage'>,
  { failed, failedAt: { newest, hundredth } }: JobFigures,
  now: Date,
): Finding[] {
  const isToday = (time: number | undefined): boolean => time !== undefined && now.getTime() - time < DAY_MS;
  if (newest === undefined || !isToday(newest)) return [];
  const { name } = appOf(app.id);
  const when = `the last one ${waited(secondsSince(newest, now))} ago; ${failed} are kept`;
  const page =
    failedPage === undefined
      ? ''
      : `, and https://${namesOf(app).at(-1) ?? app.domain}${failedPage} lists them for the owner`;
  return [
    {
      level: isToday(hundredth) ? 'warning' : 'advice',
      what: isToday(hundredth)
        ? `More than 100 jobs of ${name} failed for good within a day, ${when}.`
        : `Jobs of ${name} failed for good within a day, ${when}.`,
      means: 'They are not tried again. A few are normal: other servers disappear.',
      next: `\`fedi-setup logs ${app.id}\` shows errors${page}.`,
    },
  ];
}

/** Services that must have one container and have several. */
function severalFindings(
  { engine, folder }: CheckContext,
  { id }: AppConfig,
  { single }: Pick<Jobs, 'single'>,
  containers: readonly Container[],
): Finding[] {
  return Object.entries(single).flatMap(([service, means]): Finding[] => {
    const count = containers.filter((one) => one.service === service && one.state === 'running').length;
    if (count < 2) return [];
    return [
      {
        level: 'warning',
        what: `${count} containers of ${service} run.`,
        means: `${appOf(id).name} needs exactly one. ${means}`,
        next: '`fedi-setup doctor --fix` leaves one. Do not use `--scale` with this service.',
        fix: async () => {
          const argv = ['up', '--detach', '--no-deps', '--no-recreate', '--pull=never', service];
          const { code, stderr } = await engine.compose(folder, argv);
          return code === 0 ? `${service}: one container` : stderr.trim();
        },
      },
    ];
  });
}

export async function checkJobs(context: CheckContext): Promise<CheckResult | undefined> {
  const { config, engine, info, exists, now } = context;
  if (info instanceof Problem || !exists) return undefined;
  const containers = await engine.containers(config.name);
  const results = await Promise.all(
    config.apps.map(async (app): Promise<CheckResult | undefined> => {
      const jobs = jobsIn(app);
      if (jobs === undefined) return undefined;
      const { name } = appOf(app.id);
      const container = containers.find(
        ({ service, state }) => service === jobs.service && state === 'running',
      );
      // The check of the containers reports it.
      if (container === undefined)
        return { seen: `${name}: not checked, since ${jobs.service} is not running`, found: [] };
      const several = severalFindings(context, app, jobs, containers);
      try {
        const { code, stdout, stderr } = await engine.exec(container.id, jobs.look, { timeoutMs: LOOK_MS });
        // The exit code of timeout, which limits the look.
        if (code === 124) throw new Error('no answer in time');
        if (code !== 0) throw new Error(stderr.trim().split('\n').at(-1) || `exit code ${code}`);
        const figures = jobs.parse(stdout, now());
        return {
          seen: `${name}: ${seenIn(figures, now())}`,
          found: [...several, ...wrongJobs(app, jobs, figures, containers, now())],
        };
      } catch (error) {
        const { seen, found } = notMade(
          `The background jobs of ${name} could not be counted: ${error instanceof Problem ? 'no answer in time' : messageOf(error)}.`,
          `Look at \`fedi-setup logs ${jobs.service}\`.`,
        );
        return { seen: `${name}: ${seen}`, found: [...several, ...found] };
      }
    }),
  );
  const known = results.filter((one) => one !== undefined);
  return known.length === 0
    ? undefined
    : { seen: known.map(({ seen }) => seen).join('; '), found: known.flatMap(({ found }) => found) };
}

function seenIn({ waiting, oldest, failed, workers }: JobFigures, now: Date): string {
  const processes = new Set(workers?.map(({ process }) => process)).size;
  return [
    ...(workers === undefined ? [] : [`${processes} ${processes === 1 ? 'process' : 'processes'} at work`]),
    `${waiting} jobs wait${oldest === undefined ? '' : `, the oldest for ${waited(secondsSince(oldest, now))}`}`,
    ...(failed === 0 ? [] : [`${failed} failed`]),
  ].join(', ');
}
