/**
 * Kills at random moments, of every kind of run: 10 for each site, KILLS=100 for more; SEED for other moments; CAMPAIGN=snac or
 * CAMPAIGN=mastodon for one site only.
 */
import { afterAll, expect, test } from 'vitest';
import { campaign, mastodonKinds, snacKinds } from '../support/campaign.ts';
import { accountsIn, mastodonSite } from '../support/mastodon-site.ts';
import { IMAGES, testSite } from '../support/site.ts';

const KILLS = Number(process.env['KILLS'] ?? 10);
const SEED = Number(process.env['SEED'] ?? 20261128);
const only = process.env['CAMPAIGN'];
const note = (line: string): unknown => process.stderr.write(`${line}\n`);
const HOURS_MS = 12 * 3_600_000;

const snac = testSite('campaign', 165);
const mastodon = mastodonSite('campaign-mastodon', 166);
afterAll(() => {
  snac.remove();
  mastodon.remove();
});

test.skipIf(only === 'mastodon')(`snac, ${KILLS} kills`, { timeout: HOURS_MS }, async () => {
  const counts = await campaign({ site: snac, kinds: snacKinds(snac), seed: SEED, note }, KILLS);
  console.log(JSON.stringify(counts));
  expect(Object.values(counts).length).toBeGreaterThan(0);
});

test.skipIf(only === 'snac')(`Mastodon, ${KILLS} kills`, { timeout: HOURS_MS }, async () => {
  const added = {
    ...IMAGES,
    FEDI_SNAC_DOMAIN: 'snac.campaign-mastodon.fedi.test',
    FEDI_SNAC_ADMIN: 'anna',
    FEDI_SNAC_EMAIL: 'anna@fedi.test',
  };
  const kinds = mastodonKinds(mastodon, added);
  const counts = await campaign({ site: mastodon, kinds, accounts: accountsIn, seed: SEED, note }, KILLS);
  console.log(JSON.stringify(counts));
  expect(Object.values(counts).length).toBeGreaterThan(0);
});
