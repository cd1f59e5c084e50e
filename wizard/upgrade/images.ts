/** Newer builds of a site's images: under the same tag in their registry, or to be built here again. */
import { appOf } from '../apps/index.ts';
import { dataVersionOf, tagOf, wantedOf } from '../apps/majors.ts';
import { assetPath } from '../assets.ts';
import type { BackupSite } from '../backup/backup.ts';
import { readCompose } from '../backup/set.ts';
import { lockOf } from '../apply/images.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { lockedReference, wantedImages } from '../plan/lock.ts';
import type { Lock, WantedImage } from '../plan/lock.ts';
import { withLine } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { numbersOf } from '../versions.ts';

/** What an upgrade of the images means for the data. */
export interface DataChange {
  /** Images whose software may change its data: undoing that needs the old data. */
  readonly images: readonly NewImage[];
  /** The apps that use them. */
  readonly apps: readonly AppConfig[];
}

/** An image that can be renewed. */
export interface NewImage {
  /** Its name in the image lock. */
  readonly name: string;
  readonly reference: string;
  /** The reference that the site runs, if fedi-setup now wants another one. */
  readonly before?: string;
  /** Digest of a newer build in the registry; absent: it has another reference, is built here, or the registry requires a log-in. */
  readonly digest?: string;
  /** Directory with its Dockerfile; absent: it is pulled. */
  readonly build?: string;
}

type Wanted = Readonly<Record<string, WantedImage>>;

/**
 * Images with a newer build. An image that was loaded here has no registry to ask, and one with a known digest has no other build.
 * Throws a Problem if a registry does not answer.
 */
export async function newImages(engine: Engine, wanted: Wanted, running: Lock): Promise<NewImage[]> {
  const found = await Promise.all(
    Object.entries(wanted).map(async ([name, { reference, digest, build }]): Promise<NewImage[]> => {
      const entry = running[name];
      if (entry === undefined) return [];
      const image = { name, reference, ...(entry.tag === reference ? {} : { before: entry.tag }) };
      if (build !== undefined) return [{ ...image, build }];
      if (image.before !== undefined) return [image];
      if (!('digest' in entry) || digest !== undefined) return [];
      const published = await engine.findInRegistry(reference);
      return published === undefined || published.digest === entry.digest
        ? []
        : [{ ...image, digest: published.digest }];
    }),
  );
  return found.flat();
}

/** Image name → digest of the newer build that its registry has under the same tag. Throws a Problem if a registry does not answer. */
export async function newerBuilds(
  engine: Engine,
  config: Config,
  running: Lock,
): Promise<Record<string, string>> {
  const images = await newImages(engine, wantedImages(config, running), running);
  return Object.fromEntries(
    images.flatMap((image) =>
      image.digest === undefined || isUnknown(config, image) ? [] : [[image.name, image.digest]],
    ),
  );
}

/** Names of the images whose newer build, found earlier, is not installed yet. */
export const openBuilds = (builds: Readonly<Record<string, string>> = {}, running: Lock): string[] =>
  Object.keys(builds).filter((name) => {
    const entry = running[name];
    return entry !== undefined && 'digest' in entry && entry.digest !== builds[name];
  });

/**
 * Whether an image may be another version of software that changes its data. A build from packages, and a tag that does not name
 * the version, may be any.
 */
export function changesData(config: Config, { name, reference, before, build }: NewImage): boolean {
  const spec = wantedOf(config, name)?.spec;
  if (spec?.data === undefined) return false;
  const { parts } = spec.data;
  const isFixed = (numbersOf(tagOf(reference))?.length ?? 0) >= parts;
  if (build !== undefined || !isFixed) return true;
  return before !== undefined && dataVersionOf(before, spec) !== dataVersionOf(reference, spec);
}

/**
 * Whether an image is an app whose version an answer chooses, but not in this image: only the administrator knows what it
 * migrates.
 */
export const isUnknown = (config: Config, image: NewImage): boolean =>
  typeof wantedOf(config, image.name)?.spec.reference === 'function' && changesData(config, image);

