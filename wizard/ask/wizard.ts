/** The conversation: what is open is asked, everything is shown, anything can be changed, then it begins. */
import { APP_IDS } from '../apps/index.ts';
import type { AppId } from '../apps/index.ts';
import { flagOf, variableOf } from '../config/question.ts';
import type { Question } from '../config/question.ts';
import { questionsFor } from '../config/questions.ts';
import { resolve } from '../config/resolve.ts';
import type { Given, Resolved, Source } from '../config/resolve.ts';
import { Cancelled, EXIT, gather } from '../problem.ts';
import { askChoice, askQuestion } from './prompts.ts';

const say = (line = ''): void => {
  process.stderr.write(`${line}\n`);
};

const appsOf = (resolved: Resolved): AppId[] =>
  String(resolved.answers['apps'] ?? '')
    .split(',')
    .filter((id): id is AppId => (APP_IDS as string[]).includes(id));

/** Rows that apply to these answers. */
function rows(resolved: Resolved): Question[] {
  return questionsFor(appsOf(resolved)).filter(
    (question) => !question.when || question.when(resolved.answers),
  );
}

function shown(question: Question, resolved: Resolved): string {
  if (question.secret)
    return resolved.secrets[question.key] === undefined ? '(none, or kept as it is)' : '[hidden]';
  const value = resolved.answers[question.key];
  return value === undefined ? '(none)' : String(value);
}

/**
 * Asks until the person says go. Answers from flags and the like are taken as they are and can still be changed in the
 * review; saved answers are not asked again.
 */
export async function converse(sources: readonly Source[], isNew: boolean): Promise<Resolved> {
  const said = new Map<string, Given>();
  const all = (): Source[] => [said, ...sources];
  const settle = async (): Promise<Resolved> => {
    const resolved = await resolve(all(), async (question, _answers, initial) => {
      if (
        question.topic === 'more' ||
        question.topic === 'size' ||
        (question.optional && question.key !== 'mail.user' && !question.secret) ||
        question.key === 'tls.root'
      )
        return undefined;
      if (!isNew && initial !== undefined) return undefined;
      const text = await askQuestion(question, initial);
      if (text !== undefined) said.set(question.key, { text, from: question.message });
      return text;
    });
    if (resolved.problems.length > 0)
      throw gather(EXIT.USAGE, 'These answers cannot be used:', resolved.problems, 'Nothing was changed.');
    return resolved;
  };

  let resolved = await settle();
  for (;;) {
    const list = rows(resolved);
    say('\nThe answers:\n');
    const width = Math.max(...list.map(({ message }) => message.length));
    for (const question of list) {
      const mark = resolved.given.has(question.key) ? '' : '  (default)';
      if (question.topic !== 'more' || resolved.given.has(question.key))
        say(`  ${question.message.padEnd(width)}  ${shown(question, resolved)}${mark}`);
    }
    const action = await askChoice('What now?', [
      { value: '', name: 'Go: set it up' },
      ...list.map((question) => ({
        value: question.key,
        name: `Change: ${question.message} (${shown(question, resolved)})`,
      })),
      { value: 'quit', name: 'Leave, changing nothing' },
    ]);
    if (action === '') return resolved;
    if (action === 'quit') throw new Cancelled(EXIT.INT);
    const question = list.find(({ key }) => key === action) as Question;
    const text = await askQuestion(question, question.secret ? undefined : resolved.answers[question.key]);
    if (text !== undefined) said.set(question.key, { text, from: question.message });
    resolved = await settle();
  }
}

const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The same run without questions. Secrets are named, never shown. */
export function unattendedTwin(resolved: Resolved, directory: string): string {
  const words = ['npx fedi-setup apply', `--dir ${quote(directory)}`];
  for (const question of rows(resolved)) {
    if (question.secret) {
      if (resolved.secrets[question.key] !== undefined)
        words.push(`--${flagOf(question)} FILE  # or ${variableOf(question)}`);
    } else if (resolved.given.has(question.key)) {
      words.push(`--${flagOf(question)} ${quote(String(resolved.answers[question.key]))}`);
    }
  }
  return words.join(' \\\n    ');
}
