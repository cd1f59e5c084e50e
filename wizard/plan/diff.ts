/** Shows changes: text as a patch, env files by key without values. */
import type { PlannedFile } from '../layout.ts';

/** One file of the site: its current and its planned text. */
export interface Change {
  readonly path: string;
  readonly kind: 'create' | 'update' | 'same' | 'remove';
  /** Changed or created by hand. */
  readonly edited: boolean;
  /** Edited, and nothing is lost if it stays so: what fedi-setup writes has not changed since it wrote the file. */
  readonly keepable: boolean;
  /** Text on the disk, or a description of it; undefined: there is no file. */
  readonly before: string | undefined;
  /** Hash of what is on the disk. */
  readonly found: string | undefined;
  /** The planned file; undefined for a removal. */
  readonly file: PlannedFile | undefined;
}

/** The patch of one file from disk to plan. Secret texts are compared by key only. */
export async function patch(change: Change): Promise<string> {
  const before = change.before ?? '';
  const after = change.file?.text ?? '';
  // Whether a removed file was secret is no longer known.
  if (change.file === undefined && !change.path.endsWith('.env')) return `- ${change.path}`;
  if (change.file?.secret ?? true) {
    return change.path.endsWith('.env')
      ? `${change.path}:\n${envPatch(before, after)}`
      : `~ ${change.path} (hidden)`;
  }
  const { createTwoFilesPatch } = await import('./patch.ts');
  return createTwoFilesPatch(change.path, change.path, before, after, 'now', 'planned', { context: 2 });
}

function envPatch(before: string, after: string): string {
  const read = (text: string): Map<string, string> =>
    new Map(
      text
        .split('\n')
        .filter((line) => /^[A-Z]/.test(line))
        .map((line) => [line.slice(0, line.indexOf('=')), line]),
    );
  const [old, now] = [read(before), read(after)];
  const lines: string[] = [];
  for (const [name, line] of now) {
    if (!old.has(name)) lines.push(`  + ${name}`);
    else if (old.get(name) !== line) lines.push(`  ~ ${name} (hidden)`);
  }
  for (const name of old.keys()) if (!now.has(name)) lines.push(`  - ${name}`);
  return lines.join('\n');
}
