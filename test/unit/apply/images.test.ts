/** Lock entries of images on the host. */
import { describe, expect, test } from 'vitest';
import { lockOf } from '../../../wizard/apply/images.ts';
import type { Engine, Image, Published } from '../../../wizard/docker/engine.ts';
import { EXIT, Problem } from '../../../wizard/problem.ts';
import { problemFrom } from '../../support/problem.ts';

const WANTED = {
  caddy: { reference: 'caddy:1' },
  web: { reference: 'app:1' },
  valkey: { reference: 'valkey:1' },
  gone: { reference: 'gone:1' },
};
const locked = (...ids: string[]): Parameters<typeof lockOf>[2] =>
  Object.fromEntries(
    Object.entries(WANTED).map(([name, { reference }], i) => [
      name,
      { tag: reference, id: ids[i] ?? 'sha256:0', source: 'loaded' as const },
    ]),
  );
const engine = {
  image: async (reference: string) => (reference === 'gone:1' ? undefined : { id: 'sha256:0', digests: [] }),
} as unknown as Engine;

test('unchanged images', async () => {
  expect(await lockOf(engine, WANTED, locked())).toMatchObject({ missing: ['gone'] });
});

test.each([
  [['sha256:1'], 'caddy:1 now names another image than the one this site runs.', 'the entry caddy from'],
  [
    ['sha256:1', 'sha256:2', 'sha256:0'],
    'caddy:1, app:1 now name other images than those this site runs.',
    'the entries caddy, web from',
  ],
])('names all changed images at once: %j', async (ids, message, next) => {
  const problem = await problemFrom(() => lockOf(engine, WANTED, locked(...ids)));
  expect([problem.exit, problem.message, problem.next]).toEqual([3, message, expect.stringContaining(next)]);
});

describe('lock entries', () => {
  const TAG = 'ghcr.io/a/b:1';
  const NAMED = (digest: string): string[] => [`ghcr.io/a/b@${digest}`];
  /** In the classic store the id is the hash of the image's configuration; in containerd's it is the digest. */
  const classic: Image = { id: 'sha256:c', digests: NAMED('sha256:d') };
  const containerd: Image = { id: 'sha256:d', digests: NAMED('sha256:d') };
  const unreached = (): never => {
    throw new Problem(EXIT.PREFLIGHT, 'The registry could not be reached.');
  };
  const entry = async (
    image: Image,
    spec: { build?: string } = {},
    registry: () => Published | undefined = unreached,
    pulled: string[] = [],
    lock: Parameters<typeof lockOf>[2] = {},
  ): Promise<unknown> => {
    const fake = { image: async () => image, findInRegistry: async () => registry() } as unknown as Engine;
    const wanted = { one: { reference: TAG, ...spec } };
    return (await lockOf(fake, wanted, lock, new Set(pulled))).lock['one'];
  };
  const has = (digest: string) => (): Published => ({ digest, platforms: [] });
  const loaded = (id: string, source = 'loaded'): unknown => ({ tag: TAG, id, source });

  test.each([
    ['pulled, classic store', () => entry(classic), { tag: TAG, digest: 'sha256:d' }],
    ['loaded, classic store', () => entry({ id: 'sha256:c', digests: [] }), loaded('sha256:c')],
    ['pulled by this run', () => entry(containerd, {}, unreached, ['one']), { tag: TAG, digest: 'sha256:d' }],
    [
      'pulled earlier: the registry has it',
      () => entry(containerd, {}, has('sha256:d')),
      { tag: TAG, digest: 'sha256:d' },
    ],
    [
      'pulled, as the engine knows',
      () => entry({ ...containerd, pulled: true }),
      { tag: TAG, digest: 'sha256:d' },
    ],
    [
      'loaded, as the engine knows',
      () => entry({ ...containerd, pulled: false }, {}, has('sha256:d')),
      loaded('sha256:d'),
    ],
    [
      'loaded: the registry has another one',
      () => entry(containerd, {}, has('sha256:e')),
      loaded('sha256:d'),
    ],
    ['loaded: the registry wants a log-in', () => entry(containerd, {}, () => undefined), loaded('sha256:d')],
    ['loaded: no registry is reached', () => entry(containerd), loaded('sha256:d')],
    ['built here', () => entry(containerd, { build: 'b' }, has('sha256:d')), loaded('sha256:d', 'built')],
    [
      'built here and locked by digest before',
      () => entry(containerd, { build: 'b' }, unreached, [], { one: { tag: TAG, digest: 'sha256:x' } }),
      loaded('sha256:d', 'built'),
    ],
  ])('%s', async (_, made, expected) => expect(await made()).toEqual(expected));
});

describe('an image for another processor', () => {
  const look = (digests: string[], pulled: string[] = [], lock: Parameters<typeof lockOf>[2] = {}) => {
    const fake = {
      image: async (): Promise<Image> => ({ id: 'sha256:0', digests, architecture: 'arm64' }),
      info: async () => ({ architecture: 'amd64' }),
      findInRegistry: async () => undefined,
    } as unknown as Engine;
    return lockOf(fake, { one: { reference: 'a/b:1' } }, lock, new Set(pulled));
  };

  test('loaded, or just pulled: refused', async () => {
    for (const [digests, pulled] of [
      [[], []],
      [['a/b@sha256:1'], ['one']],
    ] as const) {
      const problem = await problemFrom(() => look([...digests], [...pulled]));
      expect([problem.exit, problem.message]).toEqual([3, 'a/b:1 is for arm64, but this machine is amd64.']);
    }
  });
  test('pulled before: pulled again', async () => {
    expect((await look(['a/b@sha256:1'])).missing).toEqual(['one']);
  });
  test('one that the site runs stays, by emulation', async () => {
    const lock = { one: { tag: 'a/b:1', id: 'sha256:0', source: 'loaded' as const } };
    expect((await look([], [], lock)).lock).toEqual(lock);
  });
});
