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
  for (const { name, spec, locked, image, digest } of lookedUp) {
    if (image === undefined) {
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
