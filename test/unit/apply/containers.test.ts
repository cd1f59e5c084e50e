/** The start of the containers: when it waits, repeats `up`, or ends with an error. */
import { realpathSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bringUp, leftovers, replaceAfterJobs, stale } from '../../../wizard/apply/containers.ts';
import type { Container } from '../../../wizard/docker/engine.ts';
import type { RenderedSite } from '../../../wizard/render/site.ts';
import {
  FakeClock,
  endless,
  failed,
  fakeContainer,
  fakeEngine,
  fakeProgress,
} from '../../support/fake-engine.ts';
import type { FakeEngine, Script } from '../../support/fake-engine.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

const MINUTE = 60;

/** A site with two running services and a one-shot job. */
const site = {
  compose: { name: 'fedi', services: { web: {}, mail: {}, setup: { restart: 'no' } } },
} as unknown as RenderedSite;

const web = fakeContainer('web');
const mail = fakeContainer('mail');
const setup = fakeContainer('setup', { state: 'exited', health: undefined });
const like = (container: Container, more: Partial<Container>): Container => ({ ...container, ...more });

interface World {
  readonly engine: FakeEngine;
  readonly clock: FakeClock;
  readonly start: () => Promise<Readonly<Record<string, number>>>;
  readonly updates: string[];
}

function world(script: Omit<Script, 'clock'>): World {
  const clock = new FakeClock();
  const engine = fakeEngine({ clock, ...script });
  const progress = fakeProgress();
  return {
    engine,
    clock,
    updates: progress.updates,
    start: () => bringUp(engine, '/srv/fedi', site, progress, clock),
  };
}

const seconds = ({ clock }: World): number => Math.round(clock.now() / 1000);
const ups = ({ engine }: World): number => engine.calls.filter((call) => call.endsWith(' up')).length;

test('all healthy at once: one `up`, and the time of each service', async () => {
  const one = world({ containers: (_, n) => (n === 0 ? [] : [web, mail, setup]) });
  expect(Object.keys(await one.start())).toEqual(['web', 'mail']);
  expect(ups(one)).toBe(1);
  expect(seconds(one)).toBe(0);
});

describe('one-shots before the old containers are replaced', () => {
  const depending = {
    compose: {
      name: 'fedi',
      services: {
        caddy: { networks: { front: {} } },
        web: { networks: { front: {}, back: {} } },
        worker: { networks: { back: {} } },
        database: { networks: { back: {} } },
        setup: { restart: 'no', depends_on: { database: {} }, networks: { back: {} } },
      },
    },
  } as unknown as RenderedSite;
  /** What Compose starts, with the time in seconds, and the time of the end. */
  const replace = async (job: Partial<Container>, ...names: string[]): Promise<string[]> => {
    const clock = new FakeClock();
    const engine = fakeEngine({
      clock,
      containers: (at) => [
        like(web, { health: at < 60 ? 'starting' : 'healthy' }),
        at < 30 ? like(setup, { state: 'running' }) : like(setup, job),
      ],
    });
    const started: string[] = [];
    const now = (): number => Math.round(clock.now() / 1000);
    const { compose } = engine;
    const counting = Object.assign(engine, {
      compose: async (...call: Parameters<typeof compose>) => {
        started.push(`${call[1].slice(4).join(' ')} at ${now()}`);
        return compose(...call);
      },
    });
    await replaceAfterJobs(counting, '/srv/fedi', depending, names, fakeProgress(), clock);
    return [...started, `end at ${now()}`];
  };
  test('the job, then what serves; the rest is for `up`', async () => {
    expect(await replace({}, 'web', 'worker', 'setup')).toEqual(['setup at 0', 'web at 30', 'end at 60']);
  });
  test('a job that fails replaces nothing', async () => {
    expect(await replace({ exitCode: 1 }, 'web', 'setup')).toEqual(['setup at 0', 'end at 30']);
  });
  test('not without a job, nor if its server is replaced too', async () => {
    expect(await replace({}, 'web')).toEqual(['end at 0']);
    expect(await replace({}, 'web', 'setup', 'database')).toEqual(['end at 0']);
  });
});

test('leftovers are our services that the site no longer has, never the administrator’s', () => {
  const without = {
    compose: { name: 'fedi', services: { caddy: {}, snac: {} } },
  } as unknown as RenderedSite;
  const containers = ['caddy', 'snac', 'mail', 'pixelfed_web', 'edge-proxy', 'backup'].map((name) =>
    fakeContainer(name),
  );
  expect(leftovers(containers, without)).toEqual(['mail', 'pixelfed_web']);
});

