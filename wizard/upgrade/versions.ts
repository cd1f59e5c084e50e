/** Which version an app can be upgraded to. */
import type { Upgrades } from '../apps/app.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem } from '../problem.ts';
import { isOlder, numbersOf } from '../versions.ts';

const minorOf = (version: string): string => (numbersOf(version) ?? []).slice(0, 2).join('.');

/** Missing patch numbers in a row after which the search ends: releases are sometimes withdrawn. */
const GAP = 2;
/** A registry is not asked about more. */
const MOST = 50;

/** The registry says that there is no such image; any other error means that it did not answer. */
const isAbsent = (error: Problem): boolean =>
  /manifest unknown|not found|does not exist/i.test(error.message);

/**
 * The newest patch release after a version, by asking the registry for the next numbers. Undefined: there is none. Throws a
 * Problem if the registry does not answer.
 * @param referenceOf version → reference of the image
 */
export async function newestPatch(
  engine: Pick<Engine, 'findInRegistry'>,
  version: string,
  referenceOf: (version: string) => string,
  broken: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  const [major = 0, minor = 0, patch = 0] = numbersOf(version) ?? [];
  let newest: string | undefined;
  let missing = 0;
  for (let next = patch + 1; missing <= GAP && next < patch + MOST; next++) {
    const number = `${major}.${minor}.${next}`;
    if (await isPublished(engine, referenceOf(`v${number}`))) {
      missing = 0;
      if (broken[number] === undefined) newest = `v${number}`;
    } else missing += 1;
  }
  return newest;
}

async function isPublished(engine: Pick<Engine, 'findInRegistry'>, reference: string): Promise<boolean> {
  try {
    return (await engine.findInRegistry(reference)) !== undefined;
  } catch (error) {
    if (error instanceof Problem && isAbsent(error)) return false;
    throw error;
  }
}

/** Refuses a version that the app cannot be upgraded to. Throws exit 3. */
export function refuseVersion(
  name: string,
  { minors, stepwise, broken = {} }: Pick<Upgrades, 'minors' | 'stepwise' | 'broken'>,
  from: string,
  to: string,
): void {
  const [ours = [], theirs = []] = [numbersOf(from), numbersOf(to)];
  const refuse = (what: string, next: string, means = 'Nothing was changed.'): never => {
    throw new Problem(EXIT.REFUSED, what, { means, next });
  };
  if (isOlder(theirs, ours))
    refuse(
      `${name} ${to} is older than ${from}, which this site runs.`,
      'To go back, restore a backup from before the upgrade: `fedi-setup restore --at TIME`.',
      'A newer version may have changed the database, and an older one cannot use it then. Nothing was changed.',
    );
  const why = broken[to.replace(/^v/, '')];
  if (why !== undefined) refuse(`${name} ${to} is known to be broken. ${why}`, 'Choose another version.');
  const [before, after] = [minors.indexOf(minorOf(from)), minors.indexOf(minorOf(to))];
  if (after < 0)
    refuse(
      `This version of fedi-setup does not know ${name} ${minorOf(to)}.`,
      `It knows ${minors.join(', ')}. A newer fedi-setup may know it.`,
      'What that version needs, its database for example, is not known here. Nothing was changed.',
    );
  if (stepwise && before >= 0 && after > before + 1)
    refuse(
      `${name} cannot be upgraded from ${minorOf(from)} to ${minorOf(to)} at once.`,
      `Upgrade step by step: ${minors.slice(before + 1, after + 1).join(', then ')}. Give the newest patch of each with --to.`,
      'Its migrations are tested from one minor version to the next. Nothing was changed.',
    );
}
