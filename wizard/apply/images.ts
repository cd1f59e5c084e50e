/** Pulls or builds the images of a site and locks them. */
import { assetPath } from '../assets.ts';
import type { Engine, Image } from '../docker/engine.ts';
import { digestOf, lockEntry, lockedReference, pullReference } from '../plan/lock.ts';
import type { Lock, LockEntry, WantedImage } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';

/**
 * The digest of an image that a registry has. In containerd's image store every named image has a digest, which is its id, even
 * a loaded one: the registry is asked then, unless this run pulled the image.
 */
async function publishedDigest(
  engine: Engine,
  spec: WantedImage,
  image: Image,
  pulled: boolean,
): Promise<string | undefined> {
  const digest = spec.build === undefined ? digestOf(spec, image) : undefined;
  if (digest === undefined || digest !== image.id || pulled || image.pulled === true) return digest;
  if (image.pulled === false) return undefined;
  const found = await engine.findInRegistry(`${spec.reference}@${digest}`).catch((error: unknown) => {
    // Not found, or the registry is unreachable.
    if (error instanceof Problem) return undefined;
    throw error;
  });
  return found?.digest === digest ? digest : undefined;
}

/** The lock entry of a wanted image. An image built here has no digest, whatever an older lock says. */
function lockedOf(lock: Lock, name: string, spec: WantedImage): LockEntry | undefined {
  const entry = lock[name];
  if (entry?.tag !== spec.reference || ('digest' in entry && spec.build !== undefined)) return undefined;
  return entry;
}

/**
 * The lock for the wanted images, as far as the host has them. Locked images are only looked up.
 * @param pulled names of the images that this run pulled
 */
export async function lockOf(
  engine: Engine,
  wanted: Readonly<Record<string, WantedImage>>,
  lock: Lock,
  pulled: ReadonlySet<string> = new Set(),
): Promise<{ lock: Lock; missing: string[] }> {
  const found: Record<string, LockEntry> = {};
  const missing: string[] = [];
  const drifted: string[] = [];
  const lookedUp = await Promise.all(
    Object.entries(wanted).map(async ([name, spec]) => {
      const locked = lockedOf(lock, name, spec);
      const image =
        locked === undefined
          ? // A pull by digest leaves no name. An image that the user put here under the name is the wanted one.
            ((spec.digest === undefined ? undefined : await engine.image(pullReference(spec))) ??
            (await engine.image(spec.reference)))
          : await engine.image(lockedReference(locked));
      const digest =
        locked === undefined && image !== undefined
          ? await publishedDigest(engine, spec, image, pulled.has(name))
          : undefined;
      return { name, spec, locked, image, digest };
    }),
  );
  const foreign = await foreignIn(engine, lookedUp);
  const refused = foreign.filter(({ name, image }) => pulled.has(name) || image.digests.length === 0);
  if (refused.length > 0) throw wrongProcessor(refused);
  for (const { name, spec, locked, image, digest } of lookedUp) {
    // One for another processor is pulled again: the registry may have the right one by now.
    if (image === undefined || foreign.some((one) => one.name === name)) {
      missing.push(name);
      continue;
    }
    if (locked === undefined) found[name] = lockEntry(spec, image, digest);
    else if ('id' in locked && locked.id !== image.id) drifted.push(name);
    else found[name] = locked;
  }
  if (drifted.length > 0) {
    const tags = [...new Set(drifted.map((name) => lock[name]?.tag))];
    throw new Problem(
      EXIT.REFUSED,
      tags.length > 1
        ? `${tags.join(', ')} now name other images than those this site runs.`
        : `${tags[0]} now names another image than the one this site runs.`,
      {
        means: `Another image was built, loaded or pulled under the same name. Nothing was changed.`,
        next: toMove(drifted),
      },
    );
  }
  return { lock: found, missing };
}

interface LookedUp {
  readonly name: string;
  readonly spec: WantedImage;
  readonly locked: LockEntry | undefined;
  readonly image: Image | undefined;
}

interface ForeignImage {
  readonly name: string;
  readonly spec: WantedImage;
  readonly image: Image;
  /** Of the engine. */
  readonly ours: string;
}

/** Images that this site does not run yet and that are for another processor. */
async function foreignIn(engine: Engine, all: readonly LookedUp[]): Promise<ForeignImage[]> {
  const added = all.filter(({ locked, image }) => locked === undefined && image?.architecture !== undefined);
  if (added.length === 0) return [];
  const { architecture: ours } = await engine.info();
  return added.flatMap(({ name, spec, image }) =>
    image === undefined || image.architecture === ours ? [] : [{ name, spec, image, ours }],
  );
}

const wrongProcessor = (images: readonly ForeignImage[]): Problem =>
  new Problem(
    EXIT.REFUSED,
    images
      .map(
        ({ spec, image, ours }) =>
          `${spec.reference} is for ${image.architecture ?? ''}, but this machine is ${ours}.`,
      )
      .join('\n'),
    {
      means: 'It cannot run here. Nothing was changed.',
      next: `Publish, pull or load it for ${images[0]?.ours ?? ''} under this name, or choose another image with --images-NAME, and run this again.`,
    },
  );

/** How to use the images on the host instead of the locked ones. */
export const toMove = (names: readonly string[]): string =>
  `To use ${names.length > 1 ? 'them' : 'it'}, remove the ${names.length > 1 ? 'entries' : 'entry'} ${names.join(', ')} from images.lock.yaml and run this again.`;

/** What to pull for a missing image: by the locked digest if there is one. */
export function referenceToPull(lock: Lock, name: string, spec: WantedImage): string {
  const locked = lockedOf(lock, name, spec);
  return locked !== undefined && 'digest' in locked ? lockedReference(locked) : pullReference(spec);
}

/** Pulls or builds missing images. Resolves to the names of the pulled ones. */
export async function fetchImages(
  engine: Engine,
  wanted: Readonly<Record<string, WantedImage>>,
  lock: Lock,
  missing: readonly string[],
  progress: Progress,
): Promise<Set<string>> {
  const pulled = new Set<string>();
  for (const name of missing) {
    const spec = wanted[name] as WantedImage;
    progress.start(`image.${name}`, `Image ${spec.reference}`);
    try {
      const onLine = (line: string): void => progress.update(line);
      if (spec.build !== undefined)
        await engine.build(spec.reference, assetPath(`compose/${spec.build}`), onLine);
      else {
        await engine.pull(referenceToPull(lock, name, spec), onLine);
        pulled.add(name);
      }
      progress.done();
    } catch (error) {
      progress.fail();
      throw error;
    }
  }
  return pulled;
}
