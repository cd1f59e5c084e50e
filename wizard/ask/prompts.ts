/** The only place that asks. The only importer of @inquirer/prompts; loaded on a terminal only. */
import { readFileSync } from 'node:fs';
import { confirm, input, password, select } from '@inquirer/prompts';
import { problemOf } from '../config/parse.ts';
import type { Question, Value } from '../config/question.ts';
import { Cancelled, EXIT, messageOf } from '../problem.ts';
import { say } from './say.ts';

/** Standard output stays free for what was asked for, such as a plan. */
const SCREEN = { output: process.stderr };

/** An uncaught ExitPromptError would end the process with code 0: a broken-off run must never look like a good one. */
async function orCancelled<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortPromptError')) {
      throw new Cancelled(EXIT.INT);
    }
    throw error;
  }
}

/** Asks one question; the answer is valid text. Undefined: left open, where that is allowed. */
export async function askQuestion(
  question: Question,
  initial: Value | undefined,
): Promise<string | undefined> {
  say();
  say(question.help, 2);
  if (question.choices) {
    const choices = question.choices.map(({ value, name }) => ({ value, name, short: value }));
    return orCancelled(
      select(
        {
          message: question.message,
          choices,
          ...(initial === undefined ? {} : { default: String(initial) }),
        },
        SCREEN,
      ),
    );
  }
  const validate = (text: string): string | true =>
    text.trim() === '' && question.optional ? true : (problemOf(question.parse(text)) ?? true);
  if (question.file) return askFile(question, validate);
  if (question.secret) {
    const text = await orCancelled(password({ message: question.message, mask: true, validate }, SCREEN));
    return text === '' ? undefined : text;
  }
  const text = await orCancelled(
    input(
      { message: question.message, validate, ...(initial === undefined ? {} : { default: String(initial) }) },
      SCREEN,
    ),
  );
  return text.trim() === '' ? undefined : text;
}

/** The name of a file is asked for, its text is the answer. */
async function askFile(
  question: Question,
  validate: (text: string) => string | true,
): Promise<string | undefined> {
  const read = (path: string): string => readFileSync(path.trim(), 'utf8');
  const path = await orCancelled(
    input(
      {
        message: `${question.message} (file)`,
        validate: (given) => {
          if (given.trim() === '' && question.optional) return true;
          try {
            return validate(read(given));
          } catch (error) {
            return `It cannot be read: ${messageOf(error)}`;
          }
        },
      },
      SCREEN,
    ),
  );
  return path.trim() === '' ? undefined : read(path);
}

export function askYes(message: string, initial: boolean): Promise<boolean> {
  return orCancelled(confirm({ message, default: initial }, SCREEN));
}

export function askChoice<T extends string>(
  message: string,
  choices: readonly { value: T; name: string }[],
): Promise<T> {
  return orCancelled(select<T>({ message, choices: [...choices], pageSize: 16 }, SCREEN));
}

export function askText(message: string): Promise<string> {
  return orCancelled(input({ message }, SCREEN));
}
