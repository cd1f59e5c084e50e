/** What the lock says of the images that are on the host. */
import { expect, test } from 'vitest';
import { lockOf } from '../../../wizard/apply/images.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
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

test('images that are what they were', async () => {
  expect(await lockOf(engine, WANTED, locked())).toMatchObject({ missing: ['gone'] });
});

test.each([
  [['sha256:1'], 'caddy:1 is another image now than the one this site runs on.', 'the entry caddy from'],
  [
    ['sha256:1', 'sha256:2', 'sha256:0'],
    'caddy:1, app:1 are other images now than those this site runs on.',
    'the entries caddy, web from',
  ],
])('all that are others now are named at once: %j', async (ids, message, next) => {
  const problem = await problemFrom(() => lockOf(engine, WANTED, locked(...ids)));
  expect([problem.exit, problem.message, problem.next]).toEqual([3, message, expect.stringContaining(next)]);
});
