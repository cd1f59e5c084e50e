/** Checks whether Git tracks, or would track, files with secrets. */
import { IGNORED, OWN } from '../layout.ts';
import { firstOf } from '../lists.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** As arguments of git. */
const PATHS = IGNORED.map((pattern) => pattern.replace(/^\/|\/$/g, ''));

/** Files whose content is secret first. */
const sorted = (lines: readonly string[]): string[] =>
  lines.toSorted((a, b) => Number(a.includes(OWN)) - Number(b.includes(OWN)));

/** Applies only to a directory in a Git work tree. */
export async function checkGit({
  folder,
  host,
}: Pick<CheckContext, 'folder' | 'host'>): Promise<CheckResult | undefined> {
  const tracked = await host.git(folder, ['ls-files', '--', ...PATHS]);
  const open = await host.git(folder, ['ls-files', '--others', '--exclude-standard', '--', ...PATHS]);
  if (tracked === undefined || open === undefined) return undefined;
  const found: Finding[] = [];
  const shown = (lines: readonly string[]): string => firstOf(sorted(lines), 3);
  if (tracked.length > 0)
    found.push({
      level: 'blocker',
      what: `Git tracks files with secrets: ${shown(tracked)}.`,
      means: 'They are in every copy of the repository, also in its history.',
      next: `\`git -C ${folder} rm -r --cached --ignore-unmatch ${PATHS.map((path) => (path.includes('*') ? `'${path}'` : path)).join(' ')}\`, add these lines to its .gitignore: ${IGNORED.join(' ')}, then commit. If others have a copy, also rotate the secrets (\`fedi-setup secrets\`).`,
    });
  if (open.length > 0)
    found.push({
      level: 'warning',
      what: `Git does not ignore files with secrets: ${shown(open)}.`,
      means: 'The next `git add .` would commit them.',
      next: `Add these lines to its .gitignore: ${IGNORED.join(' ')}.`,
    });
  return {
    seen: found.length === 0 ? 'files with secrets are ignored' : 'the site is in a Git work tree',
    found,
  };
}
