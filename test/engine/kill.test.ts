/** A few kills of the campaign in test/faults/kill-campaign.test.ts: kill -9 during `docker compose up`, then one more run. */
import { afterAll, expect, test } from 'vitest';
import { campaign, snacKinds } from '../support/campaign.ts';
import { testSite } from '../support/site.ts';

const site = testSite('killed', 167);
afterAll(() => site.remove());

test('snac, killed during a rotation: the next run completes it', async () => {
  const kinds = snacKinds(site).filter(({ name }) => name !== 'change');
  expect(Object.keys(await campaign({ site, kinds, seed: 4 }, 2))).not.toEqual([]);
});
