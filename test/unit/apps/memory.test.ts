/** Apps on one host share its memory and its cores. */
import { expect, test } from 'vitest';
import { APP_IDS, appOf, appsIn, shareOf, loadsOf } from '../../../wizard/apps/index.ts';
import { sizeFor } from '../../../wizard/apps/mastodon/size.ts';

test('a single app gets all memory; several share it in proportion', () => {
  const host = { memoryMiB: 8192, cores: 4 };
  for (const id of APP_IDS) expect(shareOf(id, [{ id }], host)).toEqual(host);
  const all = APP_IDS.map((id) =>
    shareOf(
      id,
      APP_IDS.map((one) => ({ id: one })),
      host,
    ),
  );
  const shares = all.map(({ memoryMiB }) => memoryMiB);
  // snac, which needs little, and two apps that share the memory.
  expect(all.map(({ cores }) => cores)).toEqual([4, 2, 2]);
  expect(shares.reduce((sum, one) => sum + one, 0)).toBeCloseTo(8192);
  APP_IDS.forEach((id, i) =>
    expect((shares[i] as number) / (shares[0] as number)).toBeCloseTo(
      appOf(id).minimum.memoryMiB / appOf(APP_IDS[0] as 'snac').minimum.memoryMiB,
    ),
  );
});

test.each([
  [900, 1, '2gb'],
  [3800, 1, '4gb'],
  [7900, 2, '4gb'],
  [7900, 3, '8gb'],
  [7900, 1, '4gb'],
  [64_000, 4, '16gb'],
  [64_000, 2, '4gb'],
])('%i MiB and %i cores are %s', (memoryMiB, cores, size) =>
  expect(sizeFor({ memoryMiB, cores })).toBe(size),
);

test('the sum of memory matches the tuning of each app', () => {
  expect(
    loadsOf(
      appsIn({
        apps: 'snac,mastodon,pixelfed',
        'apps.mastodon.size': '8gb',
        'apps.mastodon.sidekiq': 'split',
        'apps.pixelfed.size': '2gb',
      }),
    ),
  ).toEqual([
    { id: 'snac', memoryMiB: 256, processes: 1 },
    { id: 'mastodon', memoryMiB: 7000, processes: 6 },
    { id: 'pixelfed', memoryMiB: 1900, processes: 9 },
  ]);
});
