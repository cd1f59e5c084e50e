/** Readings of free space, the forecast, what remote media cost, and which images are no longer needed. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseDays } from '../../../wizard/apps/mastodon/clean-up.ts';
import { costs } from '../../../wizard/commands/run/cleanup.ts';
import { addReading, forecast, readReadings } from '../../../wizard/disk-record.ts';
import type { Reading } from '../../../wizard/disk-record.ts';
import { unneeded } from '../../../wizard/maintain/clean-up.ts';
import type { LockEntry } from '../../../wizard/plan/lock.ts';
import { tempFolder } from '../../support/temp.ts';

const GB = 1024 ** 3;
const at = (day: number): Date => new Date(Date.UTC(2026, 0, 1) + day * 24 * 3_600_000);
const reading = (day: number, free: Readonly<Record<string, number>>): Reading => ({
  at: at(day).toISOString(),
  free,
  volumes: { data: day },
});

function siteFolder(): string {
  const folder = tempFolder();
  mkdirSync(join(folder, '.fedi'));
  return folder;
}

test('readings are kept for 400 days; damaged lines are skipped', async () => {
  const folder = siteFolder();
  expect(await readReadings(folder)).toEqual([]);
  for (const day of [0, 200, 400]) await addReading(folder, reading(day, { '/': GB }));
  expect((await readReadings(folder)).map(({ volumes }) => volumes['data'])).toEqual([0, 200, 400]);
  await addReading(folder, reading(401, { '/': GB }));
  expect((await readReadings(folder)).map(({ volumes }) => volumes['data'])).toEqual([200, 400, 401]);
  expect(statSync(join(folder, '.fedi/metrics')).mode & 0o777).toBe(0o600);
  writeFileSync(join(folder, '.fedi/metrics'), `{"at":"x"}\nnothing\n${JSON.stringify(reading(1, {}))}\n{`);
  expect(await readReadings(folder)).toEqual([reading(1, {})]);
});

/** A GB less each day, from 40 GB on. */
const month = Array.from({ length: 31 }, (_, day) => reading(day, { '/data': (40 - day) * GB, '/': 9 * GB }));

test('the forecast is for the file system that is full first', () => {
  expect(forecast(month, at(30))).toEqual({ path: '/data', days: 10, perDay: GB });
});

test('one clean-up, or one large upload, does not decide it', () => {
  const cleaned = month.map((one, day) =>
    day < 20 ? one : reading(day, { '/data': (one.free['/data'] ?? 0) + 8 * GB }),
  );
  expect(forecast(cleaned, at(30))?.perDay).toBeGreaterThan(0.6 * GB);
});

test.each([
  ['there are no readings', []],
  ['they span less than a week', month.slice(0, 6)],
  ['they are older than a month', month.map((one, day) => ({ ...one, at: at(day - 100).toISOString() }))],
  ['the space grows', month.map(({ at: when }, day) => ({ at: when, free: { '/': day * GB }, volumes: {} }))],
  ['it stays the same', month.map(({ at: when }) => ({ at: when, free: { '/': GB }, volumes: {} }))],
])('no forecast if %s', (_why, readings) => {
  expect(forecast(readings, at(30))).toBeUndefined();
});

test('the costs of remote media, per retention', () => {
  expect(costs('Mastodon', { days: 14, bytes: 14 * GB, perDay: GB })).toBe(
    '  Mastodon keeps copies of remote media for 14 days: 14.0 GB now, about 1.0 GB a day.\n' +
      '  7 days ≈ 7.0 GB, 30 days ≈ 30.0 GB, 90 days ≈ 90.0 GB. Change it in the administration of Mastodon: Server settings, Content retention.',
  );
  expect(costs('Mastodon', { days: undefined, bytes: 0, perDay: 0 })).toBe(
    '  Mastodon keeps copies of remote media forever: 0 KB now, about 0 KB a day.',
  );
});

const pulled = (tag: string, digest = tag): LockEntry => ({ tag, digest: `sha256:${digest}` });
const here = (tag: string, id: string, source: 'built' | 'loaded'): LockEntry => ({ tag, id, source });

test('images of this version and the one before it are needed, and those that no registry has', () => {
  const now = { app: pulled('app:3'), caddy: pulled('caddy:1') };
  const generations = [
    [pulled('app:1'), pulled('caddy:1'), here('own:1', 'a', 'loaded'), here('snac:1', 'b', 'built')],
    [pulled('app:1', 'older'), pulled('caddy:1')],
    [pulled('app:2'), pulled('caddy:1')],
    [pulled('app:3'), pulled('caddy:1')],
    [pulled('app:3'), pulled('caddy:1')],
  ];
  expect(unneeded(now, generations)).toEqual([
    pulled('app:1'),
    here('snac:1', 'b', 'built'),
    pulled('app:1', 'older'),
  ]);
  expect(unneeded(now, generations.slice(2))).toEqual([]);
  expect(unneeded(now, [])).toEqual([]);
});

test.each(['-1', '1.5', '3651', 'never'])('%s is no number of days', (text) => {
  expect(parseDays(text)).toEqual({ problem: 'Not a whole number from 0 to 3650.' });
});
