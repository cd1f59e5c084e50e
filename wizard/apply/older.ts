/** Keeps the versions of software that changes its data, and refuses software that cannot use its data. */
import { appOf } from '../apps/index.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { isOtherData, tagOf, wantedOf } from '../apps/majors.ts';
import { wantedImages } from '../plan/lock.ts';
import type { Lock, WantedImage } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { isOlder, numbersOf } from '../versions.ts';
import { readGenerations, runningLock } from './generations.ts';

/** The version numbers of a reference that decide which data it can use. */
const numbersIn = (reference: string, parts: number): number[] | undefined =>
  numbersOf(tagOf(reference))?.slice(0, parts);

/**
 * The images that a run uses: those of the answers, but without a chosen image, software that changes its data keeps the version
 * that ran on them. Throws exit 3 if an image cannot use the data.
 * @param lock of the site; generations, if there are any, know better what ran on the data
 * @param moved names of the images that get another version in this run, which can undo it
 * @param keepsAll a chosen image does not change a version either
 */
export async function imagesFor(
  folder: string,
  config: Config,
  engine: Engine,
  lock: Lock,
  moved: readonly string[] = [],
  keepsAll = false,
): Promise<Record<string, WantedImage>> {
  const held: Record<string, { readonly tag: string }> = {};
  for (const [name, { tag }] of Object.entries(
    await withoutLostBuilds(engine, await heldImages(folder, lock)),
  )) {
    const isDifferent = isOther(config, name, tag);
    if (!moved.includes(name) && isDifferent && (await hasDataFor(config, name, engine)))
      held[name] = { tag };
  }
  const chosen = Object.entries(config.images).filter(([name]) => !keepsAll || held[name] === undefined);
  const wanted = wantedImages({ ...config, images: Object.fromEntries(chosen) }, held);
  await refuseOlder(folder, config, engine, wanted, moved);
  return wanted;
}

/**
 * A lock without the images that were built here and are gone: this version of fedi-setup may not be able to build them, so the
 * data are used by what it builds, which is newer.
 */
export async function withoutLostBuilds(engine: Pick<Engine, 'image'>, lock: Lock): Promise<Lock> {
  const there: [string, Lock[string]][] = [];
  for (const [name, entry] of Object.entries(lock))
    if (!('source' in entry && entry.source === 'built') || (await engine.image(entry.id)) !== undefined)
      there.push([name, entry]);
  return Object.fromEntries(there);
}

/** Image name → the image that last ran on its data. */
export async function heldImages(folder: string, lock: Lock): Promise<Lock> {
  const locks = (await readGenerations(folder)).map((one) => one.lock);
  return Object.assign({}, lock, ...locks) as Lock;
}

/** Whether an image is another version than the one that the answers want, of software that changes its data. */
function isOther(config: Config, name: string, tag: string): boolean {
  const wanted = wantedOf(config, name);
  if (wanted === undefined || typeof wanted.spec.reference !== 'string') return false;
  return isOtherData(tag, wanted.reference, wanted.spec);
}

const hasDataFor = async (config: Config, name: string, engine: Engine): Promise<boolean> =>
  (
    await Promise.all(
      config.apps
        .filter(({ id }) => appOf(id).images[name] !== undefined)
        .map((app) => hasData(config, app, engine)),
    )
  ).some(Boolean);

/**
 * Throws exit 3 if an image is older than one that this site ran on the same data, which it may have migrated, or if its major
 * version is another one, unless this run moves the data. A tag without a number cannot be compared.
 */
async function refuseOlder(
  folder: string,
  config: Config,
  engine: Engine,
  wanted: Readonly<Record<string, WantedImage>>,
  moved: readonly string[],
): Promise<void> {
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
  const generations = await readGenerations(folder);
  for (const { app, name, data, reference } of keeping) {
    const { name: product } = appOf(app.id);
    const ours = numbersIn(reference, data.parts);
    const entries = generations.flatMap(({ lock }) => lock[name]?.tag ?? []);
    const [newest] = (data.fixed === undefined ? entries : sinceLastMajor(entries, data.fixed))
      .flatMap((tag) => ({ tag, numbers: numbersIn(tag, data.parts) ?? [] }))
      .filter(({ numbers }) => numbers.length > 0)
      .toSorted((a, b) => (isOlder(a.numbers, b.numbers) ? 1 : isOlder(b.numbers, a.numbers) ? -1 : 0));
    if (ours === undefined || newest === undefined || !(await hasData(config, app, engine))) continue;
    const isOther =
      data.fixed !== undefined &&
      !moved.includes(name) &&
      String(ours.slice(0, data.fixed)) !== String(newest.numbers.slice(0, data.fixed));
    const back = isOlder(ours, newest.numbers);
    if (!back && !isOther) continue;
    throw new Problem(
      EXIT.REFUSED,
      back
        ? `The data of ${product} are from ${newest.tag}, and ${reference} is older.`
        : `The data of ${product} are from ${newest.tag}; ${reference} cannot read them.`,
      {
        means: `${
          isOther
            ? `A database server reads only data of the same major version, here ${newest.numbers.slice(0, data.fixed).join('.')}.`
            : 'Newer software migrates its data, and older software cannot use them then.'
        } Nothing was changed.`,
        next: back
          ? `Keep ${newest.tag} or use a newer version. To go back, restore backups of the data and of the site directory, both from before the update.`
          : `\`fedi-setup upgrade --databases\` moves the data to it. Until then, remove images.${name} from fedi.yaml, or set it to ${newest.tag}.`,
      },
    );
  }
}

/** References of the newest generations with the same major version. @param tags oldest first */
function sinceLastMajor(tags: readonly string[], fixed: number): string[] {
  const majors = tags.map((tag) => numbersIn(tag, fixed)?.join('.'));
  const last = majors.findLast((one) => one !== undefined);
  const other = majors.findLastIndex((one) => one !== undefined && one !== last);
  return tags.slice(other + 1);
}

/** Whether an app has data that an image could harm; assumed for an external server. */
async function hasData({ name }: Config, { id, options }: AppConfig, engine: Engine): Promise<boolean> {
  const volumes = appOf(id)
    .markers(options)
    .flatMap((marker) => ('volume' in marker ? [`${name}_${marker.volume}`] : []));
  if (volumes.length === 0) return true;
  return (await Promise.all(volumes.map((one) => engine.volume(one)))).some((one) => one !== undefined);
}
