/** Builds the help that `?` shows for a question. */
import { flagOf, variableOf } from '../config/question.ts';
import type { Answers, Question } from '../config/question.ts';

/** Returns paragraphs. */
export function explain(question: Question, answers: Answers): string[] {
  const { more, choices, initial, optional, secret, key } = question;
  const value = initial?.(answers);
  const open =
    value !== undefined
      ? `Default: ${String(value)}.`
      : optional
        ? 'Optional. Enter skips it (Backspace clears a default).'
        : 'Required; there is no default.';
  const places = [
    `--${flagOf(question)}`,
    variableOf(question),
    ...(secret || key === 'apps' ? [] : [`${key} in fedi.yaml`]),
  ];
  return [
    ...(more === undefined ? [] : [more]),
    ...(choices ?? []).map(({ value: word, name }) =>
      name.toLowerCase().startsWith(word) ? name : `${word}: ${name}`,
    ),
    open,
    `Without questions: ${places.join(', ')}.${secret ? ' The flag takes a file.' : ''}`,
  ];
}
