/** The context of a command, and how a site directory is found. */
import { realpath } from 'node:fs/promises';
import { join, resolve as resolvePath } from 'node:path';
import { refuseStrangers } from '../apply/owner.ts';
import { exists } from '../atomic.ts';
import { configOf } from '../config/config.ts';
import type { Config } from '../config/config.ts';
import { resolve } from '../answers/resolve.ts';
import type { Source } from '../answers/resolve.ts';
import { CONFIG_FILE, savedSource, savedText } from '../answers/sources.ts';
import { connect } from '../docker/docker.ts';
import type { Engine } from '../docker/engine.ts';
import { EXIT, Problem, gather } from '../problem.ts';
import type { ExitCode } from '../problem.ts';
import { writeText } from '../progress.ts';
import type { Progress } from '../progress.ts';
import { CONFIG_LABEL } from '../render/site.ts';

/** Flags other than answers. */
export interface GlobalFlags {
  readonly dir: string | undefined;
  readonly answers: string | undefined;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly debug: boolean;
  readonly check: boolean;
  readonly diff: boolean;
  readonly data: boolean;
  readonly edited: 'keep' | 'replace' | 'abort' | undefined;
  readonly skipCheck: readonly string[];
  /** Size of the swap file to make; 0: none. */
  readonly swapGiB: number;
  readonly confirm: string | undefined;
  readonly mail: boolean;
  readonly fix: boolean;
  readonly help: boolean;
  readonly version: boolean;
}

export interface CommandContext {
  readonly flags: GlobalFlags;
  /** Answers from flags, environment and answers file, strongest first. */
  readonly sources: readonly Source[];
  /** Words after the command. */
  readonly words: readonly string[];
  readonly progress: Progress;
  /** Prompts are possible. */
  readonly interactive: boolean;
  readonly now: () => Date;
  /** Registers a function that releases the run lock before the process ends. */
  readonly onLocked: (release: () => Promise<void>) => void;
  /** Sets an extra message for a user who cancels; undefined: none. */
  readonly onLeaving: (note: string | undefined) => void;
}

export type Command = (context: CommandContext) => Promise<ExitCode | number>;

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
  await refuseStrangers(folder);
  return folder;
}

export interface Site {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
}

/** Finds an existing site: --dir, this directory, ./fedi, ./fedi-lab, or the directory that running containers name. */
export async function existingSite({ flags }: Pick<CommandContext, 'flags'>): Promise<Site> {
  const engine = await connect();
  const candidates = [await siteFolder(flags, 'fedi')];
  if (flags.dir === undefined) {
    candidates.push(join(process.cwd(), 'fedi-lab'));
    const running = await engine.containers().catch(() => []);
    const folders = new Set(
      running
        .filter(({ labels }) => labels[CONFIG_LABEL] !== undefined)
        .map(({ labels }) => labels['com.docker.compose.project.working_dir'] ?? ''),
    );
    if (folders.size === 1) candidates.push(...folders);
  }
  for (const folder of candidates) {
    // Only looks for the file: one that cannot be read throws its own Problem.
    if ((await savedText(folder)) === undefined) continue;
    await refuseStrangers(folder);
    const saved = await savedSource(folder);
    if (saved === undefined) continue;
    const resolved = await resolve([saved.source]);
    if (resolved.problems.length > 0)
      throw gather(
        EXIT.USAGE,
        `${CONFIG_FILE} in ${folder} cannot be used:`,
        resolved.problems,
        'Fix it and run this again.',
      );
    return { folder, config: configOf(resolved.answers), engine };
  }
  throw new Problem(EXIT.USAGE, `There is no site in ${candidates[0] ?? '.'}: it has no ${CONFIG_FILE}.`, {
    next: 'Give its directory with --dir, or create a site with `fedi-setup`.',
  });
}

/** Returns only if `word` is typed or given by --confirm. @param does verb and object; @param how other flags to give */
export async function confirmed(
  { flags, progress, interactive }: CommandContext,
  word: string,
  does: string,
  how = '',
): Promise<void> {
  let typed = flags.confirm;
  if (typed === undefined && interactive) {
    const { askText } = await import('../ask/prompts.ts');
    progress.say(`This ${does.replace(/\.$/, '')}.`);
    typed = await askText(`Type ${word} to continue`);
  }
  if (typed?.trim() === word) return;
  throw new Problem(EXIT.REFUSED, `${word} was not confirmed, so nothing was changed.`, {
    means: `This ${does.replace(/\.$/, '')}.`,
    next: `Confirm with --confirm ${word}${how}.`,
  });
}

export const out = (line: string): void => writeText(process.stdout, line);
