/** Opens repositories with the secrets of a site. */
import { SITE_IMAGES } from '../answers/questions.ts';
import type { Config } from '../config/config.ts';
import { forBucket } from '../config/backup.ts';
import type { ByBucket, Repository } from '../config/backup.ts';
import { secretFor } from '../config/backup-keys.ts';
import type { Engine } from '../docker/engine.ts';
import { lockedReference } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { BACKUP_PASSWORD, BACKUP_SSH_KEY } from '../secrets/backup.ts';
import type { Store } from '../secrets/store.ts';
import { readOwnCas } from '../trust.ts';
import { sshFolder } from './restic.ts';
import type { Access } from './restic.ts';

/** Reference of restic's image: the locked one of the site, or the default. */
export const resticImage = (lock: Lock, images: Config['images']): string =>
  lock['restic'] === undefined
    ? (images['restic'] ?? SITE_IMAGES.restic.reference)
    : lockedReference(lock['restic']);

/** Pulls an image that the host does not have. */
export async function ensureImage(engine: Engine, reference: string, progress: Progress): Promise<void> {
  if ((await engine.image(reference)) !== undefined) return;
  progress.start('image', `Image ${reference}`);
  try {
    await engine.pull(reference, (line) => progress.update(line));
    progress.done();
  } catch (error) {
    progress.fail();
    throw error;
  }
}

/** Volume for restic's cache. It has Compose's labels, so that `uninstall --data` removes it. */
async function cacheVolume(engine: Engine, site: string): Promise<string> {
  const name = `${site}_backup_cache`;
  if ((await engine.volume(name)) === undefined) await engine.createVolume(name, site, 'backup_cache');
  return name;
}

function keyOf(bucket: string, keys: ByBucket, store: Store): NonNullable<Access['s3']> {
  const [key, secret] = [forBucket(keys, bucket), store.find(secretFor(keys, bucket))];
  if (key !== undefined && secret !== undefined) return { key, secret };
  throw new Problem(EXIT.USAGE, `The key of the bucket ${bucket} is missing.`, {
    means: 'Nothing was changed.',
    next: 'Give it to `fedi-setup apply`: --backup-s3-key and --backup-s3-secret-file. A key without HOST/BUCKET= is for every bucket that has no other.',
  });
}

/** Access to a repository of a site. Throws a Problem if a secret is missing. */
export async function accessOf(
  site: { readonly folder: string; readonly config: Config; readonly engine: Engine },
  store: Store,
  image: string,
  repository: Repository,
): Promise<Access> {
  const { folder, config, engine } = site;
  const { backup } = config;
  return {
    engine,
    image,
    repository,
    password: store.get(BACKUP_PASSWORD),
    s3: repository.kind === 's3' ? keyOf(repository.name, backup?.s3Keys ?? {}, store) : undefined,
    sshKey: store.find(BACKUP_SSH_KEY),
    ownCas: await readOwnCas(folder, config),
    ssh: sshFolder(folder),
    cache: await cacheVolume(engine, config.name),
    limitKiB: backup?.limitKiB,
  };
}
