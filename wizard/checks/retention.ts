/** Checks whether what is kept for a while fits on the disk: copies of remote media, and backups on this host. */
import { readRecord } from '../backup-record.ts';
import type { Backup } from '../config/backup.ts';
import { readReadings } from '../disk-record.ts';
import type { Reading } from '../disk-record.ts';
import { sizeText } from './check.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

const DAY_MS = 24 * 3_600_000;
/** Growth is measured over so many days, and needs at least so many. */
const MOST_DAYS = 30;
const LEAST_DAYS = 7;
/** Copies that grew by less do not matter. */
const MUCH = 1024 ** 3;

const total = (sizes: Readonly<Record<string, number>> | undefined): number | undefined =>
  sizes === undefined ? undefined : Object.values(sizes).reduce((sum, one) => sum + one, 0);

/** How much a size grew in the last 30 days; undefined: the readings span less than a week. */
export function growthOf(
  readings: readonly Reading[],
  size: (reading: Reading) => number | undefined,
  now: Date,
): { readonly bytes: number; readonly days: number; readonly last: number } | undefined {
  const points = readings.flatMap((reading) => {
    const bytes = size(reading);
    const time = Date.parse(reading.at);
    return bytes === undefined || time < now.getTime() - MOST_DAYS * DAY_MS ? [] : [{ time, bytes }];
  });
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  const days = (last.time - first.time) / DAY_MS;
  return days < LEAST_DAYS ? undefined : { bytes: last.bytes - first.bytes, days, last: last.bytes };
}

/** Days until backups are removed as fast as they are made. */
const fullAfter = ({ daily, weekly, monthly }: Backup['keep']): number =>
  Math.max(daily, weekly * 7, monthly * 30);

/**
 * What backups on the disk of the site will need in addition until their retention removes as much as they add, in bytes;
 * undefined: unknown, or nothing more.
 * @param since when the first backup was made
 */
export function backupsWillNeed(
  { keep }: Pick<Backup, 'keep'>,
  readings: readonly Reading[],
  since: string | undefined,
  now: Date,
): number | undefined {
  const growth = growthOf(readings, ({ backups }) => backups, now);
  if (growth === undefined || growth.bytes <= 0 || since === undefined) return undefined;
  const left = fullAfter(keep) - (now.getTime() - Date.parse(since)) / DAY_MS;
  return left <= 0 ? undefined : (growth.bytes / growth.days) * left;
}

/** Applies once there are readings for it. */
export async function checkRetention({
  config,
  folder,
  now,
}: Pick<CheckContext, 'config' | 'folder' | 'now'>): Promise<CheckResult | undefined> {
  const readings = await readReadings(folder);
  const found: Finding[] = [];
  const seen: string[] = [];
  const copies = growthOf(readings, ({ cached }) => total(cached), now());
  if (copies !== undefined) {
    seen.push(`copies of remote media ${sizeText(copies.last)}`);
    if (config.cleanUpDays === 0 && copies.bytes > MUCH)
      found.push({
        level: 'warning',
        what: `Copies of remote media grew by ${sizeText(copies.bytes)} in ${Math.round(copies.days)} days, to ${sizeText(copies.last)}, and no clean-up is scheduled.`,
        means:
          'The app fetches removed ones again when a user opens the post. On a full disk, a database stops.',
        next: 'Schedule it: `fedi-setup apply --cleanup-every 7`. `fedi-setup cleanup --dry-run` shows what it removes.',
      });
  }
  const { backup } = config;
  const last = readings.at(-1);
  const free = last === undefined ? undefined : Math.min(...Object.values(last.free));
  if (backup !== undefined && last?.backups !== undefined && free !== undefined) {
    const { repositories } = await readRecord(folder);
    const firsts = Object.values(repositories).flatMap(({ first, sameDisk }) =>
      sameDisk === true && first !== undefined ? [first] : [],
    );
    const need = backupsWillNeed(backup, readings, firsts.toSorted()[0], now());
    seen.push(`backups on this host ${sizeText(last.backups)}`);
    if (need !== undefined && need > free)
      found.push({
        level: 'warning',
        what: `The backups on this disk will grow by ${sizeText(need)} before the oldest are removed; only ${sizeText(free)} is free.`,
        means: 'On a full disk, backups fail and a database stops.',
        next: `Keep fewer (\`fedi-setup apply --backup-keep\`; now ${Object.values(backup.keep).join('/')}), or back up to another disk or host.`,
      });
  }
  return seen.length === 0 ? undefined : { seen: seen.join(', '), found };
}
