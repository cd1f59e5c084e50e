/** `restore`: restores a site or an app, then applies and proves it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from '../../apply/files.ts';
import { exists } from '../../atomic.ts';
import { readRecord } from '../../backup-record.ts';
import { runningConfig } from '../../apply/generations.ts';
import { withRunLock } from '../with-lock.ts';
import { ensureImage, resticImage } from '../../backup/access.ts';
import { givenKeys, keepSecrets, keyOf } from '../../backup/bucket-keys.ts';
import type { GivenKeys } from '../../backup/bucket-keys.ts';
import { hasCopies } from '../../backup/buckets.ts';
import { openBackups, sshFolder } from '../../backup/restic.ts';
import type { Access, Snapshot } from '../../backup/restic.ts';
import {
  chooseSnapshot,
  existingData,
  keepRepository,
  refuseRestore,
  restoreSite,
} from '../../backup/restore.ts';
import { readContents } from '../../backup/saved.ts';
import type { Manifest } from '../../backup/set.ts';
import { parseRecovery, sheetText } from '../../backup/sheet.ts';
import type { Recovery } from '../../backup/sheet.ts';
import { parseRepository } from '../../config/backup.ts';
import type { Repository } from '../../config/backup.ts';
import { connect } from '../../docker/docker.ts';
import type { Engine } from '../../docker/engine.ts';
import { readLock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import { withLine } from '../../progress.ts';
import { BACKUP_PASSWORD } from '../../secrets/backup.ts';
import { Store } from '../../secrets/store.ts';
import { withScratch } from '../../temporary.ts';
import { timeText } from '../../time.ts';
import { flagText } from '../answer-flag.ts';
import { confirmed } from '../confirm.ts';
import type { CommandContext, Run } from '../command.ts';
import { ownFolder } from '../find-site.ts';
import { answersFor, setUp } from '../setup.ts';
import { version } from '../version.ts';

export const run: Run = async (context) => {
  const { flags, progress } = context;
  const folder = await ownFolder(flags, 'fedi');
  const recovery = await recoveryFor(context, folder);
  const repositories = repositoriesFor(context, recovery);
  const given = givenKeys(
    { keys: flagText(context, 'backup.s3-key'), secrets: flagText(context, 'backup.s3-secret') },
    repositories,
    recovery,
  );
  const engine = await connect();
  await engine.info();

  await withScratch(async (scratch) => {
    const found = await newest(context, engine, folder, repositories, recovery, given, scratch);
    const { access, id, snapshot } = found;
    const { repository } = access;
    const contents = await readContents(access, snapshot);
    const { manifest } = contents;
    for (const line of describe(manifest, snapshot.id, flags.app)) progress.say(line);
    const apps = flags.app.length > 0 ? flags.app : undefined;
    await refuseRestore({ folder, access, manifest, apps });
    if (flags.uploadMedia && !hasCopies(manifest, apps))
      throw new Problem(EXIT.USAGE, 'This backup has no media of a bucket.', {
        means: 'Only backups that were made with backup.buckets: copy have them. Nothing was changed.',
        next: 'Omit --upload-media.',
      });
    const overwritten = await existingData(engine, folder, manifest);
    if (overwritten !== undefined)
      await confirmed(
        context,
        manifest.site,
        apps === undefined
          ? `overwrites ${overwritten} with the backup of ${timeText(manifest.at)}: what was written since is lost`
          : `overwrites the data of ${apps.join(', ')} with the backup of ${timeText(manifest.at)}: what was written since is lost`,
      );
    const keepsQueues = (flags.queues ?? (await askQueues(context, manifest))) !== 'drop';
    await mkdir(folder, { recursive: true });
    await makeFolders(folder);
    await withRunLock(context, folder, async () => {
      await restoreSite({
        folder,
        access,
        snapshot,
        ...contents,
        apps,
        keepsQueues,
        uploadsMedia: flags.uploadMedia,
        progress,
      });
      if (recovery.knownHosts !== undefined && repository.kind === 'sftp') {
        await mkdir(sshFolder(folder), { recursive: true, mode: 0o700 });
        await writeFile(join(sshFolder(folder), 'known_hosts'), recovery.knownHosts, { mode: 0o600 });
      }
      await keepSecrets(folder, access, recovery, context.now());
      await keepRepository(folder, repository.text, id, found.last, context.now());
    });
  });
  // The answers are those of the backup, whatever the flags and the environment say.
  const restored = { ...context, sources: [] };
  return setUp(restored, folder, await answersFor(restored, folder, [], false), true);
};

/** What opens the backups: the file of --password-file, or the secrets of the existing site. */
async function recoveryFor(context: CommandContext, folder: string): Promise<Recovery> {
  const sheet = flagText(context, 'password');
  if (sheet !== undefined) return parseRecovery(sheet, 'The file of --password-file');
  const config = await runningConfig(folder);
  const store = config === undefined ? undefined : await Store.open(folder);
  if (config !== undefined && store?.has(BACKUP_PASSWORD) === true) {
    const recovery = parseRecovery(await sheetText(folder, config, store, version), 'secrets.json');
    // One that never had a backup has none to restore.
    const record = await readRecord(folder);
    const used = recovery.repositories.filter(({ text }) => record.repositories[text]?.last !== undefined);
    return used.length === 0 ? recovery : { ...recovery, repositories: used };
  }
  throw new Problem(EXIT.USAGE, '`restore` needs --password-file.', {
    means: 'The backups are encrypted, and there is no site here that has their password.',
    next: 'Give the recovery sheet, the output of `secrets export`, or a file with the password.',
  });
}

