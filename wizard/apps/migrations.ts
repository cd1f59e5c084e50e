/** Which migrations an upgrade runs. */
import type { Migrations, Upgrades } from './app.ts';
import type { AppConfig } from '../config/config.ts';
import { runOneShot } from '../docker/engine.ts';
import type { Engine } from '../docker/engine.ts';
import type { Runtime } from '../docker/runtime.ts';
import { EXIT, Problem } from '../problem.ts';

/**
 * The migrations that are in an image and not yet in the database. The image does not run: its files are listed. Undefined:
 * the image has no such files.
 * @param image reference of the new image, which is on the host
 */
export async function pendingMigrations(
  engine: Engine,
  runtime: Runtime,
  { list, parse, done }: Upgrades,
  { options }: AppConfig,
  image: string,
): Promise<Migrations | undefined> {
  const listed = await runOneShot(engine, { image, argv: list });
  if (listed.code !== 0) return undefined;
  const files = parse(listed.stdout);
  if (files.before.length === 0) return undefined;
  const { service, check } = done(options);
  const { code, stdout, stderr } = await runtime.exec(service, check);
  if (code !== 0)
    throw new Problem(EXIT.FAILED, `The migrations of the database cannot be read: ${stderr.trim()}`, {
      means: 'Nothing was changed.',
      next: 'Check with `fedi-setup doctor` that the site works, then run this again.',
    });
  const there = new Set(stdout.split('\n').map((line) => line.trim()));
  const isOpen = (name: string): boolean => !there.has(name);
  return { before: files.before.filter(isOpen), after: files.after.filter(isOpen) };
}

/**
 * Refuses a new version whose migrations did not all run: Pixelfed's job can end with 0 although one was skipped.
 * @param name of the version: "Pixelfed v0.14.4"
 */
export function refuseUnmigrated(name: string, left: Migrations | undefined): void {
  const open = [...(left?.before ?? []), ...(left?.after ?? [])];
  if (open.length === 0) return;
  throw new Problem(
    EXIT.FAILED,
    `${open.length} ${open.length === 1 ? 'migration' : 'migrations'} of ${name} did not run: ${open.slice(0, 3).join(', ')}${open.length > 3 ? ', …' : ''}`,
    {
      means: 'The job that runs them reported no error, but the database does not list them.',
      next: 'Look at the release notes of that version, then run this again.',
    },
  );
}
