/** What a changed answer means for a site that exists. */
import { isOlder, numbersOf } from '../versions.ts';
import type { Answers, Later, Question, Value } from './question.ts';

/** A domain of a site that exists cannot change. */
export const domainForEver = (before: Value | undefined, after: Value | undefined): Later => ({
  refused:
    `The accounts of this site belong to ${before ?? 'its domain'}, not to ${after ?? 'no other'}. A domain is for ever: ` +
    'other servers know every account and post by it. Under another one they would be strangers: followers, follows and conversations would be lost.',
});

/** A version that cannot go back, since the newer one has changed the database. */
export const neverOlder = (before: Value | undefined, after: Value | undefined): Later | undefined =>
  isOlder(numbersOf(String(after)) ?? [], numbersOf(String(before)) ?? [])
    ? {
        refused: `The database is the one of ${String(before)}, and ${String(after)} is older: it cannot work on it, and there is no way back but a backup.`,
      }
    : undefined;

export interface Changed {
  /** What would be lost, in sentences; the change cannot be made. */
  readonly refused: readonly string[];
  /** What stays behind as it was. */
  readonly leaves: string[];
}

/** Compares the answers that a site runs on (none: it does not exist) with new ones. An app that comes or goes is no change of its answers. */
export function changed(questions: readonly Question[], before: Answers, after: Answers): Changed {
  const refused: string[] = [];
  const leaves: string[] = [];
  for (const { key, later } of before['apps'] === undefined ? [] : questions) {
    const app = /^apps\.([^.]+)\./.exec(key)?.[1];
    const isThere = (answers: Answers): boolean =>
      app === undefined || String(answers['apps']).split(',').includes(app);
    if (later === undefined || before[key] === after[key] || !isThere(before) || !isThere(after)) continue;
    const told = later(before[key], after[key]);
    if (told === undefined) continue;
    if ('refused' in told) refused.push(told.refused);
    else leaves.push(told.leaves);
  }
  return { refused, leaves };
}
