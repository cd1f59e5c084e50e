/** How a command finds the directory of its site. */
import { realpath } from 'node:fs/promises';
import { join, resolve as resolvePath } from 'node:path';
import { runningConfig } from '../apply/generations.ts';
import { refuseOtherWriters } from '../apply/owner.ts';
import { exists } from '../atomic.ts';
import type { PreflightOptions } from '../checks/preflight.ts';
import { configOf } from '../answers/config.ts';
import type { Config } from '../config/config.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource, savedText } from '../answers/sources.ts';
import { connect } from '../docker/docker.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import { CONFIG_LABEL } from '../render/site.ts';
import type { CommandContext, GlobalFlags } from './command.ts';

/** Directory of a site, existing or new: --dir, this directory if it has one, else `fallback` below it. */
async function siteFolder({ dir }: GlobalFlags, fallback: string): Promise<string> {
  const folder =
    dir === undefined
      ? (await exists(join(process.cwd(), CONFIG_FILE)))
        ? process.cwd()
        : join(process.cwd(), fallback)
      : resolvePath(dir);
  if (folder.includes(':')) {
    throw new Problem(EXIT.USAGE, `The directory ${folder} has a colon in its name.`, {
      means: 'In a mount, Docker reads a colon as the end of the path.',
      next: 'Choose another directory with --dir.',
    });
  }
  return (await exists(folder)) ? realpath(folder) : folder;
}

/** The same; refuses a directory that others can change. */
export async function ownFolder(flags: GlobalFlags, fallback: string): Promise<string> {
  const folder = await siteFolder(flags, fallback);
  await refuseOtherWriters(folder);
  return folder;
}

export interface Site {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
  /** fedi.yaml is invalid; `config` is that of the last run. */
  readonly isInvalid: boolean;
}

/** What every run of the checks needs. */
export const checkOptions = (
  { flags, progress, now }: Pick<CommandContext, 'flags' | 'progress' | 'now'>,
  site: Pick<Site, 'folder' | 'config' | 'engine'>,
): PreflightOptions => ({ ...site, skip: flags.skipCheck, progress, now });

/** Directories of the sites whose containers this engine has. */
async function knownFolders(engine: Engine): Promise<string[]> {
  const listed = await engine.listed().catch(() => []);
  return [
    ...new Set(
      listed
        .filter(({ labels }) => labels[CONFIG_LABEL] !== undefined)
        .map(({ labels }) => labels['com.docker.compose.project.working_dir'] ?? ''),
    ),
  ].filter(Boolean);
}

/** Finds an existing site: --dir, this directory, ./fedi, ./fedi-lab, or the only one whose containers this engine has. */
export const existingSite = (context: Pick<CommandContext, 'flags' | 'progress'>): Promise<Site> =>
  findSite(context, readValid);

/** The same for commands that need no valid fedi.yaml: while it is invalid, the answers of the last run count. */
export const runningSite = (context: Pick<CommandContext, 'flags' | 'progress'>): Promise<Site> =>
  findSite(context, async (folder) => {
    try {
      return await readValid(folder);
    } catch (error) {
      if (!(error instanceof Problem) || error.exit !== EXIT.USAGE) throw error;
      const config = await runningConfig(folder).catch(() => undefined);
      if (config === undefined) throw error;
      context.progress.say(error.message);
      context.progress.say('Until you fix that, this command uses the answers of the last run.');
      return { config, isInvalid: true };
    }
  });

async function findSite(
  { flags, progress }: Pick<CommandContext, 'flags' | 'progress'>,
  read: (folder: string) => Promise<Pick<Site, 'config' | 'isInvalid'> | undefined>,
): Promise<Site> {
  const engine = await connect();
  const siteIn = async (folder: string): Promise<Site | undefined> => {
    const found = await read(folder);
    return found && { folder, engine, ...found };
  };
  const named = await siteFolder(flags, 'fedi');
  // Without --dir ./fedi and ./fedi-lab are searched; with it, the same below it.
  const candidates =
    flags.dir === undefined
      ? [named, join(process.cwd(), 'fedi-lab')]
      : [named, join(named, 'fedi'), join(named, 'fedi-lab')];
  for (const folder of candidates) {
    const site = await siteIn(folder);
    if (site !== undefined) return site;
  }
  const known = await knownFolders(engine);
  if (flags.dir === undefined && known.length === 1) {
    const site = await siteIn(known[0] ?? '');
    if (site !== undefined) {
      // It was not named and is not here.
      progress.say(`Site in ${site.folder}`);
      return site;
    }
  }
  throw new Problem(EXIT.USAGE, `There is no site in ${candidates[0] ?? '.'}: it has no ${CONFIG_FILE}.`, {
    ...(known.length === 0 ? {} : { means: `Sites on this engine: ${known.join(', ')}.` }),
    next: 'Give its directory with --dir, or create a site with `fedi-setup`.',
  });
}

const readValid = async (folder: string): Promise<Pick<Site, 'config' | 'isInvalid'> | undefined> => {
  const config = await readConfig(folder);
  return config && { config, isInvalid: false };
};

/** The answers in a directory; undefined: it has no site. */
async function readConfig(folder: string): Promise<Config | undefined> {
  // Only looks for the file: one that cannot be read throws its own Problem.
  if ((await savedText(folder)) === undefined) return undefined;
  await refuseOtherWriters(folder);
  const saved = await savedSource(folder);
  if (saved === undefined) return undefined;
  const resolved = await resolve([saved.source]);
  if (resolved.problems.length > 0)
    throw gather(
      EXIT.USAGE,
      `${CONFIG_FILE} in ${folder} cannot be used:`,
      resolved.problems,
      'Fix it and run this again.',
    );
  const config = configOf(resolved.answers);
  const before = await runningConfig(folder).catch(() => undefined);
  if (before !== undefined && before.name !== config.name)
    throw new Problem(
      EXIT.USAGE,
      `This site is named ${before.name}, but \`name\` in ${CONFIG_FILE} is now ${config.name}.`,
      {
        means: 'Its containers and volumes have the old name. Nothing was changed.',
        next: `Change it back to ${before.name}. A site cannot be renamed.`,
      },
    );
  return config;
}
