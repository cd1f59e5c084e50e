/** The only place that asks. The only importer of @inquirer/prompts; loaded on a terminal only. */
import { confirm, input, password, select } from '@inquirer/prompts';
import { problemOf } from '../config/parse.ts';
import type { Question, Value } from '../config/question.ts';
import { Cancelled, EXIT } from '../problem.ts';

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

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

/** Asks one question; the answer is valid text. Undefined: left open, where that is allowed. */
export async function askQuestion(
  question: Question,
  initial: Value | undefined,
): Promise<string | undefined> {
  say(`\n  ${question.help}`);
  const validate = (text: string): string | true =>
    text.trim() === '' && question.optional ? true : (problemOf(question.parse(text)) ?? true);
  if (question.choices) {
    return orCancelled(
      select({
        message: question.message,
        choices: question.choices.map(({ value, name }) => ({ value, name })),
        ...(initial === undefined ? {} : { default: String(initial) }),
      }),
    );
  }
  if (question.secret) {
    const text = await orCancelled(password({ message: question.message, mask: true, validate }));
    return text === '' ? undefined : text;
  }
  const text = await orCancelled(
    input({
      message: question.message,
      validate,
      ...(initial === undefined ? {} : { default: String(initial) }),
    }),
  );
  return text.trim() === '' ? undefined : text;
}

export function askYes(message: string, initial: boolean): Promise<boolean> {
  return orCancelled(confirm({ message, default: initial }));
}

export function askChoice<T extends string>(
  message: string,
  choices: readonly { value: T; name: string }[],
): Promise<T> {
  return orCancelled(select<T>({ message, choices: [...choices], pageSize: 16 }));
}

export function askText(message: string): Promise<string> {
  return orCancelled(input({ message }));
}
