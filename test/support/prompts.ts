/**
 * `@inquirer/prompts` without a terminal: calls replace typing. For `vi.mock('@inquirer/prompts', …)`.
 * It keeps the library's contract: an answer is validated before it is accepted, Enter alone selects the default, a list accepts
 * one of its entries, Ctrl-C is an ExitPromptError.
 */
import { setImmediate as turn } from 'node:timers/promises';

type Validate = (text: string) => string | boolean | Promise<string | boolean>;

/** A question that waits for its answer. */
export interface Pending {
  readonly kind: 'input' | 'password' | 'select' | 'checkbox';
  readonly message: string;
  /** The default, as text; empty: none. */
  readonly initial: string;
  /** Names of the entries of a list, in order. */
  readonly entries: readonly string[];
  /**
   * Types text and presses Enter; in a list, selects the first entry whose name contains it. In a checkbox the texts between commas
   * are the entries to check, and `-` is none. Resolves to the error message, if any.
   */
  readonly enter: (text: string) => Promise<string | undefined>;
  readonly cancel: () => void;
}

let pending: Pending | undefined;
const taken: { message: string; answer: string }[] = [];

export const pendingQuestion = (): Pending | undefined => pending;
/** Every accepted answer so far, as the screen shows it. */
export const answered = (): readonly { message: string; answer: string }[] => taken;
export const forgetPrompts = (): void => {
  pending = undefined;
  taken.length = 0;
};

interface Asked<T> {
  readonly kind: Pending['kind'];
  readonly message: string;
  readonly initial: string;
  readonly entries?: readonly string[];
  /** Whether the text is a key that ends the prompt at once. */
  readonly ends?: (text: string) => boolean;
  /** The value of the text, or why it is refused. */
  readonly take: (text: string) => Promise<{ value: T; shown: string } | { refusal: string }>;
}

function ask<T>({ kind, message, initial, entries = [], ends, take }: Asked<T>): Promise<T> {
  if (pending !== undefined) throw new Error(`${message}: asked while ${pending.message} waits`);
  return new Promise((resolve, reject) => {
    pending = {
      kind,
      message,
      initial,
      entries,
      enter: async (text) => {
        if (ends?.(text) === true) {
          pending = undefined;
          reject(Object.assign(new Error('Prompt was aborted'), { name: 'AbortPromptError' }));
          await turn();
          return undefined;
        }
        const result = await take(text);
        if ('refusal' in result) return result.refusal;
        pending = undefined;
        taken.push({ message, answer: result.shown });
        resolve(result.value);
        await turn();
        return undefined;
      },
      cancel: () => {
        pending = undefined;
        reject(Object.assign(new Error('User force closed the prompt'), { name: 'ExitPromptError' }));
      },
    };
  });
}

async function validated(
  text: string,
  validate: Validate | undefined,
): Promise<{ value: string; shown: string } | { refusal: string }> {
  const valid = (await validate?.(text)) ?? true;
  if (valid === true) return { value: text, shown: text };
  return { refusal: valid === false || valid === '' ? 'You must provide a valid value' : valid };
}

export const input = (config: {
  message: string;
  default?: string;
  validate?: Validate;
}): Promise<string> => {
  const initial = config.default ?? '';
  return ask({
    kind: 'input',
    message: config.message,
    initial,
    take: (text) => validated(text === '' ? initial : text, config.validate),
  });
};

export const password = (config: {
  message: string;
  mask?: boolean;
  validate?: Validate;
}): Promise<string> => {
  if (config.mask !== true) throw new Error('a secret is typed without a mask');
  return ask({
    kind: 'password',
    message: config.message,
    initial: '',
    take: async (text) => {
      const result = await validated(text, config.validate);
      return 'value' in result ? { ...result, shown: '*'.repeat(text.length) } : result;
    },
  });
};

interface Entry {
  readonly value: string;
  readonly name: string;
  readonly short?: string;
}

export class Separator {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export const select = (config: {
  message: string;
  choices: readonly (Entry | Separator)[];
  default?: string;
}): Promise<string> => {
  const entries = config.choices.filter((choice): choice is Entry => !(choice instanceof Separator));
  const initial = entries.find(({ value }) => value === config.default) ?? entries[0];
  return ask({
    kind: 'select',
    message: config.message,
    initial: initial?.name ?? '',
    entries: entries.map(({ name }) => name),
    take: (text) => {
      const entry = text === '' ? initial : entries.find(({ name }) => name.includes(text));
      if (entry === undefined)
        throw new Error(`no entry ${text}: ${entries.map(({ name }) => name).join(' | ')}`);
      return Promise.resolve({ value: entry.value, shown: entry.short ?? entry.name });
    },
  });
};

interface Box extends Entry {
  readonly checked?: boolean;
}

export const checkbox = (
  config: {
    message: string;
    choices: readonly Box[];
    required?: boolean;
    validate?: (chosen: readonly Box[]) => string | boolean | Promise<string | boolean>;
  },
  context: { signal?: AbortSignal } = {},
): Promise<string[]> => {
  const { choices, required = false, validate } = config;
  const names = (boxes: readonly Box[]): string => boxes.map(({ name }) => name).join(', ');
  const before = choices.filter(({ checked }) => checked === true);
  return ask({
    kind: 'checkbox',
    message: config.message,
    initial: names(before),
    entries: choices.map(({ name }) => name),
    // A key that the prompt itself ignores: a keyboard listener may abort it.
    ends: (text) => {
      if (text.length === 1) process.stdin.emit('keypress', text, { sequence: text });
      return context.signal?.aborted === true;
    },
    take: async (text) => {
      const wanted = text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '' && part !== '-');
      for (const part of wanted)
        if (!choices.some(({ name }) => name.includes(part)))
          throw new Error(`no entry ${part}: ${names(choices)}`);
      const chosen =
        text === '' ? before : choices.filter(({ name }) => wanted.some((part) => name.includes(part)));
      const valid = (await validate?.(chosen)) ?? true;
      if (required && chosen.length === 0) return { refusal: 'At least one choice must be selected' };
      if (valid !== true) return { refusal: valid === false ? 'You must select a valid value' : valid };
      return {
        value: chosen.map(({ value }) => value),
        shown: chosen.map(({ name, short }) => short ?? name).join(', '),
      };
    },
  });
};
