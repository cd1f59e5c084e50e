/** What is known about a site's backups: `.fedi/backups.json`. Written by `backup`, read by `status` and `doctor`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from './atomic.ts';
import { OWN } from './layout.ts';

const FILE = 'backups.json';

/** Of one repository. Times are ISO 8601. */
export interface RepositoryRecord {
  /** Id that restic gave it. */
  readonly id: string;
  /** A directory on the disk of the site, which fails with it. */
  readonly sameDisk?: true;
  /** Whether this host could remove a backup there, when it last tried. */
  readonly removable?: { readonly at: string; readonly is: boolean };
  /** When the first backup was made there. */
  readonly first?: string;
  /** The last complete backup; absent: none yet. */
  readonly last?: { readonly at: string; readonly snapshot: string; readonly bytes: number };
  /** When all of its data were last read and compared with their checksums. */
  readonly verified?: string;
  /** The last error; absent: the last backup succeeded. */
  readonly failed?: { readonly at: string; readonly why: string };
}

export interface BackupRecord {
  /** By the address of the repository. */
  readonly repositories: Readonly<Record<string, RepositoryRecord>>;
  /** When the recovery sheet was last written. */
  readonly sheet?: string;
  /** How `maintain` is started, by which version. `checks`: and `maintain check` every few minutes. */
  readonly timer?: { readonly by: string; readonly version: string; readonly checks?: true };
  /** When `maintain` ran last. */
  readonly maintained?: string;
  /** The last upgrade of each app, and for how many seconds visitors had to wait. */
  readonly upgraded?: Readonly<
    Record<string, { readonly at: string; readonly to: string; readonly seconds: number }>
  >;
  /**
   * When the registries were last asked for new versions, the newest patch release of each app, and the digests of newer builds
   * under the tags of the site, by the name of the image.
   */
  readonly releases?: {
    readonly at: string;
    readonly newest: Readonly<Record<string, string>>;
    readonly builds?: Readonly<Record<string, string>>;
  };
  /** App, or `images` → the version, or builds, whose upgrade by `maintain` failed: it is not tried again. */
  readonly refused?: Readonly<Record<string, string>>;
  /** When `cleanup` ran last. */
  readonly cleaned?: string;
  /** The last restore drill. */
  readonly drill?: { readonly at: string; readonly ok: boolean };
}

export async function readRecord(folder: string): Promise<BackupRecord> {
  try {
    const record = JSON.parse(
      await readFile(join(folder, OWN, FILE), 'utf8'),
    ) as Partial<BackupRecord> | null;
    return { ...record, repositories: record?.repositories ?? {} };
  } catch {
    return { repositories: {} }; // without it, only a repository that disappeared is not recognised
  }
}

/** Hours since a time; Infinity if there is none. */
export const hoursSince = (at: string | undefined, now: Date): number =>
  at === undefined ? Infinity : (now.getTime() - Date.parse(at)) / 3_600_000;

export const writeRecord = (folder: string, record: BackupRecord): Promise<void> =>
  writeWhole(join(folder, OWN, FILE), `${JSON.stringify(record, null, 2)}\n`, 0o600);
