/** Reports a restore or an upgrade that was interrupted, and a site that was moved away. */
import { EXIT } from '../problem.ts';
import type { CheckContext, CheckResult } from './check.ts';

/** Applies only to a site with one. */
export async function checkUnfinished({
  unfinished,
}: Pick<CheckContext, 'unfinished'>): Promise<CheckResult | undefined> {
  // Another run may be at work.
  if (unfinished === undefined || unfinished.exit === EXIT.LOCKED) return undefined;
  const { message, means = '', next = '' } = unfinished;
  return { seen: 'not complete', found: [{ level: 'blocker', what: message, means, next }] };
}
