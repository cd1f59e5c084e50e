/** Which Mastodon, and what it needs beside it: the one place to change for a new release. */
import type { Parsed } from '../../config/parse.ts';

/** The version a new site gets: the newest stable we know. Both images carry it. */
export const VERSION = 'v4.7.6';

/** Older ones get no security fixes any more, or need variables that we do not make. */
const OLDEST = [4, 5, 0] as const;

/** What OLDEST to VERSION need of servers that somebody else runs (upstream's release notes since 4.5). Valkey says of itself that it is Redis 7. */
export const MINIMUM = { postgres: { number: 140_004, words: '14.4' }, redis: 7 } as const;

/** `4.7.6` or `v4.7.6` → `v4.7.6`. */
export function parseVersion(given: string): Parsed<string> {
  const parts = /^v?(\d+)\.(\d+)\.(\d+)$/.exec(given.trim())?.slice(1).map(Number);
  if (parts === undefined) return { problem: `Not a version such as ${VERSION}.` };
  const older = OLDEST.findIndex((least, i) => (parts[i] ?? 0) !== least);
  if (older >= 0 && (parts[older] ?? 0) < (OLDEST[older] ?? 0))
    return { problem: `${OLDEST.join('.')} is the oldest this can set up.` };
  return { value: `v${parts.join('.')}` };
}

const numbersOf = (version: string): number[] => version.replace(/^v/, '').split('.').map(Number);

export function isOlder(one: string, other: string): boolean {
  const [a, b] = [numbersOf(one), numbersOf(other)];
  const differs = a.findIndex((part, i) => part !== b[i]);
  return differs >= 0 && (a[differs] ?? 0) < (b[differs] ?? 0);
}
