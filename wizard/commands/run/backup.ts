/** `backup`: makes, lists, verifies and drills backups; writes the recovery sheet. */
import { readFile } from 'node:fs/promises';
import { resolve as resolvePath } from 'node:path';
import { refuseForeign } from '../../apply/foreign.ts';
import { withRunLock } from '../with-lock.ts';
import { forgetMoved, keepMoved, refuseUnfinished } from '../../apply/unfinished.ts';
import { removeTimer } from '../../maintain/timer.ts';
import { exists, writeWhole } from '../../atomic.ts';
import { readRecord, writeRecord } from '../../backup-record.ts';
import { accessOf, ensureImage, resticImage } from '../../backup/access.ts';
import { makeBackup, verifyBackup } from '../../backup/backup.ts';
import type { Backed } from '../../backup/backup.ts';
import { drill } from '../../backup/drill.ts';
import { openBackups, removeLocks } from '../../backup/restic.ts';
import type { Access, Snapshot } from '../../backup/restic.ts';
import { chooseSnapshot } from '../../backup/restore.ts';
import { readContents } from '../../backup/saved.ts';
import { dumpsOf, readCompose } from '../../backup/set.ts';
import { sheetText } from '../../backup/sheet.ts';
import { sizeText } from '../../checks/check.ts';
import { parseRepository } from '../../config/backup.ts';
import type { Backup, Repository } from '../../config/backup.ts';
import { readLock } from '../../plan/lock.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { ExitCode } from '../../problem.ts';
import { withLine } from '../../progress.ts';
import { BACKUP_PASSWORD, BACKUP_SSH_KEY, publicLine } from '../../secrets/backup.ts';
import { Store } from '../../secrets/store.ts';
import { timeText } from '../../time.ts';
import type { CommandContext, Run } from '../command.ts';
import { existingSite } from '../find-site.ts';
import type { Site } from '../find-site.ts';
import { version } from '../version.ts';

const DEFAULTS: Pick<Backup, 'keep' | 'everyHours'> = {
  keep: { daily: 7, weekly: 4, monthly: 6 },
  everyHours: 24,
};

export const run: Run = async (context) => {
  const site = await existingSite(context);
  await site.engine.info();
  const [action = 'run', file] = context.words;
  if (context.flags.stop && action !== 'run')
    throw new Problem(EXIT.USAGE, `\`backup ${action}\` does not take --stop.`, {
      means: 'Nothing was changed.',
    });
  if (action === 'run') return backUp(context, site);
  if (action === 'list') return list(context, site);
  if (action === 'verify') {
    await verifyAll(context, site);
    return EXIT.OK;
  }
  if (action === 'drill') return runDrill(context, site);
  if (action === 'sheet') return sheet(context, site, file);
  if (action === 'key') return key(context, site);
  if (action === 'unlock') return unlock(context, site);
  if (action === 'resume') return resume(context, site);
  throw new Problem(EXIT.USAGE, `There is no \`backup ${action}\`.`, {
    next: 'Use run, list, verify, drill, sheet [FILE], key, unlock or resume.',
  });
};

/** The repositories of --to, or those of the answers. Throws a Problem if there are none. */
export function repositoriesFor({ flags }: CommandContext, { config }: Site): readonly Repository[] {
  if (flags.to.length > 0)
    return flags.to.map((text) => {
      const parsed = parseRepository(text);
      if ('value' in parsed) return parsed.value;
      throw new Problem(EXIT.USAGE, `--to ${text}: ${parsed.problem}`, { means: 'Nothing was changed.' });
    });
  const { repositories = [] } = config.backup ?? {};
  if (repositories.length > 0) return repositories;
  throw new Problem(EXIT.USAGE, 'No place for backups is configured.', {
    means: 'Nothing was backed up.',
    next: 'Set one: `fedi-setup apply --backup-to /mnt/backup` (or sftp://…, s3:…), or give it once with --to.',
  });
}

async function backUp(context: CommandContext, site: Site): Promise<ExitCode> {
  const { progress } = context;
  const results = await backUpSite(context, site, repositoriesFor(context, site));
  const sameDisk = results.filter((one) => one.sameDisk === true).map(({ repository }) => repository.text);
  if (sameDisk.length > 0)
    progress.say(`\n  ! On the same disk as the site, which fails with it: ${sameDisk.join(', ')}`);
  const { sheet: written } = await readRecord(site.folder);
  if (written === undefined && results.some(({ problem }) => problem === undefined))
    progress.say(
      '\n  ! Only this host has the password of these backups. If you lose the host, you lose them.\n    Write the recovery sheet and keep it on another machine: `fedi-setup backup sheet FILE`',
    );
  refuseFailed(results);
  return EXIT.OK;
}

