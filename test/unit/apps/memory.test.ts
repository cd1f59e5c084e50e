/** Apps on one host share its memory. */
import { expect, test } from 'vitest';
import { APP_IDS, appOf, memoryFor } from '../../../wizard/apps/index.ts';
import { sizeFor } from '../../../wizard/apps/mastodon/size.ts';

test('alone an app has it all; together they have no more than there is, each in proportion', () => {
  for (const id of APP_IDS) expect(memoryFor(id, { apps: id }, 8192)).toBe(8192);
  const shares = APP_IDS.map((id) => memoryFor(id, { apps: APP_IDS.join(',') }, 8192));
  expect(shares.reduce((sum, one) => sum + one, 0)).toBeCloseTo(8192);
  APP_IDS.forEach((id, i) =>
    expect((shares[i] as number) / (shares[0] as number)).toBeCloseTo(
      appOf(id).minimum.memoryMiB / appOf(APP_IDS[0] as 'snac').minimum.memoryMiB,
    ),
  );
});

test.each([
  [900, '2gb'],
  [3800, '4gb'],
  [7900, '8gb'],
  [64_000, '16gb'],
])('%i MiB are %s', (memory, size) => expect(sizeFor(memory)).toBe(size));
