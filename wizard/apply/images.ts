/** Gets the images of a site onto the host and says exactly which they are. */
import { assetPath } from '../assets.ts';
import type { Engine } from '../docker/engine.ts';
import { lockEntry, lockedReference, pullReference } from '../plan/lock.ts';
import type { Lock, LockEntry, WantedImage } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';

/** The lock for what is wanted, as far as the host has it; no registry is asked. */
export async function lockOf(
  engine: Engine,
  wanted: Readonly<Record<string, WantedImage>>,
  lock: Lock,
): Promise<{ lock: Lock; missing: string[] }> {
  const found: Record<string, LockEntry> = {};
  const missing: string[] = [];
  const drifted: string[] = [];
  const lookedUp = await Promise.all(
    Object.entries(wanted).map(async ([name, spec]) => {
      const locked = lock[name]?.tag === spec.reference ? lock[name] : undefined;
      const image =
        locked === undefined
          ? // A pull by digest leaves no name behind. What somebody put here under the name is what they want.
            ((spec.digest === undefined ? undefined : await engine.image(pullReference(spec))) ??
            (await engine.image(spec.reference)))
          : await engine.image(lockedReference(locked));
      return { name, spec, locked, image };
    }),
  );
  for (const { name, spec, locked, image } of lookedUp) {
    if (image === undefined) {
      missing.push(name);
      continue;
    }
    if (locked === undefined) found[name] = lockEntry(spec, image);
    else if ('id' in locked && locked.id !== image.id) drifted.push(name);
    else found[name] = locked;
  }
  if (drifted.length > 0) {
    const tags = [...new Set(drifted.map((name) => lock[name]?.tag))];
    const several = drifted.length > 1;
    throw new Problem(
      EXIT.REFUSED,
      tags.length > 1
        ? `${tags.join(', ')} are other images now than those this site runs on.`
        : `${tags[0]} is another image now than the one this site runs on.`,
      {
        means: `Somebody built or loaded ${tags.length > 1 ? 'them' : 'it'} anew under the same name. Nothing was changed.`,
        next: `To move to ${tags.length > 1 ? 'them' : 'it'}, remove the ${several ? 'entries' : 'entry'} ${drifted.join(', ')} from images.lock.yaml and run this again.`,
      },
    );
  }
  return { lock: found, missing };
}

/** Pulls or builds what is missing. */
export async function fetchImages(
  engine: Engine,
  wanted: Readonly<Record<string, WantedImage>>,
  lock: Lock,
  missing: readonly string[],
  progress: Progress,
): Promise<void> {
  for (const name of missing) {
    const spec = wanted[name] as WantedImage;
    const locked = lock[name]?.tag === spec.reference ? lock[name] : undefined;
    progress.start(`image.${name}`, `Image ${spec.reference}`);
    try {
      const onLine = (line: string): void => progress.update(line);
      if (spec.build !== undefined)
        await engine.build(spec.reference, assetPath(`compose/${spec.build}`), onLine);
      else
        await engine.pull(
          locked !== undefined && 'digest' in locked ? lockedReference(locked) : pullReference(spec),
          onLine,
        );
      progress.done();
    } catch (error) {
      progress.fail();
      throw error;
    }
  }
}
