/** Files that ship with the package: compose/, caddy/, and the programs that run in containers. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Both wizard/ (source) and dist/ (bundle) are directly below the package's root.
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Path of a shipped file or folder, such as `compose/snac.yaml`. */
export function assetPath(name: string): string {
  return join(ROOT, name);
}

export function readAsset(name: string): Promise<string> {
  return readFile(assetPath(name), 'utf8');
}

/**
 * A program in PHP, Ruby or shell, without its head: the opening tag and the comment, which end at the first empty line.
 * Call it when a command is built, so that a start of the tool reads no program.
 * @param name path below wizard/, such as `apps/shared/programs/psql.sh`
 */
export function readProgram(name: string): string {
  const text = readFileSync(assetPath(`wizard/${name}`), 'utf8');
  return text.slice(text.indexOf('\n\n') + 2);
}

/** A word of a shell command. */
export const shellQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A shell program as a command, with its arguments. @param name see {@link readProgram} */
export const shellProgram = (
  name: string,
  argv: readonly string[] = [],
  shell: 'sh' | 'bash' = 'sh',
): readonly string[] => [shell, '-c', readProgram(name), shell, ...argv];
