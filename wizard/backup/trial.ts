/** Tries repositories that have no backup yet. */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exists } from '../atomic.ts';
import type { Repository } from '../config/backup.ts';
import { readLock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { BACKUP_SECRETS } from '../secrets/backup.ts';
import { Store } from '../secrets/store.ts';
import { accessOf, ensureImage, resticImage } from './access.ts';
import type { BackupSite } from './backup.ts';
import { repositoryId } from './restic.ts';

/**
 * Opens each repository and reports what is there. Creates nothing in it. A repository that fails is only reported: the site
 * runs without it.
 */
export async function tryRepositories(
  site: BackupSite,
  repositories: readonly Repository[],
  progress: Progress,
  now: Date,
): Promise<void> {
  if (repositories.length === 0) return;
  const { folder, config, engine } = site;
  const image = resticImage(await readLock(folder), config.images);
  await ensureImage(engine, image, progress);
  const store = await Store.open(folder);
  if ((await store.ensure(BACKUP_SECRETS, now)).length > 0) await store.save();
  for (const repository of repositories) {
    progress.start(`repository.${repository.text}`, `Repository ${repository.text}`);
    try {
      progress.done(await look(site, store, image, repository));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      progress.fail();
      progress.say(`    ${[error.message, error.next].filter(Boolean).join('\n    ')}`);
    }
  }
}

async function look(site: BackupSite, store: Store, image: string, repository: Repository): Promise<string> {
  const id = await repositoryId(await accessOf(site, store, image, repository));
  const seen = id === undefined ? 'reachable; the first backup creates it' : 'has backups of this site';
  if (repository.kind !== 'local') return seen;
  const where = await nearest(repository.path);
  if (!(await stat(where)).isDirectory())
    throw new Problem(EXIT.FAILED, `${where} is not a directory.`, {
      next: 'Choose another place with --backup-to.',
    });
  const [disk, ours] = await Promise.all([stat(where), stat(site.folder)]);
  const place = where === repository.path ? '' : `, in the new directory ${repository.path}`;
  return `${id === undefined ? `the first backup creates it${place}` : seen}${disk.dev === ours.dev ? '; it is on the disk of the site, and fails with it' : ''}`;
}

/** The directory, or the one above it that exists. */
async function nearest(path: string): Promise<string> {
  return (await exists(path)) || path === '/' ? path : nearest(dirname(path));
}
