/** What a question is. One row gives the prompt, the flag, the variable, the key in fedi.yaml, the check and the help. */
import type { Parsed } from './parse.ts';

/** What an answer can be once it is checked. */
export type Value = string | number;

/** Answers by key, checked; what does not apply is absent. */
export type Answers = Readonly<Record<string, Value>>;

export type Topic = 'apps' | 'domain' | 'admin' | 'mail' | 'storage' | 'tls' | 'size' | 'more';

/** What changing an answer does to a site that exists. */
export type Later =
  /** It cannot be: what would be lost. */
  | { readonly refused: string }
  /** It can, and something stays behind as it was. */
  | { readonly leaves: string };

/** A part of a host. */
export interface Share {
  readonly memoryMiB: number;
  readonly cores: number;
}

export interface Question {
  /** Dotted place in fedi.yaml; flag and variable are made from it. */
  readonly key: string;
  readonly topic: Topic;
  /** The question in one line, without a question mark where it names a thing. */
  readonly message: string;
  /** One sentence: what it means and what the default does. */
  readonly help: string;
  /** A paragraph for who asks for more. */
  readonly more?: string;
  /** Text → value or a sentence. */
  readonly parse: (text: string) => Parsed<Value>;
  /** For a choice: the words with what they mean. */
  readonly choices?: readonly { readonly value: string; readonly name: string }[];
  /** Entry of the list behind which another answer can be typed. */
  readonly other?: string;
  /** The default, from the answers above it; undefined: there is none and it has to be answered. */
  readonly initial?: (answers: Answers) => Value | undefined;
  /** Key of a row above: an answer to this one counts no longer once that one gets another from a stronger source. */
  readonly follows?: string;
  /** The default from the part of the host that the app may count on. */
  readonly byHost?: (share: Share) => Value;
  /** Whether it applies at all; absent: always. */
  readonly when?: (answers: Answers) => boolean;
  /** What is worth knowing once it is answered; sentences. The answers hold this one too. */
  readonly notes?: (answers: Answers) => readonly string[];
  /** What it does to a site that exists to have this answer changed; undefined: nothing but what the plan says. */
  readonly later?: (before: Value | undefined, after: Value | undefined) => Later | undefined;
  /** May stay unanswered. */
  readonly optional?: true;
  /** Too long to type: a prompt asks for the file that holds it. */
  readonly file?: true;
  /** Typed twice, since nobody sees it, and how hard it is to guess is said. */
  readonly twice?: true;
  /** Kept in secrets.json, never in fedi.yaml, never a plain flag. */
  readonly secret?: true;
}

/** `apps.snac.domain` → `snac-domain`; a secret's flag names a file. */
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
 * The key without its app (`domain` for `apps.snac.domain`): how it may be called as long as the site has one app.
 * Undefined for rows of the site.
 */
export function shortKeyOf(question: Question): string | undefined {
  return /^apps\.[^.]+\.(.+)$/.exec(question.key)?.[1];
}
