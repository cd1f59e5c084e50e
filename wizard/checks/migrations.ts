/** Checks whether the databases have all migrations of the installed versions. */
import { appOf } from '../apps/index.ts';
import type { App } from '../apps/app.ts';
import { pendingMigrations } from '../apps/migrations.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { EXIT, Problem } from '../problem.ts';
import { notMade } from './check.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** Names that are listed. */
const LISTED = 3;

/** Runs the migration job of an app, as each start of the site does. */
async function migrate({ engine, folder }: CheckContext, id: string): Promise<string> {
  const service = `${id}_gate`;
  const { code, stdout, stderr } = await engine.compose(folder, ['run', '--rm', '--no-deps', '-T', service]);
  if (code === 0) return `${service} ran`;
  throw new Problem(EXIT.FAILED, `The migrations of ${appOf(id).name} failed.`, {
    means: 'Some of them may have run.',
    next: 'Fix the cause that its last lines show, then run this again.',
    log: `${stdout}\n${stderr}`.trim().split('\n').slice(-20).join('\n'),
  });
}

/** Applies to apps with a database. */
export async function checkMigrations(context: CheckContext): Promise<CheckResult | undefined> {
  const { config, engine, info, exists, images } = context;
  if (info instanceof Problem || !exists) return undefined;
  const runtime = runtimeOf(engine, config.name);
  const seen: string[] = [];
  const found: Finding[] = [];
  for (const app of config.apps) {
    const { name, upgrades } = appOf(app.id) as App;
    const image = upgrades && images[upgrades.image];
    if (upgrades === undefined || image === undefined) continue;
    try {
      const open = await pendingMigrations(engine, runtime, upgrades, app, image);
      const names = [...(open?.before ?? []), ...(open?.after ?? [])];
      seen.push(
        `${name}: ${open === undefined ? 'its image lists no migrations' : names.length === 0 ? 'the database has all' : `${names.length} missing`}`,
      );
      if (names.length > 0)
        found.push({
          level: 'blocker',
          what: `The database of ${name} lacks ${names.length === 1 ? 'a migration' : `${names.length} migrations`} of the installed version: ${names.slice(0, LISTED).join(', ')}${names.length > LISTED ? ' and others' : ''}.`,
          means: 'Pages and jobs that need them fail.',
          next: `\`fedi-setup doctor --fix\` runs them. If they fail, \`fedi-setup logs ${app.id}_gate\` shows why.`,
          fix: () => migrate(context, app.id),
        });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      seen.push(`${name}: not checked`);
      found.push(...notMade(error.message, error.next ?? '').found);
    }
  }
  return seen.length === 0 ? undefined : { seen: seen.join('; '), found };
}
