/** The services of a site, each with its container. */
import { containerTrouble } from '../checks/site.ts';
import type { Config } from '../config/config.ts';
import type { Container } from '../docker/engine.ts';
import { isYoung } from '../docker/health.ts';
import type { ListedService, Verdict } from './state.ts';

/** @param services name → whether it is a one-shot job */
export function listServices(
  services: ReadonlyMap<string, boolean>,
  containers: readonly Container[],
  { apps }: Pick<Config, 'apps'>,
  now: Date,
): ListedService[] {
  const appFor = (service: string): string | null =>
    apps.find(({ id }) => service === id || service.startsWith(`${id}_`))?.id ?? null;
  const found = [...services].map(([service, oneShot]) => {
    const container = containers.find((one) => one.service === service);
    const [level, words = null] = containerTrouble(container, oneShot, now) ?? [];
    const isRunning = container?.state === 'running';
    const isStarting =
      isRunning && level !== 'blocker' && (oneShot || !['healthy', undefined].includes(container.health));
    const listed: ListedService = {
      service,
      app: appFor(service),
      container: partOf(container),
      seen: seenIn(container, oneShot, now),
      fault: level === 'blocker' ? words : null,
      remark: level === 'warning' && !isStarting ? words : null,
      isStarting,
    };
    return { listed, isCreated: container?.state === 'created' };
  });
  // Compose creates all containers, then starts each when those that it needs are ready.
  const isUp = found.some(({ listed }) => listed.isStarting);
  // Those of the administrator's own services: what they should be is not known.
  const others = containers.filter(({ service }) => !services.has(service));
  return [
    ...found.map(({ listed, isCreated }) =>
      isUp && isCreated ? { ...listed, fault: null, isStarting: true } : listed,
    ),
    ...others.map((container) => ({
      service: container.service,
      app: appFor(container.service),
      container: partOf(container),
      seen: seenIn(container, false, now),
      fault: null,
      remark: null,
      isStarting: false,
    })),
  ];
}

const partOf = (container: Container | undefined): ListedService['container'] =>
  container === undefined
    ? null
    : { state: container.state, health: container.health, restarts: container.restarts };

function seenIn(container: Container | undefined, oneShot: boolean, now: Date): string {
  if (container === undefined) return oneShot ? 'done (container removed)' : 'missing';
  const { state, health, exitCode } = container;
  if (state === 'exited') return oneShot && exitCode === 0 ? 'done' : `exited with code ${exitCode}`;
  if (state === 'running' && health === 'unhealthy' && isYoung(container, now))
    return 'running (not healthy yet)';
  return `${state}${health ? ` (${health})` : ''}`;
}

/** Services without any are complete. */
export function verdictOf(
  services: readonly Pick<ListedService, 'fault' | 'isStarting' | 'seen'>[],
): Verdict {
  if (services.some(({ fault }) => fault !== null))
    return services.some(({ seen }) => seen.startsWith('running')) ? 'fails' : 'down';
  return services.some(({ isStarting }) => isStarting) ? 'starts' : 'runs';
}