/** Makes a backup in each repository, under the run lock. Reports each of them. */
export async function backUpSite(
  context: CommandContext,
  site: Site,
  repositories: readonly Repository[],
): Promise<Backed[]> {
  const { progress, now } = context;
  const { folder, config, engine } = site;
  await refuseUnfinished(folder);
  // Refuses a site that was never set up.
  await readCompose(folder);
  await refuseForeign(folder, config.name, await engine.containers(config.name));
  const results = await withRunLock(context, folder, () => {
    const { keep, everyHours } = config.backup ?? DEFAULTS;
    const make = (): Promise<Backed[]> =>
      makeBackup({ ...site, repositories, keep, everyHours, tool: version, progress, now });
    return context.flags.stop ? whileStopped(context, site, make) : make();
  });
  for (const { repository, snapshot, bytes = 0, added = 0, problem } of results) {
    progress.emit({
      event: 'backup',
      repository: repository.text,
      ok: problem === undefined,
      snapshot,
      bytes,
      added,
      why: problem?.message,
    });
    if (problem === undefined)
      progress.say(
        `  ${repository.text}: ${snapshot ?? ''}, ${sizeText(bytes)}, ${sizeText(added)} of it new`,
      );
  }
  return results;
}

/** Stops all services but the databases, which are dumped; afterwards those too, or starts the others again if the backup failed. */
async function whileStopped(
  { progress }: CommandContext,
  { folder, config, engine }: Site,
  make: () => Promise<Backed[]>,
): Promise<Backed[]> {
  const servers = dumpsOf(config.apps, await Store.open(folder)).flatMap(({ service }) => service ?? []);
  const running = (await engine.containers(config.name)).filter(({ state }) => state === 'running');
  const services = running.map(({ service }) => service).filter((service) => !servers.includes(service));
  const compose = async (...argv: readonly string[]): Promise<void> => {
    const { code, stderr } = await engine.compose(folder, argv);
    if (code === 0) return;
    throw new Problem(
      EXIT.FAILED,
      `docker compose ${argv[0] ?? ''} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`,
      {
        next: '`fedi-setup start` starts the site again.',
      },
    );
  };
  await withLine(progress, 'stop', 'Site stopped', () => compose('stop', ...services));
  let results: Backed[] = [];
  try {
    results = await make();
  } finally {
    const isComplete = results.length > 0 && results.every(({ problem }) => problem === undefined);
    await (isComplete ? compose('stop') : compose('start', ...services));
  }
  if (results.some(({ problem }) => problem !== undefined)) return results;
  await keepMoved(folder);
  await removeTimer({ site: config.name, folder });
  const { timer: _, ...record } = await readRecord(folder);
  await writeRecord(folder, record);
  progress.say('  The site is stopped. Restore it on the other host and do not start it here again.');
  return results;
}

/** Throws a Problem if a repository failed. */
export function refuseFailed(results: readonly Backed[]): void {
  const failed = results.flatMap(({ repository, problem }) =>
    problem === undefined ? [] : [{ repository, problem }],
  );
  const [first] = failed;
  if (first === undefined) return;
  if (results.length === 1) throw first.problem;
  throw new Problem(
    EXIT.FAILED,
    `${failed.length} of ${results.length} repositories failed:\n${failed.map(({ repository, problem }) => `  - ${repository.text}: ${problem.message.replace(/\.?$/, '.')}${problem.next === undefined ? '' : ` ${problem.next}`}`).join('\n')}`,
    {
      means:
        failed.length < results.length ? 'The backups in the others are complete.' : 'No backup was made.',
      next: 'Fix that and run this again.',
    },
  );
}

/** Access to repositories whose backups exist. */
async function accessesFor(context: CommandContext, site: Site): Promise<Access[]> {
  const { folder, config, engine } = site;
  const repositories = repositoriesFor(context, site);
  const store = await Store.open(folder);
  if (!store.has(BACKUP_PASSWORD))
    throw new Problem(EXIT.USAGE, 'This site has no backups yet.', { next: 'Run `fedi-setup backup`.' });
  const image = resticImage(await readLock(folder), config.images);
  await ensureImage(engine, image, context.progress);
  return Promise.all(repositories.map((repository) => accessOf(site, store, image, repository)));
}

async function list(context: CommandContext, site: Site): Promise<ExitCode> {
  const { progress } = context;
  let first: Problem | undefined;
  for (const access of await accessesFor(context, site)) {
    const { text } = access.repository;
    progress.print(text);
    let snapshots: readonly Snapshot[];
    try {
      ({ snapshots } = await openBackups(access));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      first ??= error;
      progress.print(`  ${error.message}`);
      continue;
    }
    for (const { id, at, bytes } of snapshots) {
      progress.emit({ event: 'snapshot', repository: text, id: id.slice(0, 8), at, bytes });
      progress.print(`  ${id.slice(0, 8)}  ${timeText(at)}  ${bytes === undefined ? '' : sizeText(bytes)}`);
    }
    if (snapshots.length === 0) progress.print('  no backups yet');
  }
  if (first !== undefined) throw first;
  return EXIT.OK;
}

