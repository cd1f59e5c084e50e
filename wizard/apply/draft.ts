/** Saves the answers of an interrupted conversation, without secrets, until they are in fedi.yaml. */
import { readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from './files.ts';
import { exists, writeWhole } from '../atomic.ts';
import { ALL_QUESTIONS } from '../answers/questions.ts';
import { DRAFT, OWN } from '../layout.ts';

export interface Draft {
  readonly at: string;
  /** Key → text; an empty text was given on purpose. */
  readonly answers: ReadonlyMap<string, string>;
}

const pathOf = (folder: string): string => join(folder, OWN, DRAFT);

/** Ignores what cannot be read and answers that are no longer valid. */
export async function readDraft(folder: string): Promise<Draft | undefined> {
  try {
    const { at, answers } = JSON.parse(await readFile(pathOf(folder), 'utf8')) as {
      at: string;
      answers: Record<string, unknown>;
    };
    const kept = ALL_QUESTIONS.flatMap((question): [string, string][] => {
      const text = answers[question.key];
      if (typeof text !== 'string' || question.secret) return [];
      return (text === '' && question.optional) || 'value' in question.parse(text)
        ? [[question.key, text]]
        : [];
    });
    return kept.length === 0 ? undefined : { at: String(at), answers: new Map(kept) };
  } catch {
    return undefined;
  }
}

/** Returns false if nothing was saved; the conversation continues without. */
export async function keepDraft(folder: string, { at, answers }: Draft): Promise<boolean> {
  const secrets = new Set(ALL_QUESTIONS.filter(({ secret }) => secret).map(({ key }) => key));
  const kept = [...answers].filter(([key]) => !secrets.has(key));
  try {
    if (kept.length === 0) {
      await dropDraft(folder);
      return false;
    }
    await makeFolders(folder);
    await writeWhole(
      pathOf(folder),
      `${JSON.stringify({ at, answers: Object.fromEntries(kept) }, null, 2)}\n`,
      0o600,
    );
    return true;
  } catch {
    return false;
  }
}

/** Also removes the directories that were created only for it. */
export async function dropDraft(folder: string): Promise<void> {
  if (!(await exists(pathOf(folder)))) return;
  await rm(pathOf(folder), { force: true });
  for (const path of [join(folder, OWN), folder]) await rmdir(path).catch(() => undefined);
}

export const hasDraft = (folder: string): Promise<boolean> => exists(pathOf(folder));
