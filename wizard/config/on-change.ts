/** Rules for changing the answers of an existing site. */
import { isOlder, numbersOf } from '../versions.ts';
import type { Answers, ChangeEffect, Question, Value } from './question.ts';

/** The domain of an existing site cannot change. */
export const immutableDomain = (before: Value | undefined, after: Value | undefined): ChangeEffect => ({
  refused:
    `This site uses ${before ?? 'no separate web domain'}; the answers now say ${after ?? 'none'}. A domain cannot be changed: ` +
    'other servers identify every account and post by it. Followers, follows and conversations would be lost.',
});

/** Refuses an older version, because the newer one has migrated the database. */
export const neverOlder = (before: Value | undefined, after: Value | undefined): ChangeEffect | undefined =>
  isOlder(numbersOf(String(after)) ?? [], numbersOf(String(before)) ?? [])
    ? {
        refused: `The database is at version ${String(before)}. ${String(after)} is older and cannot use it. To go back, restore a backup.`,
      }
    : undefined;

export interface Changed {
  /** Why changes are refused: sentences that say what would be lost. */
  readonly refused: readonly string[];
  /** Notices about what the changes leave behind. */
  readonly leaves: string[];
}

/** Compares a site's current answers (empty: no site yet) with new ones. Skips apps that are added or removed. */
export function changed(questions: readonly Question[], before: Answers, after: Answers): Changed {
  const refused: string[] = [];
  const leaves: string[] = [];
  for (const { key, onChange } of before['apps'] === undefined ? [] : questions) {
    const app = /^apps\.([^.]+)\./.exec(key)?.[1];
    const isThere = (answers: Answers): boolean =>
      app === undefined || String(answers['apps']).split(',').includes(app);
    if (onChange === undefined || before[key] === after[key] || !isThere(before) || !isThere(after)) continue;
    const consequence = onChange(before[key], after[key]);
    if (consequence === undefined) continue;
    if ('refused' in consequence) refused.push(consequence.refused);
    else leaves.push(consequence.leaves);
  }
  return { refused, leaves };
}