/** What installing some images means for the data. */
export function dataChange(config: Config, images: readonly NewImage[]): DataChange {
  const changing = images.filter((image) => changesData(config, image));
  const uses = ({ id, options }: AppConfig, name: string): boolean => {
    const spec = appOf(id).images[name];
    return spec !== undefined && spec.when?.(options) !== false;
  };
  return {
    images: changing,
    apps: config.apps.filter((app) => changing.some(({ name }) => uses(app, name))),
  };
}

/** One image in words. */
export const imageText = ({ reference, before, build }: NewImage): string =>
  before !== undefined
    ? `${before} → ${reference}`
    : build === undefined
      ? `${reference}, a newer build`
      : `${reference}, built here again with current packages`;

/** The services that run some images. */
export async function servicesOf(
  { folder }: Pick<BackupSite, 'folder'>,
  running: Lock,
  images: readonly NewImage[],
): Promise<string[]> {
  const references = images.flatMap(({ name }) => {
    const entry = running[name];
    return entry === undefined ? [] : [lockedReference(entry)];
  });
  const { services } = await readCompose(folder);
  return Object.entries(services)
    .filter(([, { image }]) => references.includes(String(image)))
    .map(([name]) => name);
}

/** Pulls the newer builds. @returns the image lock with them, without those that are built later */
export async function pullImages(
  engine: Engine,
  wanted: Wanted,
  running: Lock,
  images: readonly NewImage[],
  progress: Progress,
): Promise<Lock> {
  const pulled = new Set<string>();
  for (const { name, reference, before, build } of images) {
    if (build !== undefined) continue;
    // One with another name was fetched before, unless it was loaded here.
    if (before !== undefined) continue;
    await withLine(progress, `image.${name}`, `Image ${reference}`, () =>
      engine.pull(reference, (line) => progress.update(line)),
    );
    pulled.add(name);
  }
  const isNew = (name: string): boolean => images.some((one) => one.name === name);
  const others = Object.fromEntries(Object.entries(running).filter(([name]) => !isNew(name)));
  const { lock } = await lockOf(engine, wanted, others, pulled);
  const isBuilt = (name: string): boolean =>
    images.some((one) => one.name === name && one.build !== undefined);
  return Object.fromEntries(Object.entries(lock).filter(([name]) => !isBuilt(name)));
}

/** Name of a new build until the site uses it. */
const nextOf = (reference: string): string => `${reference}-next`;

/** Builds those that are built here, from current packages. They get their names by {@link nameBuilds}. */
export async function buildImages(
  engine: Engine,
  images: readonly NewImage[],
  progress: Progress,
): Promise<void> {
  for (const { name, reference, build } of images)
    if (build !== undefined)
      await withLine(progress, `image.${name}`, `Image ${reference}`, () =>
        engine.build(
          nextOf(reference),
          assetPath(`compose/${build}`),
          (line) => progress.update(line),
          'fresh',
        ),
      );
}

/** Gives new builds their names. The old images lose them; {@link restoreTags} returns them. */
export async function nameBuilds(engine: Engine, images: readonly NewImage[]): Promise<void> {
  for (const { reference, build } of images) {
    const built = build === undefined ? undefined : await engine.image(nextOf(reference));
    if (built !== undefined) await engine.tag(built.id, reference);
  }
}

/** Removes new builds that were not used. */
export async function dropBuilds(engine: Engine, images: readonly NewImage[]): Promise<void> {
  for (const { reference, build } of images)
    if (build !== undefined) await engine.removeImage(nextOf(reference));
}

/** Gives locked images without a digest their names again, if another build has them. */
export async function restoreTags(engine: Engine, lock: Lock): Promise<void> {
  for (const entry of Object.values(lock)) {
    if (!('id' in entry) || (await engine.image(entry.tag))?.id === entry.id) continue;
    if ((await engine.image(entry.id)) !== undefined) await engine.tag(entry.id, entry.tag);
  }
}
