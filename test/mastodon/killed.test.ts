/** A first run of Mastodon that is killed: the tool at every point of its way, and PostgreSQL while it makes its cluster. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fault, foreverOf, leftovers, oneShots, secretsOf, until } from '../support/faults.ts';
import { accountsIn, mastodonLogsIn, mastodonSite, openProofs } from '../support/mastodon-site.ts';
import { attempt } from '../support/acme.ts';
import { docker } from '../support/site.ts';
import type { Run, TestSite } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

const scratch = mkdtempSync(join(tmpdir(), 'fedi-killed-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const shownBy = (run: Run): string | undefined =>
  run.events.find(({ event }) => event === 'admin')?.['password'] as string | undefined;

/** What has to be true of a site whose first run is over at last. */
async function expectWhole(site: TestSite, run: Run, shown: string | undefined): Promise<void> {
  expect(run.stderr).toBe('');
  expect(openProofs(run)).toEqual([]);
  expect(run.code).toBe(0);
  expect(accountsIn(site)).toEqual(['anna']);
  const kept = secretsOf(site.folder)['mastodon.admin']?.value ?? '';
  expect(shownBy(run) ?? shown).toBe(kept);
  expect(await mastodonLogsIn(site, kept)).toBe(true);
  expect(leftovers(site.folder)).toEqual([]);
  await until('one-shot containers are gone', () => oneShots(site).length === 0);
}

/**
 * Between the end of a step and the start of the next nothing happens: the start stands for both. Proofs change nothing on the host,
 * so one stands for all. Of the files that are renamed alike, these stand for the rest.
 */
const SKIP =
  /^any line|^line step \S+ (done|already)$|^line proof|^line step prove\.(?!mastodon\.(login|tidy) )|^rename (?!(done )?(compose\.yaml|secrets\.json|commit\.json|manifest\.json|own-files|receipt|mastodon\.env)$)/;

describe.sequential('a first run that is killed', { timeout: PATIENCE_MS }, () => {
  test('at every point in turn, each run going on from there, comes to its receipt', async () => {
    const site = mastodonSite('killed', 72);
    try {
      const once = join(scratch, 'died');
      writeFileSync(once, '');
      let forever: Record<string, string> = {};
      let shown: string | undefined;
      let run: Run;
      for (;;) {
        run = await site.apply([], { env: fault(site.env, { once, skip: SKIP }) });
        if (run.signal !== 'SIGKILL') break;
        shown = shownBy(run) ?? shown;
        expect(foreverOf(site.folder)).toMatchObject(forever);
        forever = foreverOf(site.folder);
      }
      // The kinds that were met: a hook that no longer finds them would kill nothing.
      const died = readFileSync(once, 'utf8').trim().split('\n');
      expect(died).toEqual(
        expect.arrayContaining([
          'line begin',
          'rename secrets.json',
          'rename done secrets.json',
          'line step seal.mastodon start',
          'rename commit.json',
          'rename done commit.json',
          'rename done mastodon.env',
          'start docker compose up',
          'line step mastodon.seeds start',
          'line act mastodon.owner',
          'line acted mastodon.owner',
          'line act mastodon.settings',
          'line acted mastodon.settings',
          'line step prove.mastodon.login start',
          'rename done receipt',
          'line admin',
          'line end',
        ]),
      );
      await expectWhole(site, run, shown);
    } finally {
      site.remove();
    }
  });

  // Both leave a cluster that looks like one and is none.
  for (const { when, process, hold } of [
    // By then initdb has written PG_VERSION.
    { when: 'while initdb fills the folder', process: /postgres --(check|boot|single)/, hold: false },
    { when: 'while the server runs that makes role and database', process: /sleep infinity/, hold: true },
  ])
    test(`PostgreSQL, ${when}: the next run comes to the receipt`, async () => {
      const site = mastodonSite('initdb', 73);
      try {
        const override = join(site.folder, 'compose.override.yaml');
        if (hold) {
          const script = join(scratch, 'hold.sh');
          writeFileSync(script, 'sleep infinity\n');
          mkdirSync(site.folder);
          writeFileSync(
            override,
            `services: { mastodon_db: { volumes: ["${script}:/docker-entrypoint-initdb.d/hold.sh:ro"] } }\n`,
          );
        }
        const database = `${site.name}-mastodon_db-1`;
        let killed = false;
        const first = await site.apply([], {
          onEvent: ({ id, state }) => {
            if (id !== 'up' || state !== 'start') return;
            void until(when, () => {
              if (!process.test(attempt('top', database, '-eo', 'pid,args') ?? '')) return false;
              docker('kill', '--signal', 'KILL', database);
              return (killed = true);
            });
          },
        });
        expect(killed).toBe(true);
        expect(first.code).toBe(1);
        expect(first.stderr).toMatch(/Next: /);
        rmSync(override, { force: true });
        const kept = foreverOf(site.folder);
        const second = await site.apply();
        await expectWhole(site, second, shownBy(first));
        expect(foreverOf(site.folder)).toEqual(kept);
      } finally {
        site.remove();
      }
    });
});