describe('unhealthy', () => {
  const unhealthy = like(mail, {
    health: 'unhealthy',
    healthLog: [
      { exitCode: 1, output: 'connection refused\n' },
      { exitCode: -1, output: 'Health check exceeded timeout (5s)' },
    ],
  });

  test.each([5, 120, 590])('for %i seconds, then healthy: waits, and reports it', async (until) => {
    const one = world({ containers: (at) => [web, at < until ? unhealthy : mail, setup] });
    await one.start();
    expect(seconds(one)).toBeGreaterThanOrEqual(until);
    expect(one.updates).toContain('mail (not healthy yet)');
  });

  test('forever: the error shows the output of the health check and of the container', async () => {
    const one = world({
      containers: (_, n) => (n === 0 ? [] : [web, unhealthy, setup]),
      logs: (id) => `log of ${id}`,
    });
    const { exit, message, log } = await problemFrom(one.start);
    expect([exit, message]).toEqual([1, 'The container mail is still unhealthy.']);
    expect(log).toContain('exit code 1: connection refused');
    expect(log).toContain('Health check exceeded timeout (5s)');
    expect(log).toContain('log of mail');
    expect(seconds(one)).toBeGreaterThanOrEqual(10 * MINUTE);
    expect(seconds(one)).toBeLessThan(11 * MINUTE);
  });

  test('progress of another container moves the deadline', async () => {
    const names = ['alpha', 'beta', 'gamma', 'delta'];
    const one = world({
      containers: (at) => [
        like(web, { health: at < 25 * MINUTE ? 'starting' : 'healthy' }),
        at < 26 * MINUTE ? unhealthy : mail,
        setup,
      ],
      logs: (id, at) => (id === 'web' ? `migrating ${names[Math.floor(at / (8 * MINUTE))]}` : ''),
    });
    await one.start();
    expect(seconds(one)).toBeGreaterThanOrEqual(26 * MINUTE);
  });

  describe('a job that prints nothing', () => {
    const running = like(setup, { state: 'running' });
    const database = fakeContainer('database');
    const withJob = {
      compose: {
        name: 'fedi',
        services: { web: {}, database: {}, setup: { restart: 'no', depends_on: { database: {} } } },
      },
    } as unknown as RenderedSite;
    const waits = (until: number, cpu: (id: string, at: number) => number): Promise<[number, unknown]> => {
      const clock = new FakeClock();
      const engine = fakeEngine({
        clock,
        containers: (at) => [web, database, at < until ? running : setup],
        cpuSeconds: cpu,
      });
      const ended = bringUp(engine, '/srv/fedi', withJob, fakeProgress(), clock);
      return ended.then(
        () => [Math.round(clock.now() / 1000), undefined],
        (error: unknown) => [Math.round(clock.now() / 1000), error],
      );
    };

    test.each([
      ['it', 'setup'],
      ['its database', 'database'],
    ])('for three hours, while %s uses the processor: waits', async (_, busy) => {
      const [at, error] = await waits(180 * MINUTE, (id, now) => (id === busy ? now / 2 : 0));
      expect(error).toBeUndefined();
      expect(at).toBeGreaterThanOrEqual(180 * MINUTE);
    });

    test('and uses no processor, whatever other services do: an error after ten minutes', async () => {
      const [at, error] = await waits(180 * MINUTE, (id, now) => (id === 'web' ? now : now / 100));
      expect(error).toMatchObject({
        message: 'The job setup is still not ready, and has hardly used the processor for ten minutes.',
        means: expect.stringContaining('another session may hold a lock'),
      });
      expect(at).toBeLessThan(12 * MINUTE);
    });
  });

  test('lines that differ only in numbers are no progress', async () => {
    const one = world({
      containers: () => [web, like(unhealthy, { health: 'starting' }), setup],
      logs: (_, at) => `12:${at} [${at}] FATAL: no such role`,
    });
    expect((await problemFrom(one.start)).message).toBe('The container mail is still not ready.');
    expect(seconds(one)).toBeLessThan(12 * MINUTE);
  });

  test('endless new lines do not extend the wait forever', async () => {
    const word = (at: number): string =>
      [...String(Math.round(at))].map((digit) => 'klmnopqrst'[Number(digit)]).join('');
    const one = world({ containers: () => [web, unhealthy, setup], logs: (_, at) => word(at) });
    await problemFrom(one.start);
    expect(seconds(one)).toBeLessThan(65 * MINUTE);
  });

  test.each(['exited', 'removing', 'created'] as const)(
    'is ignored for a container that is %s',
    async (state) => {
      const one = world({ containers: (at) => [web, at < 20 ? like(unhealthy, { state }) : mail, setup] });
      await one.start();
    },
  );

  test('since before this run: restarts it after half a minute, once', async () => {
    let at = 0;
    const one = world({
      containers: (now) => [
        web,
        one.engine.calls.some((call) => call.endsWith('restart mail'))
          ? like(mail, { startedAt: 'later' })
          : ((at = now), unhealthy),
        setup,
      ],
    });
    await one.start();
    expect(at).toBeGreaterThanOrEqual(30);
    expect(one.engine.calls.filter((call) => call.includes('restart'))).toHaveLength(1);
  });
});

