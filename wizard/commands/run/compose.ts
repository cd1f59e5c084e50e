/** Commands that `docker compose` does: in the directory of the site, with the user's terminal. */
import { join } from 'node:path';
import { withRunLock } from '../with-lock.ts';
import { refuseGoodbye } from '../../apply/goodbye.ts';
import { refuseUnfinished } from '../../apply/unfinished.ts';
import { readGoodbyes } from '../../goodbye-record.ts';
import { exists } from '../../atomic.ts';
import { nearest } from '../../config/parse.ts';
import { EXIT, Problem } from '../../problem.ts';
import { runningSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { isOf } from '../../stack/compose.ts';
import type { CommandContext, Run } from '../command.ts';

/** Finds the site, which must have a Compose file, and the named services. Refuses those that it does not have. */
async function siteWith(context: CommandContext): Promise<Site & { readonly services: readonly string[] }> {
  const site = await runningSite(context);
  await site.engine.info();
  if (!(await exists(join(site.folder, 'compose.yaml')))) {
    await refuseUnfinished(site.folder);
    throw new Problem(EXIT.USAGE, `The site in ${site.folder} has not been set up yet.`, {
      next: `Run \`fedi-setup apply --dir ${site.folder}\`.`,
    });
  }
  const { code, stdout, stderr } = await site.engine.compose(site.folder, ['config', '--services']);
  if (code !== 0)
    throw new Problem(
      EXIT.FAILED,
      `Compose rejects the files of the site: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        next: 'Fix the file that it names, or run `fedi-setup apply` to write the generated files again.',
      },
    );
  const services = stdout.trim().split('\n').toSorted();
  const apps = site.config.apps.map(({ id }) => id);
  const chosen = context.words.flatMap((word) => {
    if (services.includes(word)) return [word];
    // The name of an app means all its services.
    if (apps.includes(word)) return services.filter((service) => isOf(word, service));
    const near = nearest(word, [...services, ...apps]);
    throw new Problem(
      EXIT.USAGE,
      `This site has no service ${word}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      { next: `It has: ${services.join(', ')}.` },
    );
  });
  return { ...site, services: chosen };
}

export const logs: Run = async (context) => {
  const { folder, engine, services } = await siteWith(context);
  const { follow, tail = '100', since } = context.flags;
  return engine.composeAttached(folder, [
    'logs',
    ...(follow ? ['--follow'] : []),
    `--tail=${tail}`,
    ...(since === undefined ? [] : [`--since=${since}`]),
    ...services,
  ]);
};

/** Runs a command of Compose that changes containers, under the run lock. */
const changing =
  (...argv: readonly string[]): Run =>
  async (context) => {
    const { folder, engine, services, config } = await siteWith(context);
    if (argv[0] !== 'stop') {
      await refuseUnfinished(folder);
      // One that is not complete needs its containers.
      const done = await readGoodbyes(folder);
      await refuseGoodbye(
        folder,
        config.apps.filter(({ id }) => done[id]?.complete !== undefined),
      );
    }
    return withRunLock(context, folder, () => engine.composeAttached(folder, [...argv, ...services]));
  };

// `docker compose start` fails if a container is missing, as after `docker compose down`.
export const start = changing('up', '--detach', '--no-recreate', '--pull=never');
export const stop = changing('stop');
export const restart = changing('restart');
