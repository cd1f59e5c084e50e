/** A first run of Pixelfed that is killed: the tool at every point of its way, and the database while it is being made. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { attempt } from '../support/acme.ts';
import { foreverOf, leftovers, oneShots, secretsOf, until } from '../support/faults.ts';
import { accountsIn, openProofs, pixelfedSite } from '../support/pixelfed-site.ts';
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
  expect(leftovers(site.folder)).toEqual([]);
  await until('one-shot containers are gone', () => oneShots(site).length === 0);
}

describe.sequential('a first run that is killed', { timeout: PATIENCE_MS }, () => {
  // Each leaves a folder that looks like a database and is none.
  for (const { database, when, hold, reached } of [
    {
      database: 'mariadb',
      when: 'while its system tables are made',
      hold: undefined,
      reached: (container: string) =>
        Boolean(
          attempt('exec', container, 'find', '/var/lib/mysql', '-path', '*/mysql/*', '-print', '-quit'),
        ),
    },
    {
      database: 'mariadb',
      when: 'while the server runs that makes user and database',
      hold: '/usr/bin/mariadb-tzinfo-to-sql',
      reached: (container: string) =>
        attempt('top', container, '-eo', 'pid,args')?.includes('sleep infinity') ?? false,
    },
  ])
    test(`${database}, ${when}: the next run comes to the receipt`, async () => {
      const site = pixelfedSite('pixelfed-init', 121);
      try {
        const service = 'pixelfed_db';
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
