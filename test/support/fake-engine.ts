/** An engine in memory and a simulated clock: minutes are tested in milliseconds. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../wizard/apply/containers.ts';
import type { Container, Engine, Output } from '../../wizard/docker/engine.ts';
import type { Progress } from '../../wizard/progress.ts';
import { STRICT } from './policy.ts';

/** A clock that each wait moves forward, after everything else that is due has happened. */
export class FakeClock implements Clock {
  #now = 0;
  readonly now = (): number => this.#now;
  readonly delay = async (ms: number): Promise<void> => {
    const until = this.#now + ms;
    await turn();
    // Several may wait at once: the clock never goes back.
    this.#now = Math.max(this.#now, until);
  };
}

export const OK: Output = { code: 0, stdout: '', stderr: '' };
export const failed = (stderr: string, code = 1): Output => ({ code, stdout: '', stderr });

/** A running, healthy container. */
export function fakeContainer(service: string, more: Partial<Container> = {}): Container {
  return {
    id: service,
    service,
    project: 'fedi',
    name: `fedi-${service}-1`,
    state: 'running',
    health: 'healthy',
    healthOutput: '',
    healthLog: [],
    startedAt: '2026-01-01T00:00:00Z',
    exitCode: 0,
    oomKilled: false,
    restarts: 0,
    labels: {},
    rights: STRICT,
    ...more,
  };
}

export interface Script {
  readonly clock: FakeClock;
  /** Containers at a time (seconds since the start), after `ups` calls of `compose up`. */
  readonly containers: (seconds: number, ups: number) => readonly Container[];
  /** How the n-th `compose up` (from 1) ends. Default: with success and at once. `ended`: the caller ends it early. */
  readonly up?: (n: number, ended: AbortSignal) => Promise<Output> | Output;
  readonly logs?: (id: string, seconds: number) => string;
  readonly cpuSeconds?: (id: string, seconds: number) => number;
}

export interface FakeEngine extends Engine {
  /** Every call that changes something or is expensive, with its time: `12 exec web`. */
  readonly calls: string[];
}

export function fakeEngine({ clock, containers, up, logs, cpuSeconds }: Script): FakeEngine {
  const calls: string[] = [];
  const seconds = (): number => clock.now() / 1000;
  const note = (what: string): unknown => calls.push(`${Math.round(seconds())} ${what}`);
  const removed = new Set<string>();
  let ups = 0;
  const engine: Partial<FakeEngine> = {
    calls,
    containers: async () => containers(seconds(), ups).filter(({ id }) => !removed.has(id)),
    cpuSeconds: async (id) => cpuSeconds?.(id, seconds()) ?? 0,
    logs: async (id) => logs?.(id, seconds()) ?? '',
    exec: async (id) => {
      note(`exec ${id}`);
      return OK;
    },
    removeContainer: async (id) => {
      note(`remove ${id}`);
      removed.add(id);
    },
    compose: async (_folder, argv, _onLine, signal) => {
      note(argv.filter((word) => !word.startsWith('-')).join(' '));
      if (argv[0] !== 'up') return OK;
      ups += 1;
      return (await up?.(ups, signal as AbortSignal)) ?? OK;
    },
  };
  return engine as FakeEngine;
}

/** An `up` that runs until it is ended. */
export const endless = (ended: AbortSignal): Promise<Output> =>
  new Promise((resolve) => ended.addEventListener('abort', () => resolve(failed('', 130))));

export function fakeProgress(): Progress & { readonly updates: string[] } {
  const updates: string[] = [];
  const nothing = (): void => undefined;
  return {
    updates,
    start: nothing,
    update: (text) => updates.push(text),
    done: nothing,
    already: nothing,
    fail: nothing,
    skip: nothing,
    say: nothing,
    print: nothing,
    emit: nothing,
  };
}
