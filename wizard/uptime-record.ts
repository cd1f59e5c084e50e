/** Whether the apps answered in the last 90 days: `.fedi/uptime.json`. Written by `maintain check`, for the status page. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './atomic.ts';
import { OWN, STATUS_PAGE } from './layout.ts';

const FILE = join(OWN, 'uptime.json');
const DAY_MS = 24 * 3_600_000;
/** Minutes from one check to the next. */
export const CHECK_MINUTES = 5;
const EVERY_MS = CHECK_MINUTES * 60_000;
/** After this time without a check, the results are old. */
export const OLD_MINUTES = 4 * CHECK_MINUTES;
/** Older days are dropped. */
export const KEPT_DAYS = 90;
/** So many checks in a row may be missing: the host restarts, or is busy. */
const LATE = 3;

/** `partly`: pages open, but something fails. `maintenance`: an upgrade or a restore is in progress. */
export type Condition = 'up' | 'partly' | 'down' | 'maintenance';

/** The checks of one day (UTC), by their results. */
export interface Day extends Readonly<Record<Condition, number>> {
  /** `2026-11-30`. */
  readonly day: string;
  /** Checks that were due and were not made: the host was off, or nothing started them. */
  readonly unchecked: number;
}

export interface AppUptime {
  readonly state: Condition;
  /** When a check found this state first; ISO 8601. */
  readonly since: string;
  /** What the app said last; absent: it never did. */
  readonly version?: string;
  /** Oldest first; days without a check are missing. */
  readonly days: readonly Day[];
}

export interface Uptime {
  /** The last check; ISO 8601. Absent: none yet. */
  readonly at?: string;
  /** The last one that is among those of its day. */
  readonly counted?: string;
  readonly apps: Readonly<Record<string, AppUptime>>;
}

/** What a check found about an app. */
export interface Seen {
  readonly state: Condition;
  /** Undefined: it did not say. */
  readonly version?: string | undefined;
}

export const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);

const EMPTY = { up: 0, partly: 0, down: 0, maintenance: 0, unchecked: 0 };

/** Counts one more result of a day. */
function counted(days: readonly Day[], day: string, what: Condition | 'unchecked'): Day[] {
  const last = days.find((one) => one.day === day) ?? { day, ...EMPTY };
  return [...days.filter((one) => one.day !== day), { ...last, [what]: last[what] + 1 }];
}

/** The record after one more check. Apps that are not among the results are dropped. */
export function withCheck(before: Uptime, seen: Readonly<Record<string, Seen>>, now: Date): Uptime {
  const time = now.getTime();
  const last = before.counted === undefined ? undefined : Date.parse(before.counted);
  const oldest = dayOf(time - (KEPT_DAYS - 1) * DAY_MS);
  // Those by hand come between those of the timer. A clock that was set back counts.
  const isCounted = last === undefined || time < last || time - last >= EVERY_MS / 2;
  const missed: string[] = [];
  if (last !== undefined && time - last > LATE * EVERY_MS)
    for (
      let at = Math.max(last, time - KEPT_DAYS * DAY_MS) + EVERY_MS;
      at < time - EVERY_MS / 2;
      at += EVERY_MS
    )
      missed.push(dayOf(at));
  const apps = Object.entries(seen).map(([id, { state, version }]): [string, AppUptime] => {
    const old = before.apps[id];
    let days: readonly Day[] = old?.days ?? [];
    if (old !== undefined) for (const day of missed) days = counted(days, day, 'unchecked');
    // A new state counts even if a check by hand found it.
    if (isCounted || old?.state !== state) days = counted(days, dayOf(time), state);
    const known = version ?? old?.version;
    return [
      id,
      {
        state,
        since: old?.state === state ? old.since : now.toISOString(),
        ...(known === undefined ? {} : { version: known }),
        days: days.filter(({ day }) => day >= oldest),
      },
    ];
  });
  const at = now.toISOString();
  return { at, counted: isCounted ? at : (before.counted ?? at), apps: Object.fromEntries(apps) };
}

/** A damaged file counts as none. */
export async function readUptime(folder: string): Promise<Uptime> {
  try {
    const {
      at,
      counted: last,
      apps,
    } = JSON.parse(await readFile(join(folder, FILE), 'utf8')) as Partial<Uptime>;
    const isTime = (text: unknown): text is string =>
      typeof text === 'string' && !Number.isNaN(Date.parse(text));
    if (typeof apps !== 'object' || apps === null) return { apps: {} };
    return { apps, ...(isTime(at) ? { at } : {}), ...(isTime(last) ? { counted: last } : {}) };
  } catch {
    return { apps: {} };
  }
}

export const keepUptime = (folder: string, uptime: Uptime): Promise<void> =>
  writeWhole(join(folder, FILE), `${JSON.stringify(uptime)}\n`, 0o600);

/** Removes the record and the page. */
export async function forgetUptime(folder: string): Promise<void> {
  await rm(join(folder, FILE), { force: true });
  await rm(join(folder, STATUS_PAGE), { recursive: true, force: true });
}

/** How a day went, for a bar: `down` if at least half of its checks failed. */
export function levelOf(day: Day | undefined): 'up' | 'partly' | 'down' | 'unchecked' {
  if (day === undefined) return 'unchecked';
  const { up, partly, down, maintenance, unchecked } = day;
  const made = up + partly + down + maintenance;
  if (made === 0) return 'unchecked';
  if (down * 2 >= made) return 'down';
  return partly + down + unchecked > 0 ? 'partly' : 'up';
}

/** Share of the checks in which the app answered; maintenance does not count. Undefined: no check. */
export function shareOf(days: readonly Day[]): number | undefined {
  const sum = (what: Condition): number => days.reduce((total, day) => total + day[what], 0);
  const answered = sum('up') + sum('partly');
  const made = answered + sum('down');
  return made === 0 ? undefined : answered / made;
}
