/** A restore that was interrupted: the site's data are incomplete until it is run again. */
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, writeWhole } from '../atomic.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem, codeOf } from '../problem.ts';
import { readMediaRecord } from '../media-record.ts';
import { timeText } from '../time.ts';
import { isAlive, lockedBy } from './runlock.ts';
import { isInterrupted, readUpgrading } from './upgrading.ts';

const FILE = join(OWN, 'restore.json');

/** What is being restored. */
export interface Restoring {
  readonly from: string;
  readonly snapshot: string;
  /** Apps; absent: the whole site. */
  readonly apps?: readonly string[];
}

/** compose.yaml during a restore or an undo: where `docker compose up` does not find it. */
export const HIDDEN_COMPOSE = join(OWN, 'restore-compose.yaml');

export async function beginRestore(folder: string, restoring: Restoring): Promise<void> {
  await writeWhole(join(folder, FILE), `${JSON.stringify(restoring)}\n`, 0o600);
  await hideCompose(folder);
}

/** Moves compose.yaml away, if there is one. */
export async function hideCompose(folder: string): Promise<void> {
  await rename(join(folder, 'compose.yaml'), join(folder, HIDDEN_COMPOSE)).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}

/** Moves it back. */
export const showCompose = (folder: string): Promise<void> =>
  rename(join(folder, HIDDEN_COMPOSE), join(folder, 'compose.yaml'));

export async function endRestore(folder: string): Promise<void> {
  await showCompose(folder);
  await rm(join(folder, FILE), { force: true });
}

/** Whether a restore of the site was interrupted. */
export const isUnfinished = (folder: string): Promise<boolean> => exists(join(folder, FILE));

const MOVED = join(OWN, 'moved');

/** Records that the site was stopped to move it to another host. */
export const keepMoved = (folder: string): Promise<void> => writeWhole(join(folder, MOVED), '', 0o600);

/** Lets the site start again. */
export const forgetMoved = (folder: string): Promise<void> => rm(join(folder, MOVED), { force: true });

/** Whether the site was stopped to move it to another host. */
export const isMoved = (folder: string): Promise<boolean> => exists(join(folder, MOVED));

/** Throws exit 3 if the site was stopped to move it. */
export async function refuseMoved(folder: string): Promise<void> {
  if (!(await isMoved(folder))) return;
  throw new Problem(EXIT.REFUSED, 'This site was stopped to move it to another host.', {
    means: 'If it runs there, it must not run here too: other servers cannot tell which one is real.',
    next: 'If it does not run anywhere else, `fedi-setup backup resume` allows it to start here again.',
  });
}

/** Throws exit 6 if an upgrade is in progress, and exit 3 if one was interrupted. */
export async function refuseUpgrading(folder: string): Promise<void> {
  const upgrading = await readUpgrading(folder);
  if (upgrading === undefined) return;
  if (!(await isInterrupted(upgrading))) throw lockedBy(upgrading.owner);
  const { app, to, at, withData, phase, external } = upgrading;
  throw new Problem(
    EXIT.REFUSED,
    `The upgrade of ${app} to ${to}, started at ${timeText(at)}, was interrupted.`,
    {
      means: withData ? 'The site is in maintenance mode.' : 'The site may run without some containers.',
      next:
        phase === 'proven'
          ? '`fedi-setup upgrade` completes it.'
          : external
            ? '`fedi-setup upgrade` restores the previous version, or says how to go on if the external database was changed.'
            : '`fedi-setup upgrade` restores the previous version.',
    },
  );
}

/** Throws exit 6 while the place of media changes, and exit 3 if that was interrupted: the app may be stopped. */
async function refuseMoving(folder: string): Promise<void> {
  for (const [app, { to, at, phase, owner }] of Object.entries((await readMediaRecord(folder)).moves)) {
    if (phase !== 'switching') continue;
    if (await isAlive(owner)) throw lockedBy(owner);
    throw new Problem(
      EXIT.REFUSED,
      `The move of the media of ${app}, started at ${timeText(at)}, was interrupted at its end.`,
      {
        means: 'The app may be stopped.',
        next: `\`fedi-setup media move --to ${to} --app ${app}\` completes it.`,
      },
    );
  }
}

/**
 * Throws exit 3 if a restore was interrupted, since its data are incomplete; if the site was stopped to move it; or if an
 * upgrade or a move of media is not complete.
 * @param byMedia the run moves media
 */
export async function refuseUnfinished(folder: string, byMedia?: 'media'): Promise<void> {
  await refuseMoved(folder);
  await refuseUpgrading(folder);
  if (byMedia === undefined) await refuseMoving(folder);
  const text = await readFile(join(folder, FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return;
  let restoring: Partial<Restoring> = {};
  try {
    restoring = JSON.parse(text) as Partial<Restoring>;
  } catch {
    // Only for the message.
  }
  const { from = 'REPOSITORY', snapshot = 'SNAPSHOT', apps } = restoring;
  throw new Problem(EXIT.REFUSED, 'A restore of this site was interrupted.', {
    means: 'Its data are incomplete, so nothing may start on them.',
    next: `Run it again: \`fedi-setup restore --from ${from} --at ${snapshot}${apps === undefined ? '' : ` --app ${apps.join(',')}`} --dir ${folder}\`, with --password-file if you gave it before.`,
  });
}
