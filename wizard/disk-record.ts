/** How much space a site used and had left over time: `.fedi/metrics`, one JSON object a line. Written by `maintain` and `cleanup`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './atomic.ts';
import { OWN } from './layout.ts';

const FILE = 'metrics';
const DAY_MS = 24 * 3_600_000;
/** Older readings are dropped. */
const KEPT_DAYS = 400;
/** Readings that the forecast uses, and how many days they must span. */
const FORECAST_DAYS = 30;
const LEAST_DAYS = 7;

/** Bytes at one time. */
export interface Reading {
  /** ISO 8601. */
  readonly at: string;
  /** Directory → free bytes on its file system. */
  readonly free: Readonly<Record<string, number>>;
  /** Volume key → bytes of its files. */
  readonly volumes: Readonly<Record<string, number>>;
  /** Volume key → bytes of copies of remote files in it, which are part of its size. */
  readonly cached?: Readonly<Record<string, number>>;
  /** Of the repositories with backups on this host; absent: none, or unknown. */
  readonly backups?: number;
}

/** When a file system will be full if its use grows as it did in the last 30 days. */
export interface Forecast {
  readonly path: string;
  readonly days: number;
  /** Bytes. */
  readonly perDay: number;
}

/** Oldest first; unreadable lines are skipped. */
export async function readReadings(folder: string): Promise<Reading[]> {
  const text = await readFile(join(folder, OWN, FILE), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    try {
      const { at, free, volumes, ...more } = JSON.parse(line) as Partial<Reading>;
      if (at === undefined || Number.isNaN(Date.parse(at)) || free === undefined) return [];
      return [{ ...more, at, free, volumes: volumes ?? {} }];
    } catch {
      return [];
    }
  });
}

/** Adds a reading, and drops those that are too old. */
export async function addReading(folder: string, reading: Reading): Promise<void> {
  const oldest = Date.parse(reading.at) - KEPT_DAYS * DAY_MS;
  const kept = (await readReadings(folder)).filter(({ at }) => Date.parse(at) >= oldest);
  const lines = [...kept, reading].map((one) => `${JSON.stringify(one)}\n`);
  await writeWhole(join(folder, OWN, FILE), lines.join(''), 0o600);
}

/** Whether the readings of the last 30 days span enough time for a forecast. */
export const canForecast = (readings: readonly Reading[], now: Date): boolean => {
  const days = readings
    .map(({ at }) => Date.parse(at) / DAY_MS)
    .filter((day) => day >= now.getTime() / DAY_MS - FORECAST_DAYS);
  return days.length > 1 && (days.at(-1) as number) - (days[0] as number) >= LEAST_DAYS;
};

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return ((sorted[middle] ?? 0) + (sorted[sorted.length - 1 - middle] ?? 0)) / 2;
};

/**
 * The file system that will be full first; undefined: none, or too few readings. The rate is the median of the rates between
 * all pairs of readings (Theil–Sen), so that one clean-up or one large upload does not decide it.
 */
export function forecast(readings: readonly Reading[], now: Date): Forecast | undefined {
  const since = now.getTime() - FORECAST_DAYS * DAY_MS;
  const recent = readings.filter(({ at }) => Date.parse(at) >= since);
  const paths = Object.keys(recent.at(-1)?.free ?? {});
  const forecasts = paths.flatMap((path): Forecast[] => {
    const points = recent.flatMap(({ at, free }) =>
      free[path] === undefined ? [] : [{ day: Date.parse(at) / DAY_MS, free: free[path] }],
    );
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined || last.day - first.day < LEAST_DAYS) return [];
    const rates = points.flatMap((one, index) =>
      points
        .slice(index + 1)
        .flatMap((other) => (other.day > one.day ? [(one.free - other.free) / (other.day - one.day)] : [])),
    );
    const perDay = median(rates);
    return perDay > 0 ? [{ path, days: last.free / perDay, perDay }] : [];
  });
  return forecasts.toSorted((a, b) => a.days - b.days)[0];
}
