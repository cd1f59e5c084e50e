/** Checks whether files and containers are as the answers say. */
import { Problem } from '../problem.ts';
import type { CheckContext, CheckResult } from './check.ts';

export async function checkDifferences({
  info,
  exists,
  differences,
}: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem || !exists || differences === undefined) return undefined;
  const found = await differences();
  return {
    seen:
      found.length === 0
        ? 'files and containers are as the answers say'
        : `${found.length === 1 ? 'a difference' : `${found.length} differences`}`,
    found: found.map(({ what, means }) => ({
      level: 'warning',
      what,
      means,
      next: '`fedi-setup plan` shows it in detail; `fedi-setup apply` applies it.',
    })),
  };
}
