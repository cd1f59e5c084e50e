/** A first run of Pixelfed that is killed: the tool at every point of its way, and the database while it is being made. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { attempt } from '../support/acme.ts';
import { fault, foreverOf, leftovers, oneShots, secretsOf, until } from '../support/faults.ts';
import { accountsIn, openProofs, pixelfedLogsIn, pixelfedSite, sqlIn } from '../support/pixelfed-site.ts';
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
  const kept = secretsOf(site.folder)['pixelfed.admin']?.value ?? '';
  expect(shownBy(run) ?? shown).toBe(kept);
  expect(await pixelfedLogsIn(site, kept)).toBe(true);
  // What a second call would make again.
  expect(sqlIn(site, 'select count(*) from instance_actors')).toBe('1');
  expect(sqlIn(site, 'select count(*) from oauth_clients where personal_access_client')).toBe('1');
  expect(leftovers(site.folder)).toEqual([]);
  await until('one-shot containers are gone', () => oneShots(site).length === 0);
}

/**
 * Between the end of a step and the start of the next nothing happens: the start stands for both. Proofs change nothing on the host,
 * so one stands for all. Of the files that are renamed alike, these stand for the rest.
 */
const SKIP =
  /^any line|^line step \S+ (done|already)$|^line proof|^line step prove\.(?!(\w+\.)?(login|tidy) )|^rename (?!(done )?(compose\.yaml|secrets\.json|commit\.json|manifest\.json|own-files|receipt|pixelfed\.env)$)/;

describe.sequential('a first run that is killed', { timeout: PATIENCE_MS }, () => {
  test('at every point in turn, each run going on from there, comes to its receipt', async () => {
    const site = pixelfedSite('pixelfed-killed', 120);
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
          'line step seal.pixelfed start',
          'rename commit.json',
          'rename done commit.json',
          'rename done pixelfed.env',
          'start docker compose up',
          ...['files', 'link', 'actor', 'cities', 'ids', 'client'].map(
            (step) => `line step pixelfed.${step} start`,
          ),
          ...['actor', 'cities', 'ids', 'client', 'admin'].flatMap((step) => [
            `line act pixelfed.${step}`,
            `line acted pixelfed.${step}`,
          ]),
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

  // Each leaves a folder that looks like a database and is none.
  for (const { database, service, when, hold, reached } of [
    {
      database: 'mariadb',
      service: 'pixelfed_db',
      when: 'while its system tables are made',
      hold: undefined,
      reached: (container: string) =>
        Boolean(
          attempt('exec', container, 'find', '/var/lib/mysql', '-path', '*/mysql/*.frm', '-print', '-quit'),
        ),
    },
    {
      database: 'mariadb',
      service: 'pixelfed_db',
      when: 'while the server runs that makes user and database',
      hold: '/usr/bin/mariadb-tzinfo-to-sql',
      reached: (container: string) =>
        attempt('top', container, '-eo', 'pid,args')?.includes('sleep infinity') ?? false,
    },
    {
      database: 'postgresql',
      service: 'pixelfed_postgres',
      when: 'while initdb fills the folder',
      hold: undefined,
      // By then it has written PG_VERSION.
      reached: (container: string) =>
        /postgres --(check|boot|single)/.test(attempt('top', container, '-eo', 'pid,args') ?? ''),
    },
  ])
    test(`${database}, ${when}: the next run comes to the receipt`, async () => {
      const site = pixelfedSite('pixelfed-init', 121, { FEDI_PIXELFED_DATABASE: database });
      try {
        const override = join(site.folder, 'compose.override.yaml');
        if (hold !== undefined) {
          const script = join(scratch, 'hold');
          writeFileSync(script, '#!/bin/sh\nexec sleep infinity\n', { mode: 0o755 });
          mkdirSync(site.folder);
          writeFileSync(override, `services: { ${service}: { volumes: ["${script}:${hold}:ro"] } }\n`);
        }
        const container = `${site.name}-${service}-1`;
        let killed = false;
        const first = await site.apply([], {
          onEvent: ({ id, state }) => {
            if (id !== 'up' || state !== 'start') return;
            void until(when, () => {
              if (!reached(container)) return false;
              docker('kill', '--signal', 'KILL', container);
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
