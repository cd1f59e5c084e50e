/** `.gitignore` of a site directory: written once, then the administrator's to edit. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IGNORED } from '../layout.ts';
import type { PlannedFile } from '../layout.ts';
import { readManifest } from './files.ts';

const GITIGNORE = '.gitignore';

const TEXT = `# Written by fedi-setup, only once: change it as you like. These have secrets or change with every run.
${IGNORED.join('\n')}
*.fedi-new
`;

/** The file as it will be, with the administrator's edits; none if it is not ours. */
export async function gitignore(folder: string): Promise<PlannedFile[]> {
  const existing = await readFile(join(folder, GITIGNORE), 'utf8').catch(() => undefined);
  if (existing !== undefined && !(GITIGNORE in (await readManifest(folder)).files)) return [];
  return [{ path: GITIGNORE, text: existing ?? TEXT, mode: 0o644, secret: false, generated: true }];
}
