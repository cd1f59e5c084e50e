/** Looks at a site. Nothing that does not answer delays it by more than a second. */
import { freemem, totalmem } from 'node:os';
import { allNamesOf, appOf } from '../apps/index.ts';
import type { App } from '../apps/app.ts';
import { keptFrom } from '../apps/majors.ts';
import { readManifest } from '../apply/files.ts';
import { allReceipts, failedProofs, lastMail } from '../apply/receipt.ts';
import { isAlive } from '../apply/runlock.ts';
import { isMoved, isUnfinished } from '../apply/unfinished.ts';
import { isInterrupted, readUpgrading } from '../apply/upgrading.ts';
import { readRecord } from '../backup-record.ts';
import type { BackupRecord } from '../backup-record.ts';
import { checkBackups } from '../checks/backups.ts';
import type { Finding } from '../checks/check.ts';
import { checkFiles } from '../checks/files.ts';
import { thisHost } from '../checks/host.ts';
import { jobsIn, wrongJobs } from '../checks/jobs.ts';
import { checkDisk } from '../checks/machine.ts';
import { checkRetention } from '../checks/retention.ts';
import { rootsOf, servicesOf, wrongWith } from '../checks/site.ts';
import { ingressAddress } from '../config/config.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { canForecast, forecast, readReadings } from '../disk-record.ts';
import type { Reading } from '../disk-record.ts';
import type { Container, Engine, EngineInfo } from '../docker/engine.ts';
import { readGoodbyes } from '../goodbye-record.ts';
import { readMediaRecord } from '../media-record.ts';
import { readLast } from '../last-reading.ts';
import type { LastReading, People } from '../last-reading.ts';
import { ACCESS_LOGS } from '../layout.ts';
import { lockedReference, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { served } from '../prove/tls.ts';
import { readUptime } from '../uptime-record.ts';
import { openBuilds } from '../upgrade/images.ts';
import { releaseFor, upgradable } from '../upgrade/target.ts';
import { askPeople, siteClient } from './people.ts';
import { timeText } from '../time.ts';
import { pageUrl } from './publish.ts';
import { listServices, verdictOf } from './services.ts';
import type { AppState, ListedService, Part, SiteState } from './state.ts';

export interface LookOptions {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
  /** What `engine.info` returns. */
  readonly info: Promise<EngineInfo>;
  readonly now: () => Date;
  /** Limit of what may not answer; absent: a second. */
  readonly limitMs?: number;
}

/** Limit of everything that may not answer. */
const LIMIT_MS = 1000;
/** Docker 20.10 measures memory only once a second: limit of that, compared with the others. */
const MEMORY_TIMES = 1.5;
/** Checks whose findings are current, so those of `maintain` are not shown. */
const CURRENT = ['containers', 'disk', 'certificates', 'backups', 'files', 'retention'];

/** The result; undefined: it failed, or there was none in time. The work itself may continue. */
async function inTime<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([work.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}

const orNull = <T>(value: T | undefined): T | null => value ?? null;

/** Throws a Problem if the engine cannot be used. */
export async function look({
  folder,
  config,
  engine,
  info: usable,
  now,
  limitMs = LIMIT_MS,
}: LookOptions): Promise<SiteState> {
  const at = now();
  // All of it at the same time.
  const containers = engine.containers(config.name);
  const withContainers = containers.then(async (all) => {
    const [jobs, memory, images] = await Promise.all([
      Promise.all(config.apps.map((app) => jobsOf(engine, app, all, at, limitMs))),
      memoryOf(engine, all, limitMs * MEMORY_TIMES),
      imagesOf(engine, folder, limitMs),
    ]);
    return { jobs, memory, images };
  });
  withContainers.catch(() => undefined);
  const [readings, receipts, record, last, uptime, certificates, people] = await Promise.all([
    readReadings(folder),
    allReceipts(folder),
    readRecord(folder),
    readLast(folder),
    readUptime(folder),
    certificatesOf(folder, config, at, limitMs),
    peopleOf(folder, config, limitMs),
  ]);
  // Its Problem is more precise than that of the other calls.
  const info = await usable;
  const found = await containers;
  const wanted = await servicesOf(folder);
  // Without a Compose file, as during a restore, nothing may run.
  const services = wanted === undefined || found.length === 0 ? [] : listServices(wanted, found, config, at);
  const { jobs, memory, images } = await withContainers;
  const receipt = receipts.at(-1);
  const { generation } = await readManifest(folder);
  const newest = Object.values(record.repositories)
    .flatMap(({ last: one }) => one ?? [])
    .toSorted((a, b) => a.at.localeCompare(b.at))
    .at(-1);
  const apps = config.apps.map((app, i): AppState =>
    appState(app, { config, services, people: people[i], record, last, jobs: jobs[i]?.state ?? null }),
  );
  const context = {
    folder,
    config,
    engine,
    info,
    now,
    host: thisHost,
    exists: found.length > 0,
    pulls: [],
    caddy: undefined,
    images: {},
    swapGiB: 0,
  };
  // A network drive that is gone never answers.
  const [disk, free] = await Promise.all([
    inTime(checkDisk(context), limitMs),
    inTime(freeOf([...Object.keys(readings.at(-1)?.free ?? {}), info.dataRoot, folder]), limitMs),
  ]);
  const kept = await Promise.all([
    checkBackups({ folder, config, now }),
    checkRetention({ folder, config, now }),
    checkFiles({ folder, host: thisHost }),
  ]);
  const soonest = forecast(readings, at);
  const advice = [
    ...certificates.flatMap(({ wrong }) => wrong ?? []),
    ...(disk?.found ?? []),
    ...buildsIn(record, await readLock(folder).catch(() => ({}))),
    ...jobs.flatMap((one) => one?.wrong ?? []),
    ...kept.flatMap((one) => one?.found ?? []),
  ]
    .filter(({ level }) => level !== 'advice')
    .toSorted((a, b) => Number(b.level === 'blocker') - Number(a.level === 'blocker'));
  return {
    site: config.name,
    folder,
    at: at.toISOString(),
    state: services.length === 0 ? 'down' : verdictOf(services),
    notes: await notesOf(folder),
    services,
    apps,
    disk: {
      at: orNull(readings.at(-1)?.at),
      parts: partsOf(config, readings.at(-1)),
      images,
      free: free ?? [],
      fullInDays: soonest === undefined ? null : Math.max(0, Math.round(soonest.days)),
      isForecast: canForecast(readings, at),
    },
    memory: { total: totalmem(), available: freemem(), site: memory },
    certificates:
      config.tls.proxy === undefined
        ? certificates.map(({ name, to, issuer }) => ({ name, to, issuer }))
        : null,
    mail: {
      mode: config.mail.mode,
      server:
        config.mail.server === undefined || config.mail.server.isCatcher ? null : config.mail.server.host,
      proof: orNull(lastMail(receipts)),
    },
    backup: {
      isConfigured: config.backup !== undefined,
      last: newest === undefined ? null : { at: newest.at, bytes: newest.bytes },
      drill: orNull(record.drill),
      sheet: orNull(record.sheet),
    },
    receipt:
      receipt === undefined
        ? null
        : {
            at: receipt.at,
            proven: receipt.proven,
            // An interrupted run has written a generation that was not proven yet.
            isCurrent: receipt.generation === generation,
            failed: failedProofs(receipt, config),
          },
    page: config.statusPage === undefined ? null : { url: pageUrl(config), checked: orNull(uptime.at) },
    maintained: orNull(record.maintained),
    advice: [
      ...advice.map(({ what, next }) => ({ what, next, at: null })),
      ...earlier(last.problems, [...CURRENT, ...(jobs.every((one) => one !== null) ? ['jobs'] : [])]),
    ],
  };
}

/** What `maintain` found and is not looked at now. */
export const earlier = (problems: LastReading['problems'], current: readonly string[]): SiteState['advice'] =>
  (problems?.found ?? [])
    .filter(({ key }) => key !== 'backup' && !current.some((id) => key === `check ${id}`))
    .map(({ text }) => ({ what: text, next: '', at: problems?.at ?? null }));

/** Sentences about runs that are in progress or were interrupted, and about goodbyes. */
async function notesOf(folder: string): Promise<string[]> {
  const notes: string[] = [];
  if (await isUnfinished(folder)) notes.push('A restore was interrupted: run it again.');
  if (await isMoved(folder))
    notes.push('Stopped to move it to another host. `fedi-setup backup resume` cancels the move.');
  for (const [id, { at, by, complete }] of Object.entries(await readGoodbyes(folder)))
    notes.push(
      complete === undefined
        ? `${appOf(id).name}: since ${timeText(at)} its accounts are being deleted on other servers. \`fedi-setup ${by}\` continues it.`
        : `${appOf(id).name}: its accounts were deleted on other servers. It must not run with these data.`,
    );
  for (const [id, { to, owner }] of Object.entries((await readMediaRecord(folder)).moves)) {
    const what = `${appOf(id).name}: the move of its media`;
    notes.push(
      (await isAlive(owner))
        ? `${what} is in progress.`
        : `${what} was interrupted: run \`fedi-setup media move --to ${to} --app ${id}\`.`,
    );
  }
  const upgrading = await readUpgrading(folder);
  if (upgrading !== undefined) {
    const what = `The upgrade of ${appOf(upgrading.app).name} to ${upgrading.to}`;
    notes.push(
      (await isInterrupted(upgrading))
        ? `${what} was interrupted: run \`fedi-setup upgrade\`.`
        : `${what} is in progress.`,
    );
  }
  return notes;
}

async function peopleOf(folder: string, config: Config, ms: number): Promise<(People | undefined)[]> {
  const http = await siteClient(folder, config, ms);
  return Promise.all(config.apps.map((app) => inTime(askPeople(http, app), ms)));
}

/** Each name with its certificate, and what is wrong with it. */
async function certificatesOf(
  folder: string,
  config: Config,
  now: Date,
  ms: number,
): Promise<{ name: string; to: string | null; issuer: string | null; wrong: Finding | undefined }[]> {
  if (config.tls.proxy !== undefined) return [];
  const address = ingressAddress(config);
  const ca = await rootsOf(folder, config);
  return Promise.all(
    allNamesOf(config).map(async (name) => {
      const one = await inTime(served({ address, ca }, name, ms), ms);
      return one === undefined
        ? { name, to: null, issuer: null, wrong: undefined }
        : {
            name,
            to: one.to.toISOString(),
            issuer: one.issuer || null,
            wrong: wrongWith(name, address, one, now.getTime()),
          };
    }),
  );
}

/** The jobs of an app, and what is wrong with them. Null: unknown, or the app has none. */
async function jobsOf(
  engine: Engine,
  app: AppConfig,
  containers: readonly Container[],
  now: Date,
  ms: number,
): Promise<{ readonly state: AppState['jobs']; readonly wrong: readonly Finding[] } | null> {
  const jobs = jobsIn(app);
  if (jobs === undefined) return null;
  const container = containers.find(({ service, state }) => service === jobs.service && state === 'running');
  if (container === undefined) return null;
  const seen = await inTime(
    engine
      .exec(container.id, jobs.look, { timeoutMs: ms })
      .then(({ code, stdout }) => (code === 0 ? jobs.parse(stdout, now) : undefined)),
    ms,
  );
  if (seen === undefined) return null;
  const state = {
    waiting: seen.waiting,
    oldestSeconds:
      seen.oldest === undefined ? null : Math.max(0, Math.round((now.getTime() - seen.oldest) / 1000)),
    later: seen.later,
    failed: seen.failed,
    queues: Object.fromEntries(Object.entries(seen.queues).filter(([, count]) => count > 0)),
  };
  return { state, wrong: wrongJobs(app, jobs, seen, containers, now) };
}

function appState(
  app: AppConfig,
  {
    config,
    services,
    people,
    record,
    last,
    jobs,
  }: {
    config: Config;
    services: readonly ListedService[];
    people: People | undefined;
    record: BackupRecord;
    last: LastReading;
    jobs: AppState['jobs'];
  },
): AppState {
  const { id, domain } = app;
  const target = upgradable({ config }).find((one) => one.app.id === id);
  const before = last.people?.[id];
  const own = services.filter((one) => one.app === id);
  const known = people ?? before;
  return {
    id,
    name: appOf(id).name,
    url: `https://${domain}`,
    state: own.length === 0 ? 'down' : verdictOf(own),
    version: target?.from ?? orNull(known?.version),
    newer: target === undefined ? null : orNull(releaseFor(target, record.releases?.newest)),
    people:
      known === undefined
        ? null
        : {
            accounts: orNull(known.accounts),
            active: orNull(known.active),
            posts: orNull(known.posts),
            at: people === undefined ? orNull(before?.at) : null,
          },
    jobs,
  };
}

/** Newer builds of images that `maintain` found. */
function buildsIn({ releases }: BackupRecord, running: Lock): Finding[] {
  const names = openBuilds(releases?.builds, running);
  if (names.length === 0) return [];
  return [
    {
      level: 'warning',
      what: `The registry has newer builds of ${names.join(', ')}.`,
      means: 'They may have security updates.',
      next: '`fedi-setup upgrade --images`',
    },
  ];
}

/** Sum of the running containers; null: no figure. */
async function memoryOf(
  engine: Engine,
  containers: readonly Container[],
  ms: number,
): Promise<number | null> {
  const figures = await Promise.all(
    containers
      .filter(({ state }) => state === 'running')
      .map(({ id }) =>
        inTime(
          Promise.resolve().then(() => engine.memoryOf(id)),
          ms,
        ),
      ),
  );
  const known = figures.filter((one) => one !== undefined);
  // A sum without some of them would be wrong.
  return known.length === 0 || known.length < figures.length
    ? null
    : known.reduce((total, one) => total + one, 0);
}

/** Of the site's images; null: no figure. */
async function imagesOf(engine: Engine, folder: string, ms: number): Promise<number | null> {
  const references = new Set(
    Object.values(await readLock(folder).catch(() => ({}))).map((entry) =>
      'id' in entry ? entry.id : lockedReference(entry),
    ),
  );
  const images = await Promise.all([...references].map((one) => inTime(engine.image(one), ms)));
  const sizes = new Map(
    images.flatMap((one) => (one?.bytes === undefined ? [] : [[one.id, one.bytes] as const])),
  );
  return sizes.size === 0 ? null : [...sizes.values()].reduce((total, one) => total + one, 0);
}

/** The part of the disk that has no name. */
export const OTHER = 'other';

/** Volumes by what is in them, the largest first. */
export function partsOf({ apps }: Pick<Config, 'apps'>, reading: Reading | undefined): Part[] {
  const parts = new Map<string, { bytes: number; cached: number | null }>();
  const add = (what: string, bytes: number, cached: number | undefined): void => {
    const before = parts.get(what);
    parts.set(what, {
      bytes: (before?.bytes ?? 0) + bytes,
      cached: cached === undefined ? (before?.cached ?? null) : (before?.cached ?? 0) + cached,
    });
  };
  const names = new Map<string, string>([
    [ACCESS_LOGS, 'access logs'],
    ...apps.flatMap(({ id, options }) =>
      ((appOf(id) as App).folders ?? []).map(({ volume, what }): [string, string] => [
        typeof volume === 'string' ? volume : volume(options),
        what.replace(/^the /, ''),
      ]),
    ),
  ]);
  const keptName = (key: string): string | undefined => {
    const name = names.get(keptFrom(key) ?? '');
    return name === undefined ? undefined : `kept ${name}`;
  };
  for (const [key, bytes] of Object.entries(reading?.volumes ?? {}))
    add(names.get(key) ?? keptName(key) ?? OTHER, bytes, reading?.cached?.[key]);
  if (reading?.backups !== undefined) add('backups', reading.backups, undefined);
  return [...parts]
    .map(([what, sizes]) => ({ what, ...sizes }))
    .toSorted((a, b) => Number(a.what === OTHER) - Number(b.what === OTHER) || b.bytes - a.bytes);
}

/** One for each file system. */
async function freeOf(paths: readonly string[]): Promise<{ path: string; bytes: number }[]> {
  const { stat } = await import('node:fs/promises');
  const free: { path: string; bytes: number }[] = [];
  const devices = new Set<number>();
  for (const path of new Set(paths)) {
    const device = (await stat(path).catch(() => undefined))?.dev;
    const space = device === undefined || devices.has(device) ? undefined : await thisHost.space(path);
    if (device === undefined || space === undefined) continue;
    devices.add(device);
    free.push({ path, bytes: space.freeBytes });
  }
  return free;
}
