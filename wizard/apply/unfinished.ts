/** A restore that was interrupted: the site's data are incomplete until it is run again. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../atomic.ts';
import { OWN } from '../layout.ts';
import { EXIT, Problem } from '../problem.ts';

const FILE = join(OWN, 'restore.json');

/** What is being restored. */
export interface Restoring {
  readonly from: string;
  readonly snapshot: string;
  /** Apps; absent: the whole site. */
  readonly apps?: readonly string[];
}

export const beginRestore = (folder: string, restoring: Restoring): Promise<void> =>
  writeWhole(join(folder, FILE), `${JSON.stringify(restoring)}\n`, 0o600);

export const endRestore = (folder: string): Promise<void> => rm(join(folder, FILE), { force: true });

/** Throws exit 3 if a restore was interrupted: nothing may start on data that are incomplete. */
export async function refuseUnfinished(folder: string): Promise<void> {
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
    next: `Run it again: \`fedi-setup restore --from ${from} --at ${snapshot}${apps === undefined ? '' : ` --app ${apps.join(',')}`} --password-file FILE --dir ${folder}\`.`,
  });
}
