/** One question defines a prompt, flag, variable, key in fedi.yaml, validation and help text. */
import type { Parsed } from './parse.ts';

/** A validated answer. */
export type Value = string | number;

/** Validated answers by key; those that do not apply are absent. */
export type Answers = Readonly<Record<string, Value>>;

export type Topic = 'apps' | 'domain' | 'admin' | 'mail' | 'storage' | 'backup' | 'tls' | 'size' | 'more';

/** The effect of changing an answer of an existing site. */
export type ChangeEffect =
  /** The change is refused: why. */
  | { readonly refused: string }
  /** The change is possible: a notice about what it leaves behind. */
  | { readonly leaves: string };

/** A share of the host's resources. */
export interface Share {
  readonly memoryMiB: number;
  readonly cores: number;
}

export interface Question {
  /** Dotted path in fedi.yaml; flag and variable names derive from it. */
  readonly key: string;
  readonly topic: Topic;
  /** Label of the prompt, one line. */
  readonly message: string;
  /** Short help: the meaning and the default. */
  readonly help: string;
  /** Longer help, shown for `?`. */
  readonly more?: string;
  /** Text → value or error message. */
  readonly parse: (text: string) => Parsed<Value>;
  /** The values to choose from, with their labels. */
  readonly choices?: readonly { readonly value: string; readonly name: string }[];
  /** Several of the choices may be given, separated by commas. */
  readonly several?: true;
  /** The default, computed from earlier answers; undefined: none, so an answer is required. */
  readonly initial?: (answers: Answers) => Value | undefined;
  /** Keys of the questions that the default derives from. A new answer to one from a stronger source discards the answer here. */
  readonly derivedFrom?: readonly string[];
  /** Whether its default is certain for these answers, so that the wizard does not ask. */
  readonly isKnown?: (answers: Answers) => boolean;
  /** The default, computed from the app's share of the host. */
  readonly byHost?: (share: Share) => Value;
  /** Whether it applies; absent: always. */
  readonly when?: (answers: Answers) => boolean;
  /** When it applies, in words, if that depends on more than the choice of another answer. */
  readonly applies?: string;
  /** Whether the review shows it if it has its default; absent: always. The answer counts either way. */
  readonly isShown?: (answers: Answers) => boolean;
  /** Notes to show after the answer, which is among the given answers. */
  readonly notes?: (answers: Answers) => readonly string[];
  /** The effect of changing this answer of an existing site; undefined: only what the plan shows. */
  readonly onChange?: (before: Value | undefined, after: Value | undefined) => ChangeEffect | undefined;
  /** May stay unanswered. */
  readonly optional?: true;
  /** Read from a file: the prompt asks for its path. */
  readonly file?: true;
  /** Must be typed twice; the prompt also rates its strength. */
  readonly confirm?: true;
  /** Stored in secrets.json, never in fedi.yaml, and never passed as a plain flag. */
  readonly secret?: true;
  /** The prompt asks for each of these instead; the answer has a line for each that was given. */
  readonly parts?: readonly Part[];
  /** What is different about the question after these earlier answers. */
  readonly given?: (answers: Answers) => Partial<Pick<Question, 'help' | 'parse' | 'parts'>>;
}

/** A part of a secret. */
export interface Part {
  readonly message: string;
  /** Name in secrets.json. */
  readonly name: string;
  /** What its line begins with. */
  readonly prefix: string;
}

/** The question as it is after these earlier answers. */
export const inContext = (question: Question, answers: Answers): Question => ({
  ...question,
  ...question.given?.(answers),
});

/** Names in secrets.json of a secret. */
export const storedAs = ({ key, parts }: Question): string[] => parts?.map(({ name }) => name) ?? [key];

/** `apps.snac.domain` → `snac-domain`; the flag of a secret takes a file. */
export function flagOf(question: Question): string {
  const flag = question.key.replace(/^apps\./, '').replaceAll('.', '-');
  return question.secret ? `${flag}-file` : flag;
}

/** `apps.snac.domain` → `FEDI_SNAC_DOMAIN`. */
export function variableOf(question: Question): string {
  return `FEDI_${question.key
    .replace(/^apps\./, '')
    .replace(/[.-]/g, '_')
    .toUpperCase()}`;
}

/**
 * The key without the app's name (`domain` for `apps.snac.domain`), usable if the site has a single app.
 * Undefined for questions of the site itself.
 */
export function shortKeyOf(question: Question): string | undefined {
  return /^apps\.[^.]+\.(.+)$/.exec(question.key)?.[1];
}
