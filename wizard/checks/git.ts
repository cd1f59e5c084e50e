/** Checks whether Git tracks, or would track, files with secrets. */
import { IGNORED } from '../layout.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

const paths = IGNORED.map((pattern) => pattern.replace(/^\/|\/$/g, ''));

/** Applies only to a directory in a Git work tree. */
export async function checkGit({ folder, host }: CheckContext): Promise<CheckResult | undefined> {
  const tracked = await host.git(folder, ['ls-files', '--', ...paths]);
  const open = await host.git(folder, ['ls-files', '--others', '--exclude-standard', '--', ...paths]);
  if (tracked === undefined || open === undefined) return undefined;
  const found: Finding[] = [];
  const shown = (lines: readonly string[]): string =>
    `${lines.slice(0, 3).join(', ')}${lines.length > 3 ? ` and ${lines.length - 3} more` : ''}`;
  if (tracked.length > 0)
    found.push({
      level: 'blocker',
      what: `Git tracks files with secrets: ${shown(tracked)}.`,
      means: 'They are in every copy of the repository, also in its history.',
      next: `\`git rm -r --cached ${paths.join(' ')}\`, then commit. If others have a copy, also run \`fedi-setup secrets rotate\` for each secret that can be rotated.`,
    });
  if (open.length > 0)
    found.push({
      level: 'warning',
      what: `Git does not ignore files with secrets: ${shown(open)}.`,
      means: 'The next `git add .` would commit them.',
      next: `Add these lines to the .gitignore in ${folder}: ${IGNORED.join(' ')}`,
    });
  return { seen: found.length === 0 ? 'files with secrets are ignored' : 'a Git work tree', found };
}
