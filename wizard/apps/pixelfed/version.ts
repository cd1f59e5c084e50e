/** Pixelfed's versions: the only file to change for a new release. */
import type { Parsed } from '../../config/parse.ts';
import { versionParser } from '../../versions.ts';

/** Version of a new site: the newest stable one whose official image is known to run. */
export const VERSION = 'v0.14.4';
/** The first version whose official image fits our stack (FrankenPHP, no `bootstrap/cache` in the image). */
const OLDEST = [0, 12, 10] as const;
/** Versions that are known to be broken, and why. */
export const BROKEN: Readonly<Record<string, string>> = {
  '0.12.2': 'Its migrations fail on a new database (upstream’s #5220).',
  '0.12.3': 'Its migrations fail on a new database (upstream’s #5220).',
  '0.12.4': 'Its storage settings do not save (upstream’s #5605).',
  '0.12.5': 'Each of its database drivers breaks something (upstream’s #6082).',
  '0.12.7': 'It cannot create access tokens (upstream’s #6630).',
};

const parseVersion = versionParser(VERSION, OLDEST);

export function parsePixelfedVersion(text: string): Parsed<string> {
  const version = text.trim().replace(/^v/, '');
  return BROKEN[version] === undefined
    ? parseVersion(text)
    : { problem: `${version} is known to be broken. ${BROKEN[version]}` };
}