/** The repository of --from, or all of the recovery sheet. */
function repositoriesFor({ flags }: CommandContext, { repositories }: Recovery): readonly Repository[] {
  if (flags.from === undefined && repositories.length > 0) return repositories;
  const parsed = parseRepository(flags.from ?? '');
  if ('value' in parsed) return [parsed.value];
  throw new Problem(
    EXIT.USAGE,
    flags.from === undefined
      ? 'That file lists no repository. Add --from REPOSITORY.'
      : `--from: ${parsed.problem}`,
    { means: 'Nothing was changed.' },
  );
}

interface Found {
  readonly access: Access;
  /** Of the repository. */
  readonly id: string;
  /** The one to restore. */
  readonly snapshot: Snapshot;
  /** The newest one there. */
  readonly last: Snapshot;
}

/**
 * Opens all repositories; returns the one with the newest backup. Throws a Problem if one cannot be opened, since a newer backup
 * may be there. A directory that this host does not have is only reported: its disk may be lost.
 */
async function newest(
  context: CommandContext,
  engine: Engine,
  folder: string,
  repositories: readonly Repository[],
  recovery: Recovery,
  given: GivenKeys,
  scratch: string,
): Promise<Found> {
  const { progress } = context;
  const all: Found[] = [];
  const known = await readRecord(folder);
  let [failed, isLost]: [Problem | undefined, boolean] = [undefined, true];
  for (const repository of repositories) {
    try {
      all.push(
        await withLine(
          progress,
          `repository.${repository.text}`,
          `Repository ${repository.text}`,
          async () => {
            const access = await open(context, engine, folder, repository, recovery, given, scratch);
            const { id, snapshots } = await openBackups(access);
            const snapshot = chooseSnapshot(access, snapshots, context.flags.at);
            return { access, id, snapshot, last: chooseSnapshot(access, snapshots, undefined) };
          },
        ),
      );
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // This site made backups there: its disk is only not mounted.
      const isKnown = known.repositories[repository.text]?.last !== undefined;
      const isGone = repository.kind === 'local' && !isKnown && !(await exists(repository.path));
      if (failed === undefined || (isLost && !isGone)) [failed, isLost] = [error, isGone];
    }
  }
  const [first] = all.toSorted((a, b) => Date.parse(b.snapshot.at) - Date.parse(a.snapshot.at));
  if (first === undefined) throw failed ?? new Error('no repository');
  if (failed === undefined || isLost) return first;
  throw new Problem(failed.exit, failed.message, {
    means: 'A newer backup may be there. Nothing was changed.',
    next: `${failed.next ?? ''} Or restore from another repository: --from ${first.access.repository.text}`.trim(),
  });
}

async function open(
  context: CommandContext,
  engine: Engine,
  folder: string,
  repository: Repository,
  recovery: Recovery,
  given: GivenKeys,
  scratch: string,
): Promise<Access> {
  const image = resticImage(await readLock(folder).catch(() => ({})), restoreImages(context));
  await ensureImage(engine, image, context.progress);
  if (recovery.knownHosts !== undefined)
    await writeFile(join(scratch, 'known_hosts'), recovery.knownHosts, { mode: 0o600 });
  return {
    engine,
    image,
    repository,
    ...(flagText(context, 'password') === undefined ? {} : { isRecovery: true as const }),
    password: recovery.password,
    s3: repository.kind === 's3' ? keyOf(repository.name, given, recovery) : undefined,
    sshKey: recovery.sshKey,
    ownCas: recovery.ownCas,
    ssh: scratch,
  };
}

/** On an empty host the image of restic can be given as an answer. */
function restoreImages({ sources }: CommandContext): Readonly<Record<string, string>> {
  const named = sources.map((source) => source.get('images.restic')?.text).find((text) => text !== undefined);
  return named === undefined ? {} : { restic: named };
}

function describe(manifest: Manifest, id: string, only: readonly string[]): string[] {
  const rows = (app: string): number =>
    manifest.dumps
      .filter((dump) => dump.app === app)
      .flatMap((dump) => Object.values(dump.rows))
      .reduce((sum, n) => sum + n, 0);
  return [
    `  Backup ${id.slice(0, 8)} of ${manifest.site}, ${timeText(manifest.at)}`,
    ...manifest.apps
      .filter((app) => only.length === 0 || only.includes(app.id))
      .map(({ id: app, domain, image }) => {
        const count = rows(app);
        return `    ${app}: https://${domain}, ${image}${count === 0 ? '' : `, ${count} rows`}`;
      }),
    ...manifest.volumes.map(({ key, files }) => `    ${key}: ${files} files`),
    ...manifest.elsewhere.map((place) => `    not in the backup: ${place}`),
  ];
}

/** Jobs that waited are sent again if the old host already sent them. */
async function askQueues(
  { interactive, flags }: CommandContext,
  { dumps }: Manifest,
): Promise<'keep' | 'drop'> {
  if (!interactive || flags.yes || !dumps.some(({ file }) => file.endsWith('.rdb'))) return 'keep';
  const { askChoice } = await import('../../ask/prompts.ts');
  return askChoice('Jobs that waited when the backup was made', [
    { value: 'keep', name: 'Keep them: posts that were not delivered yet are delivered' },
    { value: 'drop', name: 'Drop them: nothing is sent twice; home timelines fill again with new posts' },
  ]);
}
