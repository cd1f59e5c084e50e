/** All prompts. The only importer of @inquirer/prompts; loaded only on a terminal. */
import { readFileSync } from 'node:fs';
import { Separator, checkbox, input, password, select } from '@inquirer/prompts';
import { problemOf } from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import type { Part, Question, Value } from '../config/question.ts';
import { Cancelled, EXIT, messageOf } from '../problem.ts';
import { say } from './say.ts';

/** Prompts use standard error; standard output is for results such as a plan. */
const SCREEN = { output: process.stderr };

/** Can be typed instead of any answer. In a list of one, the key selects the entry that starts with it. */
const BACK = '<';
const MORE = '?';
export const HOW = 'At every question: ? shows more help, < goes back. Ctrl-C quits.';

/** Thrown instead of an answer to ask the previous question again. */
export class Back extends Error {
  override name = 'Back';
}

/** Runs a prompt for a list so that Ctrl-D quits, as it does where text is typed. */
async function endedByCtrlD<T>(
  prompt: (context: typeof SCREEN & { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const ending = new AbortController();
  const onKey = (_: string | undefined, key?: { ctrl?: boolean; name?: string }): void => {
    if (key?.ctrl === true && key.name === 'd') ending.abort();
  };
  process.stdin.on('keypress', onKey);
  try {
    return await prompt({ ...SCREEN, signal: ending.signal });
  } finally {
    process.stdin.off('keypress', onKey);
  }
}

/** Turns Inquirer's abort errors into Cancelled: uncaught, they would end the process with code 0. */
async function orCancelled<T>(prompt: Promise<T>): Promise<T> {
  try {
    return await prompt;
  } catch (error) {
    if (error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortPromptError')) {
      throw new Cancelled(EXIT.INT);
    }
    throw error;
  }
}

export interface Asked {
  /** The answer when only Enter is pressed. */
  readonly initial: Value | undefined;
  /** Whether there is a previous question. */
  readonly back: boolean;
  /** Paragraphs to show for `?`. */
  readonly explained: readonly string[];
}

/** Asks one question and returns valid text, or an empty text if it is optional. Throws {@link Back}. */
export async function askQuestion(question: Question, asked: Asked): Promise<string> {
  if (question.parts !== undefined) return askParts(question, question.parts, asked);
  const { initial, back, explained } = asked;
  say();
  say(question.help, 2);
  for (;;) {
    const text = await askOnce(question, initial, back);
    if (text === BACK) throw new Back();
    if (text !== MORE) return question.file && text !== '' ? read(text) : text;
    say();
    for (const paragraph of explained) say(paragraph, 2);
  }
}

/** Asks for each part in turn. Back leads to the part before. Returns a line for each that was given. */
async function askParts(question: Question, parts: readonly Part[], asked: Asked): Promise<string> {
  const { parts: _, ...whole } = question;
  const lines: string[] = [];
  while (lines.length < parts.length) {
    const { message, prefix } = parts[lines.length] as Part;
    const parse = (text: string): Parsed<Value> => question.parse(`${prefix}${text}`);
    try {
      const text = await askQuestion(
        { ...whole, message, parse },
        { ...asked, back: asked.back || lines.length > 0 },
      );
      lines.push(text === '' ? '' : `${prefix}${text}`);
    } catch (error) {
      if (!(error instanceof Back) || lines.pop() === undefined) throw error;
    }
  }
  return lines.filter((line) => line !== '').join('\n');
}

async function askOnce(question: Question, initial: Value | undefined, back: boolean): Promise<string> {
  const { message } = question;
  const validate = (text: string): string | true => {
    if (text === MORE || (text === BACK && back)) return true;
    if (text === BACK) return 'This is the first question.';
    if (text.trim() === '' && question.optional) return true;
    if (!question.file) return problemOf(question.parse(text)) ?? true;
    try {
      return problemOf(question.parse(read(text))) ?? true;
    } catch (error) {
      return `Cannot read the file: ${messageOf(error)}`;
    }
  };
  const text = (): Promise<string> =>
    orCancelled(
      input(
        {
          message: question.file ? `${message} (file)` : message,
          validate,
          ...(initial === undefined || initial === '' || question.file ? {} : { default: String(initial) }),
        },
        SCREEN,
      ),
    );
  if (question.several) return askSeveral(question, initial, back);
  if (question.choices) {
    return askChoice(
      message,
      [
        ...question.choices.map(({ value, name }) => ({ value, name, short: value })),
        { value: MORE, name: `${MORE} Help`, short: MORE },
        ...(back ? [{ value: BACK, name: `${BACK} Back`, short: BACK }] : []),
      ],
      String(initial ?? ''),
    );
  }
  if (question.secret && !question.file) {
    const typed = (what: string, check: (entered: string) => string | true): Promise<string> =>
      orCancelled(password({ message: what, mask: true, validate: check }, SCREEN));
    const first = await typed(message, validate);
    if (!question.confirm || ['', BACK, MORE].includes(first)) return first;
    say(`${strengthOf(first)} Type it again to confirm:`, 2);
    const again = await typed(
      `${message}, again`,
      (entered) =>
        entered === first || entered === BACK || 'The passwords do not match. < and Enter start over.',
    );
    return again === BACK ? askOnce(question, initial, back) : first;
  }
  return text();
}

/**
 * Asks for some of the choices, at least one. The keys for help and back work at once, without Enter, since an entry for them
 * could be checked like an answer.
 */
async function askSeveral(
  { message, choices = [], parse }: Question,
  initial: Value | undefined,
  back: boolean,
): Promise<string> {
  const checked = String(initial ?? '').split(',');
  const ending = new AbortController();
  const context = { ...SCREEN, signal: ending.signal, clearPromptOnDone: false };
  let pressed: string | undefined;
  const onKey = (text: string | undefined, key?: { ctrl?: boolean; name?: string }): void => {
    if (key?.ctrl === true && key.name === 'd') ending.abort();
    if (text !== MORE && !(text === BACK && back)) return;
    pressed = text;
    context.clearPromptOnDone = true;
    ending.abort();
  };
  process.stdin.on('keypress', onKey);
  try {
    const values = await orCancelled(
      checkbox<string>(
        {
          message,
          choices: choices.map(({ value, name }) => ({
            value,
            name,
            short: value,
            checked: checked.includes(value),
          })),
          validate: (chosen) => problemOf(parse(chosen.map(({ value }) => value).join(','))) ?? true,
          shortcuts: { all: null, invert: null },
          theme: {
            style: {
              // The most needed first: a narrow screen wraps this line.
              keysHelpTip: () =>
                [
                  'space select',
                  `${MORE} help`,
                  ...(back ? [`${BACK} back`] : []),
                  '⏎ submit',
                  '↑↓ navigate',
                ].join(' • '),
            },
          },
        },
        context,
      ),
    );
    return values.join(',');
  } catch (error) {
    if (pressed !== undefined) return pressed;
    throw error;
  } finally {
    process.stdin.off('keypress', onKey);
  }
}

/** Rates a password by length and variety; it is not compared with any list. */
export function strengthOf(text: string): string {
  const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{N}/u, /[^\p{L}\p{N}]/u].filter((kind) => kind.test(text)).length;
  const letters = new Set(text).size;
  if (text.length < 12 || letters < 6) return 'Weak; four random words are better.';
  return text.length >= 20 || (text.length >= 14 && kinds >= 3) ? 'Strong.' : 'Fair.';
}

const read = (path: string): string => readFileSync(path.trim(), 'utf8');

export interface Choice<T> {
  readonly value: T;
  readonly name: string;
  /** Shown once it was chosen; absent: the name. */
  readonly short?: string;
}

/** Strings among the choices are headings. */
export function askChoice<T extends string>(
  message: string,
  choices: readonly (Choice<T> | string)[],
  initial?: T,
): Promise<T> {
  return orCancelled(
    endedByCtrlD((context) =>
      select<T>(
        {
          message,
          choices: choices.map((choice) => (typeof choice === 'string' ? new Separator(choice) : choice)),
          pageSize: 16,
          ...(initial === undefined ? {} : { default: initial }),
        },
        context,
      ),
    ),
  );
}

export function askText(message: string): Promise<string> {
  return orCancelled(input({ message }, SCREEN));
}