/** Reads and verifies all data of every repository, under the run lock. */
export async function verifyAll(context: CommandContext, site: Site): Promise<void> {
  await withRunLock(context, site.folder, async () => {
    for (const access of await accessesFor(context, site))
      await withLine(
        context.progress,
        `verify.${access.repository.text}`,
        `All data in ${access.repository.text}`,
        () => verifyBackup(site, access, context.now()),
      );
  });
}

/** Drills the newest backup of each repository. */
async function runDrill(context: CommandContext, site: Site): Promise<ExitCode> {
  const { progress, now } = context;
  const { folder } = site;
  let ok = true;
  let failed: Problem | undefined;
  const drillOne = async (access: Access): Promise<void> => {
    const snapshot = chooseSnapshot(access, (await openBackups(access)).snapshots, undefined);
    const contents = await readContents(access, snapshot);
    progress.say(
      `Drill of ${snapshot.id.slice(0, 8)} in ${access.repository.text}, ${timeText(contents.manifest.at)}`,
    );
    ok = (await drill({ folder, access, snapshot, ...contents, progress, now })) && ok;
  };
  context.onInterrupted('The site was not changed. What the drill restored was removed.');
  await withRunLock(context, folder, async () => {
    for (const access of await accessesFor(context, site))
      try {
        await drillOne(access);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        failed ??= error;
        progress.say(`  ${access.repository.text}: ${error.message}`);
      }
  });
  if (ok && failed !== undefined) throw failed;
  if (ok) {
    progress.say('  The backup can be restored. What the drill restored was removed.');
    return EXIT.OK;
  }
  throw new Problem(EXIT.UNPROVEN, 'The backup cannot be restored completely.', {
    means: 'The site was not changed. What the drill restored was removed.',
    next: 'Run `fedi-setup backup`, then the drill again. If it fails again, `fedi-setup backup verify` shows whether the repository is damaged.',
  });
}

async function sheet(
  context: CommandContext,
  site: Site,
  name = `${site.config.name}-recovery.yaml`,
): Promise<ExitCode> {
  const { progress, flags, now } = context;
  const { folder } = site;
  if (name === '-') {
    if (flags.json)
      throw new Problem(EXIT.USAGE, 'With --json, `backup sheet` needs the name of a file.', {
        next: 'Name a file, or omit --json.',
      });
    progress.print((await sheetOf(site)).trimEnd());
    await writeRecord(folder, { ...(await readRecord(folder)), sheet: now().toISOString() });
  } else await writeSheet(context, site, resolvePath(name));
  return EXIT.OK;
}

async function sheetOf({ folder, config }: Site): Promise<string> {
  const store = await Store.open(folder);
  if (store.has(BACKUP_PASSWORD)) return sheetText(folder, config, store, version);
  throw new Problem(EXIT.USAGE, 'This site has no backups yet, so there is no password.', {
    next: 'Run `fedi-setup backup` first.',
  });
}

/** Writes the recovery sheet to a new file, or replaces an older sheet. */
export async function writeSheet({ progress, now }: CommandContext, site: Site, path: string): Promise<void> {
  const text = await sheetOf(site);
  const [first = ''] = text.split('\n');
  const old = await readFile(path, 'utf8').catch(() => '');
  if ((await exists(path)) && !old.startsWith(first))
    throw new Problem(EXIT.USAGE, `${path} already exists, and is not the recovery sheet of this site.`, {
      means: 'It was not touched.',
      next: 'Choose another file.',
    });
  await writeWhole(path, text, 0o600);
  await writeRecord(site.folder, { ...(await readRecord(site.folder)), sheet: now().toISOString() });
  progress.emit({ event: 'exported', path });
  progress.say(
    `${path} is the recovery sheet (mode 0600). Anyone who has it can read all backups. Keep a copy on another machine.`,
  );
}

/** Lets a site start again that was stopped to move it. */
async function resume({ progress }: CommandContext, { folder }: Site): Promise<ExitCode> {
  await forgetMoved(folder);
  progress.say(
    'The site may start here again: `fedi-setup apply`, and `fedi-setup maintain install` if it had a timer. Make sure that it does not run anywhere else.',
  );
  return EXIT.OK;
}

/** Removes locks that a killed program left. */
async function unlock(context: CommandContext, site: Site): Promise<ExitCode> {
  for (const access of await accessesFor(context, site))
    await withLine(
      context.progress,
      `unlock.${access.repository.text}`,
      `Locks removed from ${access.repository.text}`,
      () => removeLocks(access),
    );
  return EXIT.OK;
}

async function key({ progress }: CommandContext, { folder, config }: Site): Promise<ExitCode> {
  const secret = (await Store.open(folder)).find(BACKUP_SSH_KEY);
  if (secret === undefined)
    throw new Problem(EXIT.USAGE, 'This site has no SSH key for backups yet.', {
      next: 'Set `backup.to` and run `fedi-setup apply`, or run `fedi-setup backup --to sftp://…` once.',
    });
  progress.print(publicLine(secret.reveal(), `fedi-setup-${config.name}`));
  return EXIT.OK;
}
