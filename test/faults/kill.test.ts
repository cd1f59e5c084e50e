/** kill -9 of the tool at every line, rename and started program of a first run; the next run completes the site. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  accountsOf,
  fault,
  foreverOf,
  leftovers,
  logsIn,
  oneShots,
  secretsOf,
  until,
} from '../support/faults.ts';
import { docker, testSite } from '../support/site.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fedi-kill-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Four sites at a time: much of the time is spent waiting for containers. */
const ADDRESSES = [60, 61, 62, 63];
const free = [...ADDRESSES];
const queue: ((address: number) => void)[] = [];
async function withAddress<T>(work: (address: number) => Promise<T>): Promise<T> {
  const address = free.shift() ?? (await new Promise<number>((resolve) => queue.push(resolve)));
  try {
    return await work(address);
  } finally {
    const next = queue.shift();
    if (next) next(address);
    else free.push(address);
  }
}

/** Points at which a first run can be killed, recorded in one that is not. */
async function pointsOfFirstRun(): Promise<string[]> {
  const site = testSite('kill-dry', ADDRESSES[0] as number);
  try {
    const log = join(scratch, 'points');
    const run = await site.apply([], { env: fault(site.env, { log }) });
    if (run.code !== 0) {
      rmSync(scratch, { recursive: true, force: true });
      throw new Error(`the dry run failed: ${run.stderr}`);
    }
    return readFileSync(log, 'utf8').trim().split('\n');
  } finally {
    site.remove();
  }
}

const all = (await pointsOfFirstRun()).filter((point) => !point.startsWith('any line'));
/** Proofs change nothing on the host, so one site is killed at all of them in turn; every other point gets a new site. */
const proofs = all.filter((point) => /^line step prove.* start /.test(point));
const points = all.filter(
  (point, index) =>
    !/^line (step prove|proof)/.test(point) &&
    // Nothing happens between the end of a step and the start of the next: the start represents both.
    !(/ (done|already) #/.test(point) && /^line step .* start /.test(all[index + 1] ?? '')) &&
    // These represent all files that are renamed in the same way; "after" one rename is mostly "before" the next.
    !/^rename (?!(compose\.yaml|secrets\.json|commit\.json|manifest\.json|own-files|receipt|snac\.env|done receipt) )/.test(
      point,
    ),
);

/** Checks a site after the run that follows a kill. */
async function expectComplete(
  site: ReturnType<typeof testSite>,
  forever: Record<string, string>,
  shown: string | undefined,
): Promise<void> {
  const run = await site.apply();
  expect(run.stderr).toBe('');
  expect(run.code).toBe(0);
  expect(run.events.at(-1)).toMatchObject({ event: 'end', proven: true });
  expect(accountsOf(site)).toEqual(['anna']);
  expect(foreverOf(site.folder)).toMatchObject(forever);
  const kept = secretsOf(site.folder)['snac.admin']?.value ?? '';
  expect(await logsIn(site, kept)).toBe(true);
  const reported = run.events.find(({ event }) => event === 'admin')?.['password'];
  // One of the two runs shows the password, and it is the valid one.
  expect(reported ?? shown).toBe(kept);
  expect(leftovers(site.folder)).toEqual([]);
  await until('one-shot containers are gone', () => oneShots(site).length === 0);
}

test('a first run has the known points', () => {
  expect(points).toEqual(
    expect.arrayContaining([
      'line begin #1',
      'line step verify start #1',
      'line step seal.snac start #1',
      'line act snac.account #1',
      'line acted snac.account #1',
      'line admin #1',
      'line end #1',
      'rename secrets.json #2',
      'rename commit.json #1',
      'start docker compose up #1',
    ]),
  );
  expect(proofs.length).toBeGreaterThanOrEqual(8);
});

describe.concurrent('killed, and run again', () => {
  test('at each proof', () =>
    withAddress(async (address) => {
      const site = testSite('kill-proofs', address);
      try {
        for (const point of proofs) {
          const killed = await site.apply([], { env: fault(site.env, { dieAt: point }) });
          expect([point, killed.signal]).toEqual([point, 'SIGKILL']);
        }
        await expectComplete(site, foreverOf(site.folder), undefined);
      } finally {
        site.remove();
      }
    }));

  for (const [index, point] of points.entries()) {
    test(point, () =>
      withAddress(async (address) => {
        const site = testSite(`kill-${index}`, address);
        try {
          const temporary = join(scratch, String(index));
          mkdirSync(temporary);
          const killed = await site.apply([], {
            env: fault({ ...site.env, TMPDIR: temporary }, { dieAt: point }),
          });
          expect(killed.signal).toBe('SIGKILL');
          // "Shown" is recorded while the lock is still held.
          if (point.startsWith('line admin')) expect(existsSync(join(site.folder, '.fedi/lock'))).toBe(true);
          const shown = killed.events.find(({ event }) => event === 'admin')?.['password'] as
            | string
            | undefined;
          await expectComplete(site, foreverOf(site.folder), shown);
          expect(readdirSync(temporary)).toEqual([]);
        } finally {
          site.remove();
        }
      }),
    );
  }

  test('while Compose creates containers: the orphaned `up` does not disturb the next run', () =>
    withAddress(async (address) => {
      const site = testSite('kill-up', address);
      try {
        const run = site.apply([], {
          onEvent: ({ id, state }, child) => {
            if (id !== 'up' || state !== 'start') return;
            void until('a container exists', () => Object.keys(site.containers()).length > 0).then(() =>
              child.kill('SIGKILL'),
            );
          },
        });
        expect((await run).signal).toBe('SIGKILL');
        await expectComplete(site, foreverOf(site.folder), undefined);
      } finally {
        site.remove();
      }
    }));
});

test('the engine has no leftovers of these sites', () => {
  expect(docker('ps', '--all', '--quiet', '--filter', 'name=test-kill-')).toBe('');
  expect(docker('volume', 'ls', '--quiet', '--filter', 'name=test-kill-')).toBe('');
});
