/** Starts the containers as compose.yaml says and waits until all are healthy. */
import { createHash } from 'node:crypto';
import { readFile, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { healthLines } from '../docker/health.ts';
import { APP_IDS } from '../apps/index.ts';
import { COMPONENTS } from '../components/index.ts';
import type { Container, Engine, Output } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { keptFiles } from './files.ts';
import type { Progress } from '../progress.ts';
import { isOf } from '../stack/compose.ts';
import { CONFIG_LABEL } from '../render/site.ts';
import { OVERRIDES } from '../render/verify.ts';
import type { RenderedSite } from '../render/site.ts';

const LOG_LINES = 20;
/** Longest wait without progress. A host with one core and a slow disk can be silent for minutes. */
const PATIENCE_MS = 10 * 60_000;
/** A container that restarted this often has failed. */
const RESTARTS = 3;
/** Longest wait in total: a container may keep printing new lines and never become ready. */
const LONGEST_MS = 60 * 60_000;
/** Share of a processor from which on a job and its servers are at work. */
const BUSY = 0.1;

/** Whether a service is a one-shot (`restart: "no"`): it does its work and exits. */
const isOneShot = (site: RenderedSite, name: string): boolean =>
  site.compose.services[name]?.['restart'] === 'no';

const isCompleted = ({ state, exitCode }: Container): boolean => state === 'exited' && exitCode === 0;

/** While Compose recreates a container it is named `0123456789ab_fedi-web-1`; the name stays only if Compose is killed. */
const isTemporary = ({ name }: Container): boolean => /^[0-9a-f]{12}_/.test(name);

/** Whether a container runs with the rendered settings and is not unhealthy. */
function isCurrent(container: Container, here: string, site: RenderedSite): boolean {
  return (
    (isOneShot(site, container.service) ? isCompleted(container) : container.state === 'running') &&
    // After the directory was moved, mounts point to where it was.
    container.labels['com.docker.compose.project.working_dir'] === here &&
    container.health !== 'unhealthy' &&
    !isTemporary(container) &&
    container.labels[CONFIG_LABEL] === site.compose.services[container.service]?.labels?.[CONFIG_LABEL]
  );
}

/** Services whose container is missing, stopped, unhealthy, outdated or half replaced. */
export async function stale(
  containers: readonly Container[],
  folder: string,
  site: RenderedSite,
): Promise<string[]> {
  // A new site has no directory yet.
  const here = await realpath(folder).catch(() => folder);
  const isUp = (service: string): boolean =>
    containers.some((one) => one.service === service && isCurrent(one, here, site));
  return Object.keys(site.compose.services).filter(
    (service) =>
      (!isUp(service) && !isPruned(service, containers, site, isUp)) ||
      containers.some((one) => one.service === service && isTemporary(one)),
  );
}

/** Whether the container of a completed one-shot was removed: those that waited for it run. */
function isPruned(
  service: string,
  containers: readonly Container[],
  site: RenderedSite,
  isUp: (service: string) => boolean,
): boolean {
  if (!isOneShot(site, service) || containers.some((one) => one.service === service)) return false;
  const waiting = Object.entries(site.compose.services).filter(
    ([, { depends_on: needs }]) => needs?.[service]?.condition === 'service_completed_successfully',
  );
  return waiting.length > 0 && waiting.every(([name]) => isUp(name));
}

/** Our services that the site no longer has. All others are the administrator's own. */
export const leftovers = (containers: readonly Container[], site: RenderedSite): string[] =>
  containers.map(({ service }) => service).filter((name) => !(name in site.compose.services) && isOurs(name));

/** Whether fedi-setup creates this service or network; others are the user's own. */
const isOurs = (name: string): boolean =>
  ['caddy', 'edge', 'edge6'].includes(name) ||
  COMPONENTS.some(({ owns }) => owns(name)) ||
  APP_IDS.some((id) => isOf(id, name));

/** Removes networks and anonymous volumes of earlier settings. */
export async function removeUnused(
  engine: Engine,
  site: RenderedSite,
  before: readonly Container[],
): Promise<void> {
  await engine.removeNetworks(site.compose.name, (key) => isOurs(key) && !(key in site.compose.networks));
  await engine.removeUnused(
    before.filter(({ service }) => isOurs(service)).flatMap(({ anonymous }) => anonymous ?? []),
  );
}

/** Hash over the user's own files that Compose reads: a change needs `up` even if no generated file changed. */
export async function ownFilesHash(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const envs = await readdir(join(folder, 'env')).catch(() => [] as string[]);
  const names = [
    ...OVERRIDES,
    ...(await keptFiles(folder)),
    ...envs
      .filter((name) => name.endsWith('.local.env'))
      .toSorted()
      .map((name) => join('env', name)),
  ];
  for (const name of names) {
    const text = await readFile(join(folder, name)).catch(() => undefined);
    if (text !== undefined) hash.update(name).update('\0').update(text).update('\0');
  }
  return hash.digest('hex');
}

/** Source of time; tests inject their own. */
export interface Clock {
  readonly now: () => number;
  readonly delay: (ms: number) => Promise<unknown>;
}

export const REAL: Clock = { now: () => Date.now(), delay: (ms) => delay(ms) };

/** Polling interval for containers. */
const LOOK_MS = 250;
/** Polling interval for the logs of containers that are not ready. */
const LOGS_MS = 15_000;

/** Records the last progress. A state or line seen before does not count, so a restart loop does not. */
class Patience {
  readonly #clock: Clock;
  readonly #seen = new Set<string>();
  #began: number;
  #last: number;
  #logsAt: number;
  /** Processor time in seconds, by container. */
  #used: Readonly<Record<string, number>> = {};

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = this.#last = clock.now();
    this.#logsAt = this.#began + LOGS_MS;
  }

  note(sight: string): void {
    if (this.#seen.has(sight)) return;
    this.#seen.add(sight);
    this.#last = this.#clock.now();
  }

  /** Ignores numbers, so that times, process ids and hashes do not make a line new. */
  noteLine(of: string, line: string): void {
    this.note(`${of} ${line.replaceAll(/[0-9a-f]*\d[0-9a-f]*/gi, '#')}`);
  }

  /** @param working a job that runs, and the servers it uses */
  async look(
    engine: Engine,
    containers: readonly Container[],
    waiting: readonly string[],
    working: readonly Container[],
  ): Promise<void> {
    for (const { id, state, health, exitCode } of containers)
      this.note([id, state, health === 'healthy', exitCode].join(' '));
    if (this.#clock.now() < this.#logsAt) return;
    for (const { id, service, state } of containers)
      if (state === 'running' && waiting.includes(service))
        for (const line of (await engine.logs(id, LOG_LINES)).split('\n')) this.noteLine(id, line);
    await this.#noteWork(engine, working);
    this.#logsAt = this.#clock.now() + LOGS_MS;
  }

  /** A migration may print nothing for hours. It works as long as it, or its database, uses the processor. */
  async #noteWork(engine: Engine, working: readonly Container[]): Promise<void> {
    const used: Record<string, number> = {};
    for (const { id } of working) used[id] = await engine.cpuSeconds(id);
    const spent = Object.entries(used).reduce((sum, [id, now]) => sum + now - (this.#used[id] ?? now), 0);
    this.#used = used;
    if (spent >= (BUSY * LOGS_MS) / 1000) this.#began = this.#last = this.#clock.now();
  }

  get isOver(): boolean {
    const now = this.#clock.now();
    return now - this.#last > PATIENCE_MS || now - this.#began > LONGEST_MS;
  }
}

/** The jobs that run, and the servers that they wait for. */
function workingIn(site: RenderedSite, containers: readonly Container[]): Container[] {
  const jobs = containers.filter(({ service, state }) => state === 'running' && isOneShot(site, service));
  const services = jobs.flatMap(({ service }) => [
    service,
    ...Object.keys(site.compose.services[service]?.depends_on ?? {}),
  ]);
  return containers.filter(({ service, state }) => state === 'running' && services.includes(service));
}

/** Relies on Docker's health checks, which run every few seconds while a container starts. */
const isHealthy = ({ state, health }: Container): boolean =>
  state === 'running' && (health === 'healthy' || health === undefined);

/** A `docker compose up` and its result. */
class Attempt {
  readonly end: Promise<unknown>;
  readonly #abort = new AbortController();
  result: Output | undefined;
  /** The error, if there is no result. */
  failure: { readonly error: unknown } | undefined;

  constructor(engine: Engine, folder: string, onLine: (line: string) => void) {
    // No -f, so that the user's override applies; no -y, so that a changed volume is not recreated.
    const argv = ['up', '--detach', '--remove-orphans', '--pull=never'];
    this.end = engine.compose(folder, argv, onLine, this.#abort.signal).then(
      (result) => (this.result = result),
      (error: unknown) => (this.failure = { error }),
    );
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.end;
  }
}

/** Errors of `docker compose up` that may pass: a late health check, a container that another program still replaces. */
const NOT_FINAL =
  /is unhealthy|dependency failed to start|already in use by container|is already in progress|no such container|marked for removal|is not running|is restarting/i;
/** Pause between two attempts. */
const RETRY_MS = { first: 1000, longest: 30_000 } as const;
/** How long after `up` a container that was unhealthy from the beginning is restarted; longer while `up` fails. */
const RESTART_MS = { started: 30_000, failed: 5 * 60_000 } as const;

/**
 * Runs `docker compose up` and waits until every service is healthy. Throws at once on a failure that waiting cannot fix, even
 * while `up` still waits for something else. Resolves to the time when each service became healthy, in ms.
 */
export async function bringUp(
  engine: Engine,
  folder: string,
  site: RenderedSite,
  progress: Progress,
  clock: Clock = REAL,
): Promise<Readonly<Record<string, number>>> {
  const project = site.compose.name;
  const healthyAt: Record<string, number> = {};
  const patience = new Patience(clock);
  const onLine = (line: string): void => {
    progress.update(line);
    patience.noteLine('up', line);
  };
  const before = await withoutTemporary(engine, await engine.containers(project));
  const isUntouched = (one: Container): boolean =>
    before.some(
      ({ id, startedAt, state }) => one.id === id && one.startedAt === startedAt && one.state === state,
    );
  const restartsBefore = new Map(before.map(({ id, restarts }) => [id, restarts]));
  let unhealthyBefore = before.filter(isUnhealthy);
  /** When the last attempt ended. */
  let since = clock.now();
  const begin = (): Attempt => {
    const next = new Attempt(engine, folder, onLine);
    void next.end.then(() => (since = clock.now()));
    return next;
  };
  let attempt = begin();
  let retry: number = RETRY_MS.first;
  try {
    for (;;) {
      const containers = await engine.containers(project);
      const { result, failure } = attempt;
      if (failure !== undefined) throw failure.error;
      const hasStarted = result?.code === 0;

      for (const container of containers) {
        // Do not judge the containers of an earlier run before `up` has finished.
        if (!(container.service in site.compose.services) || (!hasStarted && isUntouched(container)))
          continue;
        const restarts = container.restarts - (restartsBefore.get(container.id) ?? 0);
        const trouble = troubleOf({ ...container, restarts }, isOneShot(site, container.service));
        if (trouble !== undefined) throw await containerProblem(engine, container, trouble);
      }
      if (result !== undefined && !hasStarted && !NOT_FINAL.test(result.stderr))
        throw upProblem(result.stderr.trim());

      const waiting = Object.keys(site.compose.services).filter((service) => {
        const container = containers.find((one) => one.service === service);
        if (container === undefined || result === undefined) return container?.health !== 'healthy';
        if (isOneShot(site, service)) return !isCompleted(container);
        if (!isHealthy(container)) return true;
        healthyAt[service] ??= clock.now();
        return false;
      });
      if (hasStarted && waiting.length === 0) return healthyAt;
      await patience.look(engine, containers, waiting, workingIn(site, containers));
      if (patience.isOver) throw await late(engine, containers, waiting, workingIn(site, containers), result);

      if (result === undefined) {
        await Promise.race([attempt.end, clock.delay(4 * LOOK_MS)]);
        continue;
      }
      progress.update(waiting.map((service) => nameOf(service, containers)).join(', '));
      const elapsed = clock.now() - since;
      const stillUnhealthy = containers.filter(
        (one) => isUnhealthy(one) && isUntouched(one) && unhealthyBefore.some(({ id }) => id === one.id),
      );
      // Compose does not restart an unhealthy container.
      if (stillUnhealthy.length > 0 && elapsed > (hasStarted ? RESTART_MS.started : RESTART_MS.failed)) {
        unhealthyBefore = [];
        await engine.compose(folder, ['restart', ...stillUnhealthy.map(({ service }) => service)], onLine);
      }
      // Repeat a failed attempt once no container is unhealthy; repeat a successful one if a container has stopped since.
      const isDue = hasStarted
        ? isUpNeeded(site, containers)
        : elapsed >= RETRY_MS.longest || !containers.some(isUnhealthy);
      if (isDue && elapsed >= retry) {
        retry = Math.min(2 * retry, RETRY_MS.longest);
        await withoutTemporary(engine, containers);
        attempt = begin();
        continue;
      }
      await clock.delay(LOOK_MS);
    }
  } finally {
    await attempt.stop();
  }
}

/**
 * Runs the one-shots of a new version while the old one still serves, then replaces the containers that Caddy sends requests to, and
 * waits for them. `docker compose up` would stop all old ones before it starts the one-shots, and the new ones would start together.
 * Ends without a result: what failed or is left is for {@link bringUp}.
 * @param names services whose containers are stale
 */
export async function replaceAfterJobs(
  engine: Engine,
  folder: string,
  site: RenderedSite,
  names: readonly string[],
  progress: Progress,
  clock: Clock = REAL,
): Promise<void> {
  const { name: project, services } = site.compose;
  const jobs = names.filter((name) => isOneShot(site, name));
  const needed = jobs.flatMap((name) => Object.keys(services[name]?.depends_on ?? {}));
  if (jobs.length === 0 || needed.some((name) => names.includes(name) && !jobs.includes(name))) return;
  const ingress = Object.keys(services['caddy']?.networks ?? {});
  const serving = names.filter(
    (name) =>
      !jobs.includes(name) &&
      name !== 'caddy' &&
      Object.keys(services[name]?.networks ?? {}).some((network) => ingress.includes(network)),
  );
  /** Whether all of them are as wanted in time. */
  const replaced = async (
    some: readonly string[],
    isReady: (one: Container) => boolean,
  ): Promise<boolean> => {
    progress.update(some.join(', '));
    const argv = ['up', '--detach', '--no-deps', '--pull=never', ...some];
    if ((await engine.compose(folder, argv, (line) => progress.update(line))).code !== 0) return false;
    for (const end = clock.now() + PATIENCE_MS; clock.now() < end; await clock.delay(LOOK_MS)) {
      const there = (await engine.containers(project)).filter(({ service }) => some.includes(service));
      if (there.length === some.length && there.every(isReady)) return true;
      if (there.some(({ state, exitCode }) => state === 'exited' && exitCode !== 0)) return false;
    }
    return false;
  };
  if ((await replaced(jobs, isCompleted)) && serving.length > 0) await replaced(serving, isHealthy);
}

const isUnhealthy = ({ state, health }: Container): boolean => state === 'running' && health === 'unhealthy';

const nameOf = (service: string, containers: readonly Container[]): string =>
  containers.some((one) => one.service === service && isUnhealthy(one))
    ? `${service} (not healthy yet)`
    : service;

/** Whether a service has no container, or one that only `up` starts again. */
const isUpNeeded = (site: RenderedSite, containers: readonly Container[]): boolean =>
  Object.keys(site.compose.services).some((service) => {
    const container = containers.find((one) => one.service === service);
    return (
      container === undefined ||
      container.state === 'created' ||
      (container.state === 'exited' && !isOneShot(site, service))
    );
  });

/** Removes half-replaced containers of a killed `up`, which `up` then creates again. Returns the others. */
async function withoutTemporary(engine: Engine, containers: readonly Container[]): Promise<Container[]> {
  for (const container of containers.filter(isTemporary)) await engine.removeContainer(container.id);
  return containers.filter((container) => !isTemporary(container));
}

/** Another network has the addresses of one of the site's. Rendered again, the site gets others. */
export class AddressesTaken extends Problem {}

/** What Docker says when its address pools are used up. */
const NO_ADDRESSES = /non-overlapping|fully subnetted/;

const noAddresses = (why: string, changed: string): Problem =>
  new Problem(EXIT.PREFLIGHT, `Docker has no free addresses for the networks of this site: ${why}`, {
    means: `Many networks, or the routes of a VPN, use up its address pools. ${changed}`,
    next: '`docker network prune` removes unused networks. For more pools, set "default-address-pools" in /etc/docker/daemon.json and restart Docker.',
  });

/** Tests before anything is written whether Docker has addresses for the networks that the site still lacks. */
export async function tryNetworks(engine: Engine, site: RenderedSite): Promise<void> {
  const existing = new Set((await engine.networks()).map(({ name }) => name));
  const missing = Object.entries(site.compose.networks).filter(
    ([key, { ipam }]) => ipam === undefined && !existing.has(`${site.compose.name}_${key}`),
  );
  const trouble = missing.length === 0 ? undefined : await engine.tryNetworks(missing.length);
  if (trouble !== undefined) throw noAddresses(trouble, 'Nothing was changed.');
}

function upProblem(stderr: string): Problem {
  const last = stderr.split('\n').at(-1) ?? '';
  const port = /address already in use|port is already allocated/.test(stderr);
  if (/cannot assign requested address/.test(stderr))
    return new Problem(EXIT.FAILED, `The containers did not start: ${last}`, {
      means: 'The address of --bind is not one of this host.',
      next: 'Choose another --bind, or leave it out to listen on all addresses. Completed steps are not repeated.',
      log: stderr.split('\n').slice(-LOG_LINES).join('\n'),
    });
  if (NO_ADDRESSES.test(stderr))
    return noAddresses(last, 'Running containers keep running; the files are in place.');
  if (/pool overlaps/i.test(stderr))
    return new AddressesTaken(EXIT.FAILED, `The containers did not start: ${last}`, {
      means: 'Another network of this host uses the addresses of one of this site’s networks.',
      next: 'Remove that network if it is unused (`docker network ls`, `docker network inspect`) and run this again.',
    });
  return new Problem(EXIT.FAILED, `The containers did not start: ${last}`, {
    means: port
      ? 'Another program took the port in the meantime.'
      : 'Running containers keep running; the files are in place.',
    next: port
      ? 'Stop it and run this again.'
      : 'Fix that and run this again: completed steps are not repeated.',
    log: stderr.split('\n').slice(-LOG_LINES).join('\n'),
  });
}

/** Why waiting cannot help a container; undefined: it can. An unhealthy one may recover: its host may be slow. */
function troubleOf(
  { state, oomKilled, restarts, exitCode }: Container,
  oneShot: boolean,
): string | undefined {
  if (state === 'paused') return 'is paused (resume it with `docker compose unpause`)';
  if (state === 'dead') return 'is dead';
  if (state !== 'restarting' && state !== 'exited') return undefined;
  if (oomKilled && (oneShot || restarts >= RESTARTS)) return 'was killed by the kernel: out of memory';
  if (restarts >= RESTARTS && exitCode !== 0) return `keeps restarting, with exit code ${exitCode}`;
  if (oneShot && state === 'exited' && exitCode !== 0) return `exited with code ${exitCode}`;
  return undefined;
}

async function late(
  engine: Engine,
  containers: readonly Container[],
  waiting: readonly string[],
  working: readonly Container[],
  result: Output | undefined,
): Promise<Problem> {
  // A service from compose.override.yaml counts too: `up` may wait for it.
  const unhealthy = containers.find((one) => waiting.includes(one.service) && isUnhealthy(one));
  const container = unhealthy ?? containers.find(isUnhealthy);
  if (container !== undefined) return containerProblem(engine, container, 'is still unhealthy');
  if (result !== undefined && result.code !== 0) return upProblem(result.stderr.trim());
  const job = working.find(({ service }) => waiting.includes(service));
  if (job !== undefined)
    return new Problem(
      EXIT.FAILED,
      `The job ${job.service} is still not ready, and has hardly used the processor for ten minutes.`,
      {
        means:
          'If it waits for its database, another session may hold a lock there. Completed steps are kept.',
        next: 'End that session, a dump or a query for example, and run this again.',
        log: await engine.logs(job.id, LOG_LINES).catch(() => ''),
      },
    );
  const first = containers.find(({ service }) => waiting.includes(service));
  if (first !== undefined) return containerProblem(engine, first, 'is still not ready');
  return new Problem(EXIT.FAILED, `The containers are still not ready: ${waiting.join(', ')}.`, {
    means: 'The site is incomplete. Completed steps are kept.',
    next: '`docker compose ps --all` lists the containers.',
  });
}

async function containerProblem(engine: Engine, container: Container, trouble: string): Promise<Problem> {
  const log = await engine.logs(container.id, LOG_LINES).catch(() => '');
  return new Problem(EXIT.FAILED, `The container ${container.service} ${trouble}.`, {
    means: 'The site is incomplete. Completed steps are kept.',
    next: 'Fix the error in the log above and run this again: completed steps are not repeated.',
    log: [...healthLines(container), log].filter(Boolean).join('\n'),
  });
}
