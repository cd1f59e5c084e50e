/** What a backup says about itself: its manifest, and the site's answers, secrets and image lock. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configOf } from '../answers/config.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource } from '../answers/sources.ts';
import type { Config } from '../config/config.ts';
import { LOCK_FILE, readLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { EXIT, Problem } from '../problem.ts';
import { STORE_FILE, Store } from '../secrets/store.ts';
import { OWNERS, repositoryProblem, restic } from './restic.ts';
import type { Access, Snapshot } from './restic.ts';
import { MANIFEST, SET } from './set.ts';
import type { Manifest } from './set.ts';

/** Read without restoring anything. */
export interface Contents {
  readonly manifest: Manifest;
  /** Name → text of the files in {@link SITE_FILES}. */
  readonly files: ReadonlyMap<string, string>;
}

/** The site as it was when the backup was made. */
export interface Saved {
  readonly config: Config;
  readonly store: Store;
  readonly lock: Lock;
}

/** Of the site directory. */
const SITE_FILES = [CONFIG_FILE, STORE_FILE, LOCK_FILE];

/** Where restic puts the files in its container. */
const TARGET = '/tmp/contents';

/** Throws a Problem if the backup cannot be read, has no manifest, or a newer version made it. */
export async function readContents(access: Access, { id }: Snapshot): Promise<Contents> {
  const wanted = [MANIFEST, ...SITE_FILES.map((name) => `${SET}/site/${name}`)];
  // One call of restic: each one derives the key again, and reads the index.
  const output = await restic(
    access,
    [
      'restore',
      '--no-lock',
      '--quiet',
      id,
      ...wanted.map((path) => `--include=${path}`),
      `--target=${TARGET}`,
    ],
    { printed: TARGET, capabilities: OWNERS },
  );
  if (output.code !== 0) throw repositoryProblem(access, output, 'Reading the backup in');
  const texts = new Map(
    output.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' '))
      .map(([path = '', content = '']) => [path.slice(1), Buffer.from(content, 'base64').toString('utf8')]),
  );
  const manifest = JSON.parse(texts.get(MANIFEST) ?? '{}') as Partial<Manifest>;
  if (manifest.version === undefined)
    throw new Problem(
      EXIT.FAILED,
      `The backup ${id.slice(0, 8)} in ${access.repository.text} has no manifest.`,
      {
        means: 'fedi-setup did not make it, or it is damaged. Nothing was changed.',
        next: 'Choose another one with --at: `fedi-setup backup list` shows them.',
      },
    );
  // A type of what was written by another version.
  if ((manifest.version as number) !== 1)
    throw new Problem(EXIT.REFUSED, 'A newer version of fedi-setup made this backup.', {
      means: 'Nothing was changed.',
      next: `Use fedi-setup ${manifest.tool} or newer.`,
    });
  const files = SITE_FILES.flatMap((name): [string, string][] => {
    const text = texts.get(`${SET}/site/${name}`);
    return text === undefined ? [] : [[name, text]];
  });
  return { manifest: manifest as Manifest, files: new Map(files) };
}

/** The site in a backup. Writes its files into a directory that only this user can read. Throws a Problem if this version cannot use them. */
export async function savedSite({ files }: Pick<Contents, 'files'>, scratch: string): Promise<Saved> {
  for (const name of SITE_FILES) {
    const text = files.get(name);
    if (text === undefined) throw new Problem(EXIT.FAILED, `The backup has no ${name}.`);
    await writeFile(join(scratch, name), text, { mode: 0o600 });
  }
  const saved = await savedSource(scratch);
  const resolved = saved && (await resolve([saved.source]));
  if (resolved === undefined || resolved.problems.length > 0)
    throw new Problem(EXIT.FAILED, `Its answers cannot be used: ${resolved?.problems[0] ?? 'no fedi.yaml'}`);
  return {
    config: configOf(resolved.answers),
    store: await Store.open(scratch),
    lock: await readLock(scratch),
  };
}
