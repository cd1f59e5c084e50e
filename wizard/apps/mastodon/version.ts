/** Mastodon's version and what it requires: the only file to change for a new release. */
import { versionParser } from '../../versions.ts';

/** Version of a new site: the newest known stable one, of both images. */
export const VERSION = 'v4.7.6';

/** Older versions get no security fixes, or need variables that we do not set. */
const OLDEST = [4, 5, 0] as const;

/** Minimum versions of external servers for OLDEST to VERSION (upstream's release notes since 4.5). Valkey reports itself as Redis 7. */
export const MINIMUM = { postgres: { number: 140_004, words: '14.4' }, redis: 7 } as const;

/** `4.7.6` or `v4.7.6` → `v4.7.6`. */
export const parseVersion = versionParser(VERSION, OLDEST);
