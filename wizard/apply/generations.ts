/** Earlier versions of a site: answers, lock and files of every set, as apply/files.ts keeps them. Never secrets. */
import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Answers } from '../config/question.ts';
import { configOf } from '../answers/config.ts';
import type { Config } from '../config/config.ts';
import { resolve } from '../answers/resolve.ts';
import { CONFIG_FILE, yamlSource } from '../answers/sources.ts';
import { OWN } from '../layout.ts';
import { LOCK_FILE, parseLock } from '../plan/lock.ts';
import type { Lock } from '../plan/lock.ts';
import { cannotRead } from '../atomic.ts';
import { EXIT, Problem, codeOf, messageOf } from '../problem.ts';
import { parseYaml } from '../yaml.ts';
import { readManifest } from './files.ts';

export interface Generation {
  readonly number: number;
  readonly at: Date;
  /** Text of its fedi.yaml. */
  readonly text: string;
  readonly lock: Lock;
}

const FOLDER = 'generations';

/** Undefined: incomplete or removed. Throws a Problem that names a damaged file. */
export async function readGeneration(folder: string, number: number): Promise<Generation | undefined> {
  const path = join(folder, OWN, FOLDER, String(number).padStart(4, '0'));
  const [config, lock] = [join(path, CONFIG_FILE), join(path, LOCK_FILE)];
  let at: Date;
  let texts: [string, string];
  try {
    at = (await stat(config)).mtime;
    texts = [await readFile(config, 'utf8'), await readFile(lock, 'utf8')];
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw cannotRead(path, error);
  }
  parsed(config, texts[0], parseYaml);
  return { number, at, text: texts[0], lock: parsed(lock, texts[1], parseLock) };
}

function parsed<T>(path: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new Problem(EXIT.FAILED, `${path} is damaged: ${messageOf(error)}.`, {
      means: 'It belongs to an earlier version of the site. Nothing was changed.',
      next: `Restore it from a backup, or remove ${dirname(path)}; \`rollback\` then cannot restore that version.`,
      cause: error,
    });
  }
}

/** Oldest first. */
export async function readGenerations(folder: string): Promise<Generation[]> {
  const names = await readdir(join(folder, OWN, FOLDER)).catch(() => []);
  const numbers = names.filter((name) => /^\d{4,}$/.test(name)).map(Number);
  const { generation } = await readManifest(folder);
  const found: Generation[] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    // A run killed before its commit may have left a later one.
    const one = number <= generation ? await readGeneration(folder, number) : undefined;
    if (one !== undefined) found.push(one);
  }
  return found;
}

/** The answers of a generation; none if this version cannot read them. */
export async function answersOf({ text }: Pick<Generation, 'text'>): Promise<Answers> {
  try {
    return (await resolve([yamlSource(text)])).answers;
  } catch (error) {
    if (error instanceof Problem) return {};
    throw error;
  }
}

/** The answers of the current generation; undefined: the site was never written. */
export async function runningAnswers(folder: string): Promise<Answers | undefined> {
  const { generation } = await readManifest(folder);
  if (generation === 0) return undefined;
  const last = await readGeneration(folder, generation);
  return last === undefined ? {} : answersOf(last);
}

/** The Config of the current generation; undefined: there is none that this version can read. */
export async function runningConfig(folder: string): Promise<Config | undefined> {
  const { generation } = await readManifest(folder);
  const last = await readGeneration(folder, generation);
  if (last === undefined) return undefined;
  const { answers, problems } = await resolve([yamlSource(last.text)]);
  return problems.length > 0 ? undefined : configOf(answers);
}

/** The image lock of the current generation. */
export async function runningLock(folder: string): Promise<Lock> {
  const { generation } = await readManifest(folder);
  return (await readGeneration(folder, generation))?.lock ?? {};
}
