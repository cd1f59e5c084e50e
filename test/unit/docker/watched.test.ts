/** An engine that stops while it is used: the same Problem for every call. */
import { describe, expect, test, vi } from 'vitest';
import { watched } from '../../../wizard/docker/docker.ts';
import { EngineGone } from '../../../wizard/docker/engine.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { EXIT, Problem } from '../../../wizard/problem.ts';
import { problemFrom } from '../../support/problem.ts';

const SOCKET = 'unix:///var/run/docker.sock';
const METHODS = [
  'image',
  'findInRegistry',
  'pull',
  'build',
  'volume',
  'createVolume',
  'removeVolume',
  'removeVolumes',
  'networks',
  'removeNetworks',
  'removeContainer',
  'containers',
  'listed',
  'logs',
  'exec',
  'run',
  'compose',
  'composeAttached',
] as const;

/** An engine whose methods all do the same. */
const engineThat = (work: () => unknown): Engine =>
  watched(
    Object.fromEntries(['info', ...METHODS].map((name) => [name, async () => work()])) as unknown as Engine,
    SOCKET,
  );
const ask = (engine: Engine, method: (typeof METHODS)[number]): Promise<unknown> =>
  (engine[method] as () => Promise<unknown>)();

const system = (code: string): Error =>
  Object.assign(new Error(`connect ${code} /var/run/docker.sock`), { code });
const thrower = (error: Error) => () => {
  throw error;
};

test.each(METHODS)('%s', async (method) => {
  const problem = await problemFrom(() => ask(engineThat(thrower(system('ECONNREFUSED'))), method));
  expect(problem).toBeInstanceOf(EngineGone);
  expect([problem.exit, problem.message]).toEqual([
    EXIT.PREFLIGHT,
    'The Docker engine at /var/run/docker.sock stopped answering.',
  ]);
});

test.each(['image', 'volume', 'networks', 'containers', 'listed', 'logs'] as const)(
  '%s ends with the same Problem if the engine hangs',
  async (method) => {
    vi.useFakeTimers();
    try {
      const asked = problemFrom(() =>
        ask(
          engineThat(() => new Promise(() => undefined)),
          method,
        ),
      );
      await vi.advanceTimersByTimeAsync(10 * 60_000);
      const problem = await asked;
      expect(problem).toBeInstanceOf(EngineGone);
      expect(problem.means).toMatch(/hangs \(no answer within 120 s\)/);
    } finally {
      vi.useRealTimers();
    }
  },
);

describe('errors that mean the engine is gone', () => {
  test.each([
    ['the socket is gone', thrower(system('ENOENT'))],
    ['nobody listens', thrower(system('ECONNREFUSED'))],
    ['a connection that breaks', thrower(system('ECONNRESET'))],
    [
      'a request into a broken connection',
      thrower(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })),
    ],
    ['an incomplete reply', thrower(new Error('socket hang up'))],
    [
      'the message of `docker`',
      () => ({
        code: 1,
        stdout: '',
        stderr:
          'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n',
      }),
    ],
    [
      'its message during a request',
      () => ({ code: 1, stdout: '', stderr: 'error during connect: Get "http://…": EOF' }),
    ],
    [
      'a Problem with its message',
      thrower(
        new Problem(
          EXIT.PREFLIGHT,
          'The image x could not be pulled: Cannot connect to the Docker daemon at unix:///x.',
        ),
      ),
    ],
  ])('%s', async (_, work) => {
    expect(await problemFrom(() => ask(engineThat(work), 'run'))).toBeInstanceOf(EngineGone);
  });
});

describe('errors that do not', () => {
  test('a failure of the program', async () => {
    const output = { code: 1, stdout: '', stderr: 'curl: (7) connection refused' };
    expect(
      await ask(
        engineThat(() => output),
        'exec',
      ),
    ).toEqual(output);
  });

  test('a fault, or another Problem', async () => {
    for (const error of [new TypeError('x is undefined'), new Problem(EXIT.USAGE, 'Not like that.')])
      await expect(ask(engineThat(thrower(error)), 'containers')).rejects.toBe(error);
  });

  test('errors of `info` keep their own message', async () => {
    const error = system('ECONNREFUSED');
    await expect(engineThat(thrower(error)).info()).rejects.toBe(error);
  });
});
