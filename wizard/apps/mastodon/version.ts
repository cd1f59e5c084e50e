/** Which Mastodon, and what it needs beside it: the one place to change for a new release. */
import { versionParser } from '../../versions.ts';

/** The version a new site gets: the newest stable we know. Both images carry it. */
export const VERSION = 'v4.7.6';

/** Older ones get no security fixes any more, or need variables that we do not make. */
const OLDEST = [4, 5, 0] as const;

/** What OLDEST to VERSION need of servers that somebody else runs (upstream's release notes since 4.5). Valkey says of itself that it is Redis 7. */
export const MINIMUM = { postgres: { number: 140_004, words: '14.4' }, redis: 7 } as const;

/** `4.7.6` or `v4.7.6` → `v4.7.6`. */
export const parseVersion = versionParser(VERSION, OLDEST);
