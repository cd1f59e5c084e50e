/**
 * A first run of Mastodon and of Pixelfed that is killed: the tool at every step of the app, and the database during its
 * first initialisation. kill.test.ts has the points that all apps share.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { attempt } from '../support/acme.ts';
import { fault, foreverOf, leftovers, oneShots, secretsOf, until } from '../support/faults.ts';
import * as mastodon from '../support/mastodon-site.ts';
import * as pixelfed from '../support/pixelfed-site.ts';
import { docker } from '../support/site.ts';
import type { Run, TestSite } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

const scratch = mkdtempSync(join(tmpdir(), 'fedi-killed-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Subject {
  readonly id: string;
  readonly create: (name: string, address: number, env?: NodeJS.ProcessEnv) => TestSite;
  /** Last numbers of 127.0.0.x. */
  readonly addresses: readonly [number, number];
  readonly accounts: (site: TestSite) => string[];
  readonly logsIn: (site: TestSite, password: string) => Promise<boolean>;
  /** Counts that would double if a step ran twice. */
  readonly expectOnce?: (site: TestSite) => void;
  readonly steps: readonly string[];
  readonly acts: readonly string[];
  readonly databases: readonly Database[];
}

/** A moment at which a kill leaves an incomplete database that looks complete. */
interface Database {
  readonly service: string;
  readonly when: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Path in the container of a script that is replaced by one that does not return. */
  readonly hold?: string;
  readonly reached: (container: string) => boolean;
}

const processes = (container: string): string => attempt('top', container, '-eo', 'pid,args') ?? '';
/** By then initdb has written PG_VERSION. */
const isInitdb = (container: string): boolean => /postgres --(check|boot|single)/.test(processes(container));
const isHeld = (container: string): boolean => processes(container).includes('sleep infinity');

const SUBJECTS: readonly Subject[] = [
  {
    id: 'mastodon',
    create: mastodon.mastodonSite,
    addresses: [72, 73],
    accounts: mastodon.accountsIn,
    logsIn: mastodon.mastodonLogsIn,
    steps: ['seeds', 'owner', 'settings'],
    acts: ['owner', 'settings'],
    databases: [
      { service: 'mastodon_db', when: 'while initdb fills the folder', reached: isInitdb },
      {
        service: 'mastodon_db',
        when: 'while the server runs that makes role and database',
        hold: '/docker-entrypoint-initdb.d/hold.sh',
        reached: isHeld,
      },
    ],
  },
  {
    id: 'pixelfed',
    create: pixelfed.pixelfedSite,
    addresses: [120, 121],
    accounts: pixelfed.accountsIn,
    logsIn: pixelfed.pixelfedLogsIn,
    expectOnce: (site) => {
      expect(pixelfed.sqlIn(site, 'select count(*) from instance_actors')).toBe('1');
      expect(pixelfed.sqlIn(site, 'select count(*) from oauth_clients where personal_access_client')).toBe(
        '1',
      );
    },
    steps: ['files', 'actor', 'cities', 'ids', 'client'],
    acts: ['actor', 'cities', 'ids', 'client', 'admin'],
    databases: [
      {
        service: 'pixelfed_db',
        when: 'while its system tables are made',
        reached: (container) =>
          Boolean(
            attempt('exec', container, 'find', '/var/lib/mysql', '-path', '*/mysql/*.frm', '-print', '-quit'),
          ),
      },
      {
        service: 'pixelfed_db',
        when: 'while the server runs that makes user and database',
        hold: '/usr/bin/mariadb-tzinfo-to-sql',
        reached: isHeld,
      },
      {
        service: 'pixelfed_postgres',
        when: 'while initdb fills the folder',
        env: { FEDI_PIXELFED_DATABASE: 'postgresql' },
        reached: isInitdb,
      },
    ],
  },
];

const shownBy = (run: Run): string | undefined =>
  run.events.find(({ event }) => event === 'admin')?.['password'] as string | undefined;

