/** What there is to know about a question, from its row: for who types `?`. */
import { flagOf, variableOf } from '../config/question.ts';
import type { Answers, Question } from '../config/question.ts';

/** Paragraphs. */
export function explain(question: Question, answers: Answers): string[] {
  const { more, choices, initial, optional, secret, key } = question;
  const value = initial?.(answers);
  const open =
    value !== undefined
      ? `Default: ${String(value)}.`
      : optional
        ? 'It may be left out: Enter where nothing stands (Backspace takes a default away).'
        : 'There is no default.';
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
    `Without questions: ${places.join(', ')}.${secret ? ' The flag names a file.' : ''}`,
  ];
}
