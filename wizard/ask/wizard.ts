/** The conversation: what is open is asked, everything is shown, anything can be changed, then it begins. */
import { APP_IDS } from '../apps/index.ts';
import type { AppId } from '../apps/index.ts';
import { flagOf, variableOf } from '../config/question.ts';
import type { Answers, Question, Value } from '../config/question.ts';
import { ALL_QUESTIONS, questionsFor } from '../config/questions.ts';
import { resolve } from '../config/resolve.ts';
import type { Given, Resolved, Source } from '../config/resolve.ts';
import { Cancelled, EXIT, gather } from '../problem.ts';
import { askChoice, askQuestion } from './prompts.ts';
import { say, sayRow } from './say.ts';

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

function shown(question: Question, resolved: Resolved, known: ReadonlySet<string>): string {
  if (question.secret) {
    if (resolved.secrets[question.key] !== undefined) return '[hidden]';
    if (known.has(question.key)) return '[hidden], as it is';
    return question.file ? '(made here)' : '(none)';
  }
  const value = resolved.answers[question.key];
  return value === undefined ? '(none)' : String(value);
}

export interface Conversation {
  /** Weakest last; what is said counts more. */
  readonly sources: readonly Source[];
  /** There are no saved answers yet. */
  readonly isNew: boolean;
  /** Names of secrets that the site has already: they are not asked for again. */
  readonly known: ReadonlySet<string>;
  /** What these answers cannot do together, in sentences. */
  readonly problemsOf: (answers: Answers) => readonly string[];
}

/**
 * Asks until the person says go. Answers from flags and the like are taken as they are and can still be changed in the
 * review; saved answers are not asked again.
 */
export async function converse({
  sources,
  isNew,
  known,
  problemsOf,
}: Conversation): Promise<{ resolved: Resolved; said: Source }> {
  const said = new Map<string, Given>();
  // Left open on purpose, so not asked again after every change.
  const asked = new Set<string>();
  const put = async (question: Question, initial: Value | undefined): Promise<string | undefined> => {
    asked.add(question.key);
    const text = await askQuestion(question, initial);
    if (text !== undefined) said.set(question.key, { text, from: question.message });
    return text;
  };
  const isOpen = (question: Question, initial: Value | undefined): boolean => {
    if (
      question.topic === 'more' ||
      question.topic === 'size' ||
      question.file ||
      asked.has(question.key) ||
      known.has(question.key)
    )
      return false;
    if (isNew || (initial === undefined && !question.optional)) return true;
    // A topic that is being changed is asked as on the first day.
    return questionsOf(question.topic).some(({ key }) => said.has(key));
  };

  const before = await resolve(sources);
  if (before.wrong.length > 0)
    throw gather(EXIT.USAGE, 'These answers cannot be used:', before.wrong, 'Nothing was changed.');
  const settle = async (): Promise<Resolved> => {
    const resolved = await resolve([said, ...sources], async (question, _answers, initial) =>
      isOpen(question, initial) ? put(question, initial) : undefined,
    );
    if (resolved.problems.length > 0)
      throw gather(EXIT.USAGE, 'These answers cannot be used:', resolved.problems, 'Nothing was changed.');
    return resolved;
  };

  let resolved = await settle();
  for (;;) {
    const list = rows(resolved);
    say();
    say('The answers:');
    say();
    const shownRows = list.filter(({ key, topic }) => topic !== 'more' || resolved.given.has(key));
    // In columns where the screen is wide enough for them.
    const width =
      (process.stderr.columns || 80) < 60 ? 0 : Math.max(...shownRows.map(({ message }) => message.length));
    for (const question of shownRows) {
      const mark = resolved.given.has(question.key) || question.secret ? '' : '  (default)';
      const line = `${shown(question, resolved, known)}${mark}`;
      if (width > 0) sayRow(question.message.padEnd(width), line);
      else say(`${question.message}: ${line}`, 2);
    }
    say();
    const action = await askChoice('What now?', [
      { value: '', name: 'Go: set it up' },
      ...list.map((question) => ({
        value: question.key,
        name: `Change: ${question.message}`,
      })),
      { value: 'quit', name: 'Leave, changing nothing' },
    ]);
    if (action === 'quit') throw new Cancelled(EXIT.INT);
    if (action === '') {
      const problems = problemsOf(resolved.answers);
      if (problems.length === 0) return { resolved, said };
      say();
      for (const problem of problems) say(problem, 2);
      continue;
    }
    const question = list.find(({ key }) => key === action) as Question;
    await put(question, question.secret ? undefined : resolved.answers[question.key]);
    resolved = await settle();
  }
}

/** Every row of a topic, whichever apps there are. */
const questionsOf = (topic: Question['topic']): Question[] =>
  ALL_QUESTIONS.filter((question) => question.topic === topic);

const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The same run without questions. Secrets are named, never shown. */
export function unattendedTwin(resolved: Resolved, directory: string): string {
  const words = ['npx fedi-setup apply', `--dir ${quote(directory)}`];
  const notes: string[] = [];
  for (const question of rows(resolved)) {
    if (question.secret) {
      if (resolved.secrets[question.key] === undefined) continue;
      words.push(`--${flagOf(question)} FILE`);
      notes.push(`# --${flagOf(question)}: or the variable ${variableOf(question)}`);
    } else if (resolved.given.has(question.key)) {
      words.push(`--${flagOf(question)} ${quote(String(resolved.answers[question.key]))}`);
    }
  }
  return [words.join(' \\\n    '), ...notes].join('\n    ');
}
