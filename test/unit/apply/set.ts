/** Two sets of files of one site, and a program that writes the second over any state. Run by crash.test.ts. */
import { commit, compare, recover } from '../../../wizard/apply/files.ts';
import type { PlannedFile } from '../../../wizard/layout.ts';
import { Problem } from '../../../wizard/problem.ts';

export const HUSH = 'hunter2';

export const file = (path: string, text: string, more: Partial<PlannedFile> = {}): PlannedFile => ({
  path,
  text,
  mode: 0o644,
  secret: false,
  generated: true,
  ...more,
});
export const secretFile = (path: string, text: string): PlannedFile =>
  file(path, text, { mode: 0o600, secret: true });

export const OLD: readonly PlannedFile[] = [
  file('fedi.yaml', 'name: old\n', { generated: false }),
  file('compose.yaml', 'old\n'),
  secretFile('env/a.env', `A=${HUSH}-old\n`),
  file('caddy/sites/gone.caddy', 'old\n'),
];

export const FRESH: readonly PlannedFile[] = [
  file('fedi.yaml', 'name: new\n', { generated: false }),
  file('compose.yaml', 'new, and longer\n'),
  secretFile('env/a.env', `A=${HUSH}-new\n`),
  file('caddy/tls/new.caddy', 'new\n'),
  file('trust/root.crt', 'new\n'),
];

/** Writes a set as apply does. */
export async function write(
  folder: string,
  set: readonly PlannedFile[],
  keep: readonly string[] = [],
): Promise<number> {
  return commit(folder, await compare(folder, set), new Set(keep));
}

/** `node … FOLDER commit|recover`: exit 0, or 1 with the message of a Problem, or 99 for any other error. */
export async function program(folder: string, what: string): Promise<number> {
  try {
    await recover(folder);
    if (what === 'commit') await write(folder, FRESH);
    return 0;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    process.stderr.write(error.message);
    return 1;
  }
}
