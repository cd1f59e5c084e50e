/** images.lock.yaml: which exact image each service runs. Only an upgrade or a changed answer changes it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf } from '../apps/index.ts';
import { referenceOf } from '../apps/app.ts';
import type { FixedImage } from '../apps/app.ts';
import { isOtherData } from '../apps/majors.ts';
import type { Config } from '../config/config.ts';
import { componentsOf } from '../components/index.ts';
import { SITE_IMAGES } from '../answers/questions.ts';
import type { Image } from '../docker/engine.ts';
import { cannotRead } from '../atomic.ts';
import { EXIT, Problem, codeOf, messageOf } from '../problem.ts';
import { parseYaml, printYaml } from '../yaml.ts';

export const LOCK_FILE = 'images.lock.yaml';

/** `digest` for an image from a registry, `id` for one that was built or loaded here. */
export type LockEntry =
  | { readonly tag: string; readonly digest: string }
  | { readonly tag: string; readonly id: string; readonly source: 'built' | 'loaded' };

export type Lock = Readonly<Record<string, LockEntry>>;

/** An image as the answers want it. */
export interface WantedImage {
  readonly reference: string;
  /** The only accepted content. */
  readonly digest?: string;
  readonly build?: string;
}

/**
 * The images a site needs, by name.
 * @param held images whose version the data have: a default of another one does not replace them
 * @param arch of this host
 */
export function wantedImages(
  config: Config,
  held: Readonly<Record<string, Pick<LockEntry, 'tag'>>> = {},
  arch: NodeJS.Architecture = process.arch,
): Record<string, WantedImage> {
  const specs: Record<string, FixedImage> = { caddy: SITE_IMAGES.caddy };
  if (config.backup !== undefined) specs['restic'] = SITE_IMAGES.restic;
  if (config.backup?.copiesBuckets === true) specs['rclone'] = SITE_IMAGES.rclone;
  for (const { images } of componentsOf(config))
    for (const [name, spec] of Object.entries(images))
      if (spec.isNeeded?.(config) ?? true) specs[name] = spec;
  // An answer chooses the version of these.
  const chosenBefore = new Set<string>();
  for (const { id, options } of config.apps) {
    for (const [name, spec] of Object.entries(appOf(id).images)) {
      if (spec.when?.(options) === false) continue;
      specs[name] = { ...spec, reference: referenceOf(spec, options) };
      if (typeof spec.reference !== 'string') chosenBefore.add(name);
    }
  }
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => {
      const ours = spec.reference;
      const before = held[name]?.tag;
      const isHeld = before !== undefined && !chosenBefore.has(name) && isOtherData(before, ours, spec);
      const chosen = config.images[name] ?? ours;
      const reference = isHeld && chosen === ours ? before : chosen;
      const known = spec.known?.[reference];
      // Only our own image is built here.
      return [
        name,
        {
          reference,
          ...(known?.on.includes(arch) ? { digest: known.digest } : {}),
          ...(reference === ours && spec.build !== undefined ? { build: spec.build } : {}),
        },
      ];
    }),
  );
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';

function isEntry(entry: unknown): entry is LockEntry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { tag, digest, id } = entry as Record<string, unknown>;
  return isText(tag) && (isText(digest) || isText(id));
}

/** Throws if the text is not an image lock. */
export function parseLock(text: string): Lock {
  const lock: unknown = parseYaml(text) ?? {};
  if (typeof lock !== 'object' || lock === null || Array.isArray(lock))
    throw new Error('it is not a list of images');
  const wrong = Object.entries(lock).find(([, entry]) => !isEntry(entry));
  if (wrong !== undefined) throw new Error(`${wrong[0]} has no tag with a digest or an id`);
  return lock as Lock;
}

export async function readLock(folder: string): Promise<Lock> {
  const path = join(folder, LOCK_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return {};
    throw cannotRead(path, error);
  }
  try {
    return parseLock(text);
  } catch (error) {
    throw new Problem(EXIT.FAILED, `${path} is damaged: ${messageOf(error)}.`, {
      means: 'It pins the images of the site. Nothing was changed.',
      next: 'Restore it from the newest directory in .fedi/generations, or remove it: the images on this host are then locked again.',
      cause: error,
    });
  }
}

export function printLock(lock: Lock): string {
  return `# Which exact images this site runs. Written by fedi-setup; an entry that you remove is written again.\n${printYaml(lock)}`;
}

/** The digest of an image under the repository that the answers name. */
export function digestOf({ reference }: WantedImage, image: Image): string | undefined {
  const repository = reference.slice(0, reference.lastIndexOf(':'));
  const short = repository.replace(/^docker\.io\/(library\/)?/, '');
  const found = image.digests.find((one) => one.startsWith(`${repository}@`) || one.startsWith(`${short}@`));
  return found?.slice(found.indexOf('@') + 1);
}

/** The lock entry of an image on the host. @param digest if a registry has it */
export function lockEntry(spec: WantedImage, image: Image, digest: string | undefined): LockEntry {
  return digest === undefined || spec.build !== undefined
    ? { tag: spec.reference, id: image.id, source: spec.build === undefined ? 'loaded' : 'built' }
    : { tag: spec.reference, digest };
}

/** The reference to pull if nothing is locked yet. */
export const pullReference = ({ reference, digest }: WantedImage): string =>
  digest === undefined ? reference : `${reference}@${digest}`;

/** The value of `image:`; a local image by its tag, since `docker save` and `load` drop digests. */
export function lockedReference(entry: LockEntry): string {
  return 'digest' in entry ? `${entry.tag}@${entry.digest}` : entry.tag;
}
