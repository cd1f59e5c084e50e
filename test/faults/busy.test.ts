/** A busy host: 20 processes use its processors, and a first run and a change still succeed. */
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { keepBusy } from '../support/faults.ts';
import { mastodonSite, openProofs } from '../support/mastodon-site.ts';
import { testSite } from '../support/site.ts';
import type { TestSite } from '../support/site.ts';

const PROCESSES = 20;
const PATIENCE_MS = 40 * 60_000;

const snac = testSite('busy', 168);
const mastodon = mastodonSite('busy-mastodon', 169);
afterAll(() => {
  snac.remove();
  mastodon.remove();
});

let stop: () => void;
beforeEach(() => {
  stop = keepBusy(PROCESSES);
});
afterEach(() => stop());

async function expectProven(site: TestSite, mode: string): Promise<void> {
  const run = await site.apply([], { env: { ...site.env, FEDI_MAIL_MODE: mode } });
  expect([run.code, run.stderr, openProofs(run)]).toEqual([0, '', []]);
  expect(run.events.at(-1)).toMatchObject({ event: 'end', proven: true });
}

test('snac: a first run with the mail catcher, and a change', { timeout: PATIENCE_MS }, async () => {
  await expectProven(snac, 'catcher');
  await expectProven(snac, 'none');
});

test('Mastodon: a first run with the mail catcher', { timeout: PATIENCE_MS }, () =>
  expectProven(mastodon, 'catcher'),
);