/** Checks a site whose first run has completed. */
async function expectComplete(
  { id, accounts, logsIn, expectOnce }: Subject,
  site: TestSite,
  run: Run,
  shown: string | undefined,
): Promise<void> {
  expect(run.stderr).toBe('');
  expect(mastodon.openProofs(run)).toEqual([]);
  expect(run.code).toBe(0);
  expect(accounts(site)).toEqual(['anna']);
  const kept = secretsOf(site.folder)[`${id}.admin`]?.value ?? '';
  expect(shownBy(run) ?? shown).toBe(kept);
  expect(await logsIn(site, kept)).toBe(true);
  expectOnce?.(site);
  expect(leftovers(site.folder)).toEqual([]);
  await until('one-shot containers are gone', () => oneShots(site).length === 0);
}

describe.sequential.each(SUBJECTS)('a killed first run of $id', (subject) => {
  const { id, create, addresses, steps, acts, databases } = subject;

  test(
    'at each step of the app: every run continues, the last one is proven',
    { timeout: PATIENCE_MS },
    async () => {
      const site = create(`${id}-killed`, addresses[0]);
      try {
        const once = join(scratch, `${id}-died`);
        writeFileSync(once, '');
        const skip = new RegExp(
          `^(?!line step (seal\\.)?${id}\\S* start$|line act(ed)? ${id}\\.|start docker compose up$)`,
        );
        let forever: Record<string, string> = {};
        let shown: string | undefined;
        let run: Run;
        for (;;) {
          run = await site.apply([], { env: fault(site.env, { once, skip }) });
          if (run.signal !== 'SIGKILL') break;
          shown = shownBy(run) ?? shown;
          expect(foreverOf(site.folder)).toMatchObject(forever);
          forever = foreverOf(site.folder);
        }
        // The kinds of points that were reached: a hook that misses them would kill nothing.
        const died = readFileSync(once, 'utf8').trim().split('\n');
        expect(died).toEqual(
          expect.arrayContaining([
            `line step seal.${id} start`,
            'start docker compose up',
            ...steps.map((step) => `line step ${id}.${step} start`),
            ...acts.flatMap((step) => [`line act ${id}.${step}`, `line acted ${id}.${step}`]),
          ]),
        );
        await expectComplete(subject, site, run, shown);
      } finally {
        site.remove();
      }
    },
  );

  test.each(databases)(
    '$service, $when: the next run is proven',
    { timeout: PATIENCE_MS },
    async ({ service, when, env, hold, reached }) => {
      const site = create(`${id}-init`, addresses[1], env);
      try {
        const override = join(site.folder, 'compose.override.yaml');
        const script = join(scratch, 'hold');
        if (hold !== undefined) {
          writeFileSync(script, '#!/bin/sh\nexec sleep infinity\n', { mode: 0o755 });
          mkdirSync(site.folder);
          writeFileSync(override, `services: { ${service}: { volumes: ["${script}:${hold}:ro"] } }\n`);
        }
        const container = `${site.name}-${service}-1`;
        let killed = false;
        const first = await site.apply([], {
          onEvent: ({ id: step, state }) => {
            if (step !== 'up' || state !== 'start') return;
            void until(when, () => {
              if (!reached(container)) return false;
              // Only the first start is blocked: the run starts the container again.
              if (hold !== undefined) writeFileSync(script, '#!/bin/sh\n');
              docker('kill', '--signal', 'KILL', container);
              return (killed = true);
            });
          },
        });
        expect(killed).toBe(true);
        // A run starts a stopped container again, so the first run may complete.
        if (first.code !== 0) {
          expect(first.code).toBe(1);
          expect(first.stderr).toMatch(/Next: /);
        }
        rmSync(override, { force: true });
        const kept = foreverOf(site.folder);
        const second = await site.apply();
        await expectComplete(subject, site, second, shownBy(first));
        expect(foreverOf(site.folder)).toEqual(kept);
      } finally {
        site.remove();
      }
    },
  );
});
