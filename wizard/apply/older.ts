/** Refuses software that is older than its data. */
import { appOf } from '../apps/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { wantedImages } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { readGenerations, runningLock } from './generations.ts';

const tagOf = (reference: string): string => reference.slice(reference.lastIndexOf(':') + 1);

/** The version numbers of a reference that decide which data it can use. */
const numbersIn = (reference: string, parts: number): number[] | undefined =>
  numbersOf(tagOf(reference))?.slice(0, parts);

/**
 * Throws exit 3 if an image is older than one that this site ran on the same data, which it may have migrated. A tag without a
 * number cannot be compared.
 */
export async function refuseOlder(folder: string, config: Config, engine: Engine): Promise<void> {
  const wanted = wantedImages(config);
  const running = await runningLock(folder);
  const changed = Object.keys(wanted).filter((name) => wanted[name]?.reference !== running[name]?.tag);
  const keeping = config.apps.flatMap((app) =>
    changed.flatMap((name) => {
      const data = appOf(app.id).images[name]?.data;
      return data === undefined ? [] : [{ app, name, data, reference: wanted[name]?.reference ?? '' }];
    }),
  );
  if (keeping.length === 0) return;
  // All generations: the app may have been removed for a while.
  const locks = (await readGenerations(folder)).map(({ lock }) => lock);
  for (const { app, name, data, reference } of keeping) {
    const { name: product } = appOf(app.id);
    const ours = numbersIn(reference, data.parts);
    const [newest] = locks
      .flatMap((lock) => lock[name]?.tag ?? [])
      .flatMap((tag) => ({ tag, numbers: numbersIn(tag, data.parts) ?? [] }))
      .filter(({ numbers }) => numbers.length > 0)
      .toSorted((a, b) => (isOlder(a.numbers, b.numbers) ? 1 : isOlder(b.numbers, a.numbers) ? -1 : 0));
    if (ours === undefined || newest === undefined || !(await hasData(config, app, engine))) continue;
    const back = isOlder(ours, newest.numbers);
    if (!back && (data.fixed !== true || !isOlder(newest.numbers, ours))) continue;
    throw new Problem(
      EXIT.REFUSED,
      back
        ? `The data of ${product} are from ${newest.tag}, and ${reference} is older.`
        : `The data of ${product} are from ${newest.tag}; ${reference} cannot read them.`,
      {
        means: `${
          data.fixed === true
            ? `A database server reads only data of the same major version, ${newest.numbers.join('.')}.`
            : 'Newer software migrates its data, and older software cannot use them then.'
        } Nothing was changed.`,
        next: back
          ? `Keep ${newest.tag} or use a newer version. To go back, restore backups of the data and of the site directory, both from before the update.`
          : `Keep ${newest.tag}. To switch, dump the database, then load it into a new site.`,
      },
    );
  }
}

/** Whether an app has data that an image could harm; assumed for an external server. */
async function hasData({ name }: Config, { id, options }: AppConfig, engine: Engine): Promise<boolean> {
  const volumes = appOf(id)
    .markers(options)
    .flatMap((marker) => ('volume' in marker ? [`${name}_${marker.volume}`] : []));
  if (volumes.length === 0) return true;
  return (await Promise.all(volumes.map((one) => engine.volume(one)))).some((one) => one !== undefined);
}
