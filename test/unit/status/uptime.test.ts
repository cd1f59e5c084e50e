/** The record behind the status page: what a check adds, what a gap means, and how much is kept. */
import { describe, expect, test } from 'vitest';
import {
  forgetUptime,
  keepUptime,
  levelOf,
  readUptime,
  shareOf,
  withCheck,
} from '../../../wizard/uptime-record.ts';
import type { Condition, Day, Uptime } from '../../../wizard/uptime-record.ts';
import { readTree, tempFolder, writeTree } from '../../support/temp.ts';

const START = Date.parse('2026-03-01T12:00:00Z');
const at = (minutes: number): Date => new Date(START + minutes * 60_000);
const day = (more: Partial<Day> = {}): Day => ({
  day: '2026-03-01',
  up: 0,
  partly: 0,
  down: 0,
  maintenance: 0,
  unchecked: 0,
  ...more,
});

/** The record after checks of snac, each with its minute. */
const after = (...checks: readonly (readonly [minute: number, state: Condition])[]): Uptime =>
  checks.reduce<Uptime>((record, [minute, state]) => withCheck(record, { snac: { state } }, at(minute)), {
    apps: {},
  });
const snac = (record: Uptime): Uptime['apps'][string] => record.apps['snac']!;

describe('a check', () => {
  test('is counted on its day', () => {
    const record = after([0, 'up'], [5, 'up'], [10, 'partly'], [15, 'maintenance'], [12 * 60, 'up']);
    expect(snac(record).days).toEqual([
      day({ up: 2, partly: 1, maintenance: 1, unchecked: 140 }),
      day({ day: '2026-03-02', up: 1 }),
    ]);
  });
  test('keeps since when a state lasts', () => {
    expect(snac(after([0, 'up'], [5, 'down'], [10, 'down'])).since).toBe(at(5).toISOString());
    expect(snac(after([0, 'up'], [5, 'down'], [10, 'up'])).since).toBe(at(10).toISOString());
  });
  test('by hand, between two of the timer, is not counted, unless it finds another state', () => {
    const same = after([0, 'up'], [1, 'up'], [2, 'up']);
    expect([same.at, snac(same).days]).toEqual([at(2).toISOString(), [day({ up: 1 })]]);
    expect(snac(after([0, 'up'], [1, 'down'], [2, 'down'])).days).toEqual([day({ up: 1, down: 1 })]);
  });
  test('repeated by hand does not stop those of the timer from being counted', () => {
    expect(snac(after([0, 'up'], [2, 'up'], [4, 'up'], [5, 'up'])).days).toEqual([day({ up: 2 })]);
  });
  test('keeps the version that an app said last', () => {
    const first = withCheck({ apps: {} }, { snac: { state: 'up', version: '2.96' } }, at(0));
    expect(snac(withCheck(first, { snac: { state: 'down' } }, at(5))).version).toBe('2.96');
  });
  test('drops an app that is not checked any more', () => {
    expect(Object.keys(withCheck(after([0, 'up']), { other: { state: 'up' } }, at(5)).apps)).toEqual([
      'other',
    ]);
  });
});

describe('missing checks', () => {
  test('a few in a row do not count', () => {
    expect(snac(after([0, 'up'], [15, 'up'])).days).toEqual([day({ up: 2 })]);
  });
  test('more count as unchecked, on their days', () => {
    // 12:00 to 12:00 of the next day: 288 intervals, the last of which ends with a check.
    expect(snac(after([0, 'up'], [24 * 60, 'up'])).days).toEqual([
      day({ up: 1, unchecked: 143 }),
      day({ day: '2026-03-02', up: 1, unchecked: 144 }),
    ]);
  });
  test('before the first check of an app there are none', () => {
    const record = withCheck(after([0, 'up']), { snac: { state: 'up' }, other: { state: 'up' } }, at(600));
    expect(record.apps['other']?.days).toEqual(
      [day({ up: 1 })].map((one) => ({ ...one, day: '2026-03-01' })),
    );
  });
  test('a clock that was set back costs nothing', () => {
    expect(snac(after([600, 'up'], [0, 'up'], [5, 'up'])).days).toEqual([day({ up: 3 })]);
  });
});

test('at most 90 days are kept, also after years without a check', () => {
  let record: Uptime = { apps: {} };
  for (let i = 0; i < 200; i++) record = withCheck(record, { snac: { state: 'up' } }, at(i * 24 * 60));
  expect(snac(record).days).toHaveLength(90);
  expect(snac(record).days.at(-1)?.day).toBe(
    at(199 * 24 * 60)
      .toISOString()
      .slice(0, 10),
  );
  const later = withCheck(record, { snac: { state: 'up' } }, at(2000 * 24 * 60));
  expect(snac(later).days).toHaveLength(90);
  expect(JSON.stringify(later).length).toBeLessThan(20_000);
});

test.each([
  [undefined, 'unchecked'],
  [day({ unchecked: 288 }), 'unchecked'],
  [day({ up: 288 }), 'up'],
  [day({ up: 280, maintenance: 8 }), 'up'],
  [day({ up: 287, down: 1 }), 'partly'],
  [day({ up: 287, partly: 1 }), 'partly'],
  [day({ up: 200, unchecked: 88 }), 'partly'],
  [day({ up: 145, down: 143 }), 'partly'],
  [day({ up: 144, down: 144 }), 'down'],
  [day({ down: 1 }), 'down'],
] as const)('%o is %s', (one, level) => expect(levelOf(one)).toBe(level));

test('the share leaves out maintenance and missing checks', () => {
  expect(shareOf([])).toBeUndefined();
  expect(shareOf([day({ maintenance: 5, unchecked: 9 })])).toBeUndefined();
  expect(shareOf([day({ up: 2, partly: 1, maintenance: 7 }), day({ down: 1 })])).toBe(0.75);
});

describe('the file', () => {
  test('is kept, read, and removed with the page', async () => {
    const folder = tempFolder();
    writeTree(folder, { '.fedi/status-page/index.html': 'x', '.fedi/other': 'y' });
    const record = after([0, 'up'], [5, 'down']);
    await keepUptime(folder, record);
    expect(await readUptime(folder)).toEqual(record);
    await forgetUptime(folder);
    expect(readTree(folder)).toEqual({ '.fedi/other': 'y' });
  });
  test.each(['', '{', 'null', '[]', '{"apps":null}', '{"at":"2026-01-01"}'])(
    '%j counts as none',
    async (text) => {
      const folder = tempFolder();
      writeTree(folder, { '.fedi/uptime.json': text });
      expect(await readUptime(folder)).toEqual({ apps: {} });
    },
  );
});
