import { differencesOf } from '../differences.ts';
import { withRunLock } from '../with-lock.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { doctor } from '../../checks/preflight.ts';
import { lockedReference, readLock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import { checkOptions, runningSite } from '../find-site.ts';
import type { Run } from '../command.ts';
import { writeBundle } from './bundle.ts';
import { tune } from './tune.ts';

export const run: Run = async (context) => {
  const { flags } = context;
  const [action = 'check', file] = context.words;
  if (action !== 'check' && action !== 'bundle')
    throw new Problem(EXIT.USAGE, `There is no \`doctor ${action}\`.`, {
      next: 'Use check or bundle [FILE].',
    });
  if ((action === 'bundle' || flags.tune) && flags.fix)
    throw new Problem(EXIT.USAGE, '--fix goes with neither bundle nor --tune.', {
      means: 'Nothing was changed.',
    });
  const site = await runningSite(context);
  const { folder } = site;
  const images = Object.fromEntries(
    Object.entries(await readLock(folder)).map(([name, entry]) => [name, lockedReference(entry)]),
  );
  const unfinished = await refuseUnfinished(folder).catch((error: unknown) => {
    if (error instanceof Problem) return error;
    throw error;
  });
  const checks = {
    ...checkOptions(context, site),
    images,
    caddy: images['caddy'],
    unfinished: unfinished ?? undefined,
    differences: () => differencesOf(site, context.now),
  };
  if (action === 'bundle') return writeBundle(context, site, checks, file);
  if (flags.tune) return tune(context, site);
  const look = (fix: boolean): Promise<void> => doctor({ ...checks, fix });
  if (!flags.fix) {
    await look(false);
    return site.isInvalid ? EXIT.FAILED : EXIT.OK;
  }
  await withRunLock(context, folder, async () => {
    await look(true);
  });
  return site.isInvalid ? EXIT.FAILED : EXIT.OK;
};
