/** The app that `add` and `remove` name. */
import { nearest, parseChoice } from '../config/parse.ts';
import { EXIT, Problem } from '../problem.ts';
import type { CommandContext } from './command.ts';

export function chosenApp({ words }: CommandContext, ids: readonly string[], command: string): string {
  const word = words[0];
  const parsed = parseChoice(ids)(word ?? '');
  if ('value' in parsed) return parsed.value;
  const near = word === undefined ? undefined : nearest(word, ids);
  throw new Problem(
    EXIT.USAGE,
    word === undefined
      ? 'Which app?'
      : `There is no ${word} to ${command}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
    { next: `\`fedi-setup ${command} ${near ?? ids.join('|')}\`` },
  );
}
