/** Brings the containers to what compose.yaml says and waits until each is well. */
import { createHash } from 'node:crypto';
import { readFile, readdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { APP_IDS } from '../apps/index.ts';
import type { Container, Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { keptFiles } from './files.ts';
import type { Progress } from '../progress.ts';
import { isOf } from '../render/compose.ts';
import { CONFIG_LABEL } from '../render/site.ts';
import type { RenderedSite } from '../render/site.ts';

const LOG_LINES = 20;
/** Longer than any first start we know of; what ends a wait is a condition, this is for what never comes. */
const PATIENCE_MS = 10 * 60_000;

/** A service that does its work and ends, as `restart: "no"` says. */
const isOneShot = (site: RenderedSite, name: string): boolean =>
  site.compose.services[name]?.['restart'] === 'no';

const isThrough = ({ state, exitCode }: Container): boolean => state === 'exited' && exitCode === 0;

/** A container that runs on the settings of the rendered site and says it is well. */
function isCurrent(container: Container, here: string, site: RenderedSite): boolean {
  return (
    (isOneShot(site, container.service) ? isThrough(container) : container.state === 'running') &&
    // After the directory was moved, mounts point to where it was.
    container.labels['com.docker.compose.project.working_dir'] === here &&
    container.health !== 'unhealthy' &&
    container.labels[CONFIG_LABEL] === site.compose.services[container.service]?.labels?.[CONFIG_LABEL]
  );
}

/** Services whose container is missing, stopped, unwell or on older settings. */
export async function stale(
  containers: readonly Container[],
  folder: string,
  site: RenderedSite,
): Promise<string[]> {
  const here = await realpath(folder);
  return Object.keys(site.compose.services).filter(
    (service) => !containers.some((one) => one.service === service && isCurrent(one, here, site)),
  );
}

/** Services of apps that the site has no more: left by a run that was cut short. Others are the person's own. */
export const leftovers = (containers: readonly Container[], site: RenderedSite): string[] =>
  containers
    .map(({ service }) => service)
    .filter((name) => !(name in site.compose.services) && APP_IDS.some((id) => isOf(id, name)));

/** Whether a service or network is one that we make; others are the person's own. */
const isOurs = (name: string): boolean =>
  ['caddy', 'mail', 'edge', 'edge6'].includes(name) || APP_IDS.some((id) => isOf(id, name));

/** Removes what earlier settings needed and nobody has now: networks, and volumes without a name. */
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

/** Hash over the person's own files that Compose reads: a change there needs `up`, though nothing of ours changed. */
export async function ownFilesHash(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const envs = await readdir(join(folder, 'env')).catch(() => [] as string[]);
  const names = [
    'compose.override.yaml',
    'compose.override.yml',
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

/** `docker compose up -d`: never -f, so the person's override counts; never -y, so a changed volume is not made anew. */
export async function up(
  engine: Engine,
  folder: string,
  site: RenderedSite,
  progress: Progress,
): Promise<void> {
  const sickOnes = (await engine.containers(site.compose.name)).filter(
    ({ state, health }) => state === 'running' && health === 'unhealthy',
  );
  const result = await engine.compose(
    folder,
    ['up', '--detach', '--remove-orphans', '--pull=never'],
    (line) => progress.update(line),
  );
  if (result.code !== 0) {
    // What Compose says is seldom the reason: that is in the log of the container it waited for.
    for (const container of await engine.containers(site.compose.name)) {
      const trouble = troubleOf(container, isOneShot(site, container.service));
      if (trouble !== undefined) throw await sick(engine, container, trouble);
    }
    throw upProblem(result.stderr.trim());
  }
  // To Compose a container that runs is fine, however unwell it is.
  const still = (await engine.containers(site.compose.name)).filter(({ id }) =>
    sickOnes.some((one) => one.id === id),
  );
  if (still.length > 0)
    await engine.compose(folder, ['restart', ...still.map(({ service }) => service)], (line) =>
      progress.update(line),
    );
}

function upProblem(stderr: string): Problem {
  const last = stderr.split('\n').at(-1) ?? '';
  const port = /address already in use|port is already allocated/.test(stderr);
  if (/pool overlaps/i.test(stderr))
    return new Problem(EXIT.FAILED, `The containers did not start: ${last}`, {
      means: 'Another network on this host has the addresses that this site’s name gives to one of its own.',
      next: 'Remove that one if nobody needs it (`docker network ls`, `docker network inspect`), or begin this site anew under another --name.',
    });
  return new Problem(EXIT.FAILED, `The containers did not start: ${last}`, {
    means: port
      ? 'Another program took the port in the meantime.'
      : 'What runs goes on running; the files are in place.',
    next: port ? 'Stop it and run this again.' : 'Mend that and run this again: it goes on from here.',
    log: stderr.split('\n').slice(-LOG_LINES).join('\n'),
  });
}

/**
 * Waits until every service runs and is healthy. Throws with the last log lines of one that will not be. Resolves to when
 * each was, in ms.
 */
export async function untilWell(
  engine: Engine,
  site: RenderedSite,
  progress: Progress,
): Promise<Readonly<Record<string, number>>> {
  const well: Record<string, number> = {};
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const containers = await engine.containers(site.compose.name);
    const waiting: string[] = [];
    for (const service of Object.keys(site.compose.services)) {
      const container = containers.find((one) => one.service === service);
      if (container === undefined) waiting.push(service);
      else {
        if (isOneShot(site, service) && isThrough(container)) continue;
        const trouble = troubleOf(container, isOneShot(site, service));
        if (trouble !== undefined) throw await sick(engine, container, trouble);
        if (await isWell(engine, container)) well[service] ??= Date.now();
        else waiting.push(service);
      }
    }
    if (waiting.length === 0) return well;
    if (Date.now() > deadline) {
      const container = containers.find((one) => one.service === waiting[0]);
      if (container === undefined)
        throw new Problem(EXIT.FAILED, `${waiting[0]} has no container.`, {
          next: 'Look at `docker compose ps --all`.',
        });
      throw await sick(engine, container, 'is still not ready');
    }
    progress.update(waiting.join(', '));
    await delay(250);
  }
}

/**
 * Docker asks a container in long intervals only. Asked by us, with the same command, a container that has just become
 * well is known at once.
 */
async function isWell(engine: Engine, container: Container): Promise<boolean> {
  if (container.state !== 'running') return false;
  if (container.health !== 'starting' || container.healthTest.length === 0)
    return container.health !== 'starting';
  try {
    return (await engine.exec(container.id, container.healthTest)).code === 0;
  } catch {
    return false; // it stopped in between; the next round sees why
  }
}

/** Why a container will not become well by waiting; undefined: it may. */
function troubleOf(
  { state, health, oomKilled, restarts, exitCode }: Container,
  oneShot: boolean,
): string | undefined {
  // Before its health: asked in its sleep it answers nothing.
  if (state === 'paused') return 'is paused (`docker compose unpause` wakes it)';
  if (oomKilled) return 'was stopped by the kernel: out of memory';
  if (health === 'unhealthy') return 'is unhealthy';
  if ((state === 'restarting' || state === 'exited') && restarts >= 3)
    return `stops again and again, with exit code ${exitCode}`;
  if (oneShot && state === 'exited' && exitCode !== 0) return `ended with exit code ${exitCode}`;
  if (state === 'dead') return 'is dead';
  return undefined;
}

async function sick(engine: Engine, container: Container, trouble: string): Promise<Problem> {
  return new Problem(EXIT.FAILED, `The container ${container.service} ${trouble}.`, {
    means: 'The site is not complete. What was done so far stays, and nothing is done twice.',
    next: 'Mend what its last lines say and run this again: it goes on from here.',
    log: await engine.logs(container.id, LOG_LINES),
  });
}
