/** Which one change a site needs most, if any. */
import { sizeText } from '../checks/check.ts';
import type { AppFigures, ContainerFigures, Figures } from './figures.ts';

export interface Proposal {
  /** What to change, as a sentence. */
  readonly change: string;
  /** What was seen. */
  readonly because: string;
  /** A command; empty: nothing that fedi-setup can do. */
  readonly command: string;
}

/** Limits from experience; the largest waste of a change is a restart. */
const FULL = 0.9;
/** Jobs that wait longer are late for people. */
const LATE_SECONDS = 60;
/** Above it, more threads only wait for the cores. */
const BUSY_CORES = 0.5;
/** A cache that answers less is too small, once it was asked often enough. */
const LEAST_HITS = 0.95;
const ENOUGH_READS = 200_000;

export const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** A larger size if the host has the memory for it; else what stands in the way. */
function larger(figures: Figures, app: AppFigures, because: string): Proposal {
  const { id, name, size, larger: next, largerMiB = 0 } = app;
  const others = figures.apps.filter((one) => one !== app).length;
  if (size === undefined || next === undefined)
    return {
      change: `Give the containers of ${name} more memory in compose.override.yaml: ${name} has no larger size.`,
      because,
      command: '',
    };
  if (largerMiB * 1024 ** 2 > figures.memory)
    return {
      change: `Give this host more memory: the next size of ${name}, ${next}, needs ${sizeText(largerMiB * 1024 ** 2)}, and the host has ${sizeText(figures.memory)}.`,
      because,
      command: '',
    };
  return {
    change: `Choose the next size of ${name}, ${next} instead of ${size}.${others > 0 ? ' The other apps share the memory: look at `fedi-setup status` afterwards.' : ''}`,
    because,
    command: `fedi-setup apply --${id}-size ${next}`,
  };
}

const moreCores = (figures: Figures, because: string): Proposal => ({
  change: `Give this host more processor cores; it has ${figures.cores}. More threads would only wait for them.`,
  because,
  command: '',
});

/** The first thing that is wrong with a container. */
const containersWhere = (
  { apps }: Figures,
  isWrong: (one: ContainerFigures) => boolean,
): { app: AppFigures; one: ContainerFigures } | undefined => {
  for (const app of apps) {
    const one = app.containers.find(isWrong);
    if (one !== undefined) return { app, one };
  }
  return undefined;
};

/** The worst first: what stops the site, then what delays people, then what only costs. Undefined: nothing needs a change. */
export function decide(figures: Figures): Proposal | undefined {
  const isBusy = (figures.pressure ?? 0) > BUSY_CORES;
  const waits = `some process waited for a core in ${percent(figures.pressure ?? 0)} of the last minute`;

  const killed = containersWhere(figures, ({ kills }) => (kills ?? 0) > 0);
  if (killed !== undefined)
    return larger(figures, killed.app, `The kernel ended ${killed.one.kills ?? 0} processes in ${killed.one.service}, which was out of memory.`); // prettier-ignore

  for (const app of figures.apps)
    for (const { service, kind, connections, most } of app.databases)
      if (connections >= most * FULL)
        return larger(figures, app, `${connections} of ${most} connections of ${kind} in ${service} are in use; without a free one, pages fail.`); // prettier-ignore

  for (const app of figures.apps)
    for (const { service, used, most, evicted } of app.valkeys) {
      if (evicted > 0)
        return larger(figures, app, `Valkey in ${service} was full and evicted ${evicted} keys, which may be jobs.`); // prettier-ignore
      if (most > 0 && used >= most * FULL)
        return larger(figures, app, `Valkey in ${service} uses ${sizeText(used)} of ${sizeText(most)}; when it is full, jobs are lost or refused.`); // prettier-ignore
    }

  const full = containersWhere(figures, ({ memory, limit }) => memory !== undefined && limit !== undefined && memory >= limit * FULL); // prettier-ignore
  if (full !== undefined)
    return larger(figures, full.app, `${full.one.service} uses ${sizeText(full.one.memory ?? 0)} of ${sizeText(full.one.limit ?? 0)}; at the limit the kernel ends a process.`); // prettier-ignore

  const slow = containersWhere(
    figures,
    ({ backlog }) => backlog !== undefined && backlog.seen * 2 > backlog.of,
  );
  if (slow !== undefined) {
    const because = `In ${slow.one.backlog?.seen ?? 0} of ${slow.one.backlog?.of ?? 0} samples, up to ${slow.one.backlog?.most ?? 0} requests waited in front of ${slow.one.service}: all of its threads were busy`;
    return isBusy ? moreCores(figures, `${because}, and ${waits}.`) : larger(figures, slow.app, `${because}, and the cores were not.`); // prettier-ignore
  }

  for (const app of figures.apps) {
    if ((app.oldest ?? 0) <= LATE_SECONDS) continue;
    const late = `${app.waiting ?? 0} jobs of ${app.name} wait, the oldest for ${Math.round(app.oldest ?? 0)} s`;
    const [busy, threads] = app.containers.reduce(([a, b], { sidekiq }) => [a + (sidekiq?.busy ?? 0), b + (sidekiq?.threads ?? 0)], [0, 0]); // prettier-ignore
    if (isBusy) return moreCores(figures, `${late}, and ${waits}.`);
    if (threads > 0 && busy < threads * FULL)
      return {
        change: `Look at \`fedi-setup logs\`: ${app.name} has free threads, so more of them would not help.`,
        because: `${late}, but only ${busy.toFixed(1)} of ${threads} threads are busy.`,
        command: '',
      };
    return larger(figures, app, `${late}${threads > 0 ? `, and ${busy.toFixed(1)} of ${threads} threads are busy` : ''}; the cores are free.`); // prettier-ignore
  }

  for (const app of figures.apps)
    for (const { service, kind, hits, misses } of app.databases)
      if (hits + misses >= ENOUGH_READS && hits < (hits + misses) * LEAST_HITS)
        return larger(figures, app, `The cache of ${kind} in ${service} answered ${percent(hits / (hits + misses))} of ${hits + misses} reads; below ${percent(LEAST_HITS)} it is too small.`); // prettier-ignore

  const throttled = containersWhere(figures, (one) => (one.throttled ?? 0) > BUSY_CORES);
  if (throttled !== undefined)
    return {
      change: `Raise the CPU limit of ${throttled.one.service} in compose.override.yaml.`,
      because: `The limit throttled the container in ${percent(throttled.one.throttled ?? 0)} of all periods.`,
      command: '',
    };
  return undefined;
}