describe('`up` fails', () => {
  test.each([
    'dependency failed to start: container fedi-mail-1 is unhealthy',
    'Error response from daemon: removal of container 0123 is already in progress',
    'Error response from daemon: Conflict. The container name "/0123456789ab_fedi-web-1" is already in use by container "45"',
    'Error response from daemon: No such container: 0123',
  ])('%s: repeated until it succeeds', async (stderr) => {
    const one = world({
      containers: (_, n) => (n < 3 ? [web] : [web, mail, setup]),
      up: (n) => (n < 3 ? failed(stderr) : { code: 0, stdout: '', stderr: '' }),
    });
    await one.start();
    expect(ups(one)).toBe(3);
  });

  test('because of an unhealthy container: repeated when it is healthy', async () => {
    const one = world({
      containers: (at, n) => [
        web,
        at < 20 ? like(mail, { health: 'unhealthy' }) : mail,
        ...(n < 2 ? [] : [setup]),
      ],
      up: (n) =>
        n < 2
          ? failed('dependency failed to start: container fedi-mail-1 is unhealthy')
          : { code: 0, stdout: '', stderr: '' },
    });
    await one.start();
    expect([ups(one), seconds(one)]).toEqual([2, 20]);
  });

  test.each([
    ['failed to bind host port 127.0.0.1:443/tcp: address already in use', /Another program took the port/],
    ['service "web" refers to undefined network x', /files are in place/],
    ['pool overlaps with other one on this address space', /addresses/],
  ])('%s: final at once', async (stderr, means) => {
    const one = world({ containers: () => [], up: () => failed(stderr) });
    const problem = await problemFrom(one.start);
    expect(problem.message).toContain(stderr);
    expect(problem.means).toMatch(means);
    expect([ups(one), seconds(one)]).toEqual([1, 0]);
  });

  test('because of a service from the override file that stays unhealthy: the error names it', async () => {
    const own = fakeContainer('own', { health: 'unhealthy' });
    const one = world({
      containers: () => [web, mail, setup, own],
      up: () => failed('dependency failed to start: container fedi-own-1 is unhealthy'),
    });
    expect((await problemFrom(one.start)).message).toBe('The container own is still unhealthy.');
  });

  test('forever: repeated with growing pauses', async () => {
    const one = world({ containers: () => [], up: () => failed('No such container: 0123') });
    const { message, log } = await problemFrom(one.start);
    expect(message).toBe('The containers did not start: No such container: 0123');
    expect(log).toBe('No such container: 0123');
    expect(ups(one)).toBeLessThan(40);
  });
});

