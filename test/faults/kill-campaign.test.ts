/**
 * Kills at random moments, in every kind of run: 10 for each site (KILLS=100 for more); SEED selects other moments; CAMPAIGN=snac or
 * CAMPAIGN=mastodon for one site only.
 */
import { afterAll, expect, test } from 'vitest';
import { campaign, mastodonKinds, snacKinds } from '../support/campaign.ts';
import { accountsIn, mastodonSite } from '../support/mastodon-site.ts';
import { IMAGES, testSite } from '../support/site.ts';
import type { TestSite } from '../support/site.ts';

const KILLS = Number(process.env['KILLS'] ?? 10);
const SEED = Number(process.env['SEED'] ?? 20261128);
const only = process.env['CAMPAIGN'];
const note = (line: string): unknown => process.stderr.write(`${line}\n`);
const HOURS_MS = 12 * 3_600_000;

const sites: TestSite[] = [];
afterAll(() => {
  for (const site of sites) site.remove();
});
/** Created on demand: another campaign may run at the same time. */
function keep(site: TestSite): TestSite {
  sites.push(site);
  return site;
}

test.skipIf(only === 'mastodon')(`snac, ${KILLS} kills`, { timeout: HOURS_MS }, async () => {
  const snac = keep(testSite('campaign', 165));
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
  const mastodon = keep(mastodonSite('campaign-mastodon', 166));
  const kinds = mastodonKinds(mastodon, added);
  const counts = await campaign({ site: mastodon, kinds, accounts: accountsIn, seed: SEED, note }, KILLS);
  console.log(JSON.stringify(counts));
  expect(Object.values(counts).length).toBeGreaterThan(0);
});
