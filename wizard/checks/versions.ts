/** Checks whether the site runs the versions of snac, Valkey and others that this fedi-setup has. */
import { olderImages, olderText } from '../apps/majors.ts';
import type { CheckContext, CheckResult } from './check.ts';

export function checkVersions({ config, images }: CheckContext): CheckResult | undefined {
  if (Object.keys(images).length === 0) return undefined;
  const tags = Object.entries(images).map(([name, reference]) => [name, reference.replace(/@.*/, '')]);
  const older = olderImages(config, Object.fromEntries(tags) as Record<string, string>);
  return {
    seen: older.map(({ from }) => from).join(', ') || 'current',
    found: older.map((one) => ({
      level: 'warning',
      what: olderText(one),
      means: 'A new version may change the data, so `apply` does not install it.',
      next: '`fedi-setup upgrade --images` does, after a backup, and restores the data if it fails.',
    })),
  };
}
