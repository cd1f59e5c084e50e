/** kill -9 during a change of a running site: its answers are then the old or the new ones, and the next run completes them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accountsOf, fault, foreverOf, leftovers, logsIn, random, secretsOf } from '../support/faults.ts';
import { environment, testSite, tool } from '../support/site.ts';

const SEED = 20260801;
const KILLS = 6;

const site = testSite('kill-change', 64);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-kill-change-'));
afterAll(() => {
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

type Mode = 'none' | 'catcher';
/** fedi.yaml with each answer, as whole texts: anything else on the disk is a mixture. */
const texts: Record<Mode, string> = { none: '', catcher: '' };
let points: string[] = [];
let forever: Record<string, string> = {};

const change = (mode: Mode, more: NodeJS.ProcessEnv = {}) =>
  site.apply([], { env: { ...site.env, ...more, FEDI_MAIL_MODE: mode } });
const modeNow = (): Mode | undefined =>
  (['none', 'catcher'] as const).find((mode) => texts[mode] === site.read('fedi.yaml'));
const other = (mode: Mode): Mode => (mode === 'none' ? 'catcher' : 'none');

/** The same command again, as an administrator would run it, without the answers. */
async function expectCompletes(): Promise<Mode> {
  const run = await tool(['apply', '--dir', site.folder, '--json'], { env: environment() });
  expect(run.stderr).toBe('');
  expect(run.code).toBe(0);
  expect(run.events.at(-1)).toMatchObject({ event: 'end', proven: true });
  const mode = modeNow();
  expect(mode).toBeDefined();
  expect(site.containers()['mail'] !== undefined).toBe(mode === 'catcher');
  expect(site.read('env/snac.env').includes('smtp://mail')).toBe(mode === 'catcher');
  expect(accountsOf(site)).toEqual(['anna']);
  expect(foreverOf(site.folder)).toEqual(forever);
  expect(await logsIn(site, secretsOf(site.folder)['snac.admin']?.value ?? '')).toBe(true);
  expect(leftovers(site.folder)).toEqual([]);
  const check = await tool(['plan', '--check', '--dir', site.folder], { env: environment() });
  expect([check.code, check.stdout]).toEqual([0, 'Nothing to change.\n']);
  return mode as Mode;
}

beforeAll(async () => {
  expect((await change('none')).code).toBe(0);
  texts.none = site.read('fedi.yaml');
  const log = join(scratch, 'points');
  expect((await change('catcher', fault({}, { log }))).code).toBe(0);
  texts.catcher = site.read('fedi.yaml');
  points = readFileSync(log, 'utf8').trim().split('\n');
  forever = foreverOf(site.folder);
  expect(texts.catcher).not.toBe(texts.none);
});

describe.sequential(`mail on and off, killed (seed ${SEED})`, () => {
  const next = random(SEED);
  for (let kill = 1; kill <= KILLS; kill++) {
    const share = next();
    test(`after ${Math.round(share * 100)} % of the lines`, async () => {
      const lines = points.filter((point) => point.startsWith('any line'));
      const wanted = other(modeNow() as Mode);
      const killed = await change(
        wanted,
        // Another run may have a few lines less: that depends on how long containers take.
        fault({}, { dieAt: `any line #${1 + Math.floor(share * 0.9 * lines.length)}` }),
      );
      expect(killed.signal).toBe('SIGKILL');
      expect(modeNow()).toBeDefined();
      await expectCompletes();
    });
  }

  // Before commit.json the set is the old one, from then on the new one.
  for (const { point, decided } of [
    { point: 'rename compose.yaml #1', decided: false },
    { point: 'rename commit.json #1', decided: false },
    { point: 'rename done commit.json #1', decided: true },
    { point: 'rename compose.yaml #2', decided: true },
    { point: 'rename manifest.json #1', decided: true },
  ]) {
    test(`at ${point}: the next run completes the ${decided ? 'new' : 'old'} answers`, async () => {
      const before = modeNow() as Mode;
      expect(points).toContain(point);
      const killed = await change(other(before), fault({}, { dieAt: point }));
      expect(killed.signal).toBe('SIGKILL');
      expect(await expectCompletes()).toBe(decided ? other(before) : before);
    });
  }

  test('a run without changes removes the temporary files of a killed one', async () => {
    const now = modeNow() as Mode;
    await change(other(now), fault({}, { dieAt: 'rename commit.json #1' }));
    const run = await change(now);
    expect(run.code).toBe(0);
    expect(leftovers(site.folder)).toEqual([]);
  });
});