describe('ends at once on a failure that waiting cannot fix, even while `up` waits', () => {
  // prettier-ignore
  const rows: [name: string, failing: Container, words: RegExp][] = [
    ['a one-shot that failed', like(setup, { exitCode: 3 }), /setup exited with code 3/],
    ['a one-shot without memory', like(setup, { exitCode: 137, oomKilled: true }), /setup was killed by the kernel: out of memory/],
    ['a process that keeps crashing', like(mail, { state: 'restarting', restarts: 3, exitCode: 78 }), /mail keeps restarting, with exit code 78/],
    ['a container that is paused', like(mail, { state: 'paused' }), /mail is paused/],
    ['a container that is dead', like(mail, { state: 'dead' }), /mail is dead/],
  ];
  test.each(rows)('%s', async (_, failing, words) => {
    const one = world({
      containers: (at, n) =>
        n === 0
          ? []
          : [web, mail, setup].map((healthy) => (at > 3 && healthy.id === failing.id ? failing : healthy)),
      up: (_n, ended) => endless(ended),
    });
    expect((await problemFrom(one.start)).message).toMatch(words);
    expect(seconds(one)).toBeLessThan(6);
  });

  test('ignores containers of an earlier run until `up` has finished', async () => {
    const old = like(setup, { exitCode: 1 });
    const one = world({
      containers: (at) => [web, mail, at < 5 ? old : like(setup, { startedAt: 'later' })],
      up: async () => {
        await one.clock.delay(10_000);
        return { code: 0, stdout: '', stderr: '' };
      },
    });
    await one.start();
  });

  test('restarts before this run do not count', async () => {
    const one = world({
      containers: (at) => [
        web,
        like(
          mail,
          at < 5
            ? { state: 'restarting', restarts: 9, exitCode: 1, startedAt: String(at) }
            : { restarts: 10 },
        ),
        setup,
      ],
    });
    await one.start();
  });

  test('a process that exits with 0 and is restarted did not crash', async () => {
    const one = world({
      containers: (at) => [
        web,
        like(mail, at < 30 ? { state: 'restarting', restarts: 4 } : { restarts: 5 }),
        setup,
      ],
    });
    await one.start();
  });

  test('an engine that stops answering', async () => {
    const one = world({
      containers: (at) => {
        if (at > 1) throw new Error('gone');
        return [];
      },
      up: (_, ended) => endless(ended),
    });
    await expect(one.start()).rejects.toThrow('gone');
  });
});

test('runs `up` again for a container that was stopped or removed meanwhile', async () => {
  for (const gone of [[], [like(mail, { state: 'exited' as const, exitCode: 137 })]]) {
    const one = world({ containers: (_, n) => [web, setup, ...(n < 2 ? gone : [mail])] });
    await one.start();
    expect(ups(one)).toBe(2);
  }
});

test('removes a container first that a killed `up` left half replaced', async () => {
  const half = fakeContainer('web', { id: 'half', name: '0123456789ab_fedi-web-1', state: 'created' });
  const one = world({ containers: () => [half, web, mail, setup] });
  await one.start();
  expect(one.engine.calls.slice(0, 2)).toEqual(['0 remove half', '0 up']);
});

describe('stale', () => {
  const folder = tempFolder();
  const labels = { 'com.docker.compose.project.working_dir': realpathSync(folder) };
  const current = [web, mail, setup].map((container) => like(container, { labels }));

  test.each<[string, Container[], string[]]>([
    ['none', current, []],
    ['one that is missing', current.slice(1), ['web']],
    ['one that is unhealthy', [...current.slice(1), like(web, { labels, health: 'unhealthy' })], ['web']],
    [
      'one with a half replaced duplicate',
      [...current, fakeContainer('web', { id: 'half', name: '0123456789ab_fedi-web-1', state: 'created' })],
      ['web'],
    ],
    [
      'one that runs under its temporary name',
      [...current.slice(1), like(web, { labels, name: '0123456789ab_fedi-web-1' })],
      ['web'],
    ],
  ])('%s', async (_, containers, services) => {
    expect(await stale(containers, folder, site)).toEqual(services);
  });

  test('a completed one-shot whose container was pruned is needed only if a service waits for it', async () => {
    const waiting = {
      compose: {
        ...site.compose,
        services: {
          ...site.compose.services,
          web: { depends_on: { setup: { condition: 'service_completed_successfully' } } },
        },
      },
    } as unknown as RenderedSite;
    const pruned = current.slice(0, 2);
    expect(await stale(pruned, folder, waiting)).toEqual([]);
    expect(await stale(pruned.slice(1), folder, waiting)).toEqual(['web', 'setup']);
    // Nothing shows that it ever ran.
    expect(await stale(pruned, folder, site)).toEqual(['setup']);
  });
});

test('runs no health checks while it waits: Docker runs them often enough', async () => {
  const one = world({
    containers: (at) => [like(web, { health: at < 9 ? 'starting' : 'healthy' }), mail, setup],
  });
  await one.start();
  expect(seconds(one)).toBe(9);
  expect(one.engine.calls.filter((call) => call.includes('exec'))).toEqual([]);
});
