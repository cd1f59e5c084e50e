/** The interactive wizard: asks open questions, then shows a review in which every answer can be changed. */
import { domainToUnicode } from 'node:url';
import { APP_IDS, appOf } from '../apps/index.ts';
import { changed } from '../config/on-change.ts';
import { flagOf, inContext, storedAs, variableOf } from '../config/question.ts';
import type { Answers, Question, Value } from '../config/question.ts';
import { ALL_QUESTIONS, questionsFor } from '../answers/questions.ts';
import { besides, resolve } from '../answers/resolve.ts';
import type { RawAnswer, Resolved, Source } from '../answers/resolve.ts';
import { Cancelled, EXIT, Problem, gather } from '../problem.ts';
import { explain } from './explain.ts';
import { Back, HOW, askChoice, askQuestion } from './prompts.ts';
import { timeText } from '../time.ts';
import type { Choice } from './prompts.ts';
import { say, sayRow } from './say.ts';

const appsOf = (resolved: Resolved): string[] =>
  String(resolved.answers['apps'] ?? '')
    .split(',')
    .filter((id) => APP_IDS.includes(id));

/** The questions that apply to these answers. */
function rows(resolved: Resolved): Question[] {
  return questionsFor(appsOf(resolved)).filter(
    (question) => !question.when || question.when(resolved.answers),
  );
}

/** Whether the site has this secret. */
const isKnown = (question: Question, answers: Answers, known: ReadonlySet<string>): boolean =>
  storedAs(inContext(question, answers)).every((name) => known.has(name));

function shown(question: Question, resolved: Resolved, known: ReadonlySet<string>): string {
  if (question.secret) {
    if (resolved.secrets[question.key] !== undefined) return '[hidden]';
    if (isKnown(question, resolved.answers, known)) return '[hidden], unchanged';
    return question.file || question.confirm ? '(generated)' : '(none)';
  }
  const value = resolved.answers[question.key];
  if (value === undefined) return '(none)';
  const unicode = /(^|[.@])xn--/.test(String(value)) ? domainToUnicode(String(value)) : '';
  return unicode === '' ? String(value) : `${String(value)} (${unicode})`;
}

/** Titles of the topics, in the order they are asked. */
const TOPICS: Readonly<Record<Question['topic'], string>> = {
  apps: 'Apps',
  domain: 'Domain',
  admin: 'Admin',
  mail: 'Mail',
  storage: 'Storage',
  backup: 'Backups',
  tls: 'Certificates',
  size: 'Size and version',
  more: 'Advanced',
};

/** Advanced questions: asked only on request. */
const isAdvanced = ({ topic, file }: Question): boolean =>
  topic === 'more' || topic === 'size' || file === true;

export interface Conversation {
  /** By descending precedence; answers given in the wizard override them all. */
  readonly sources: readonly Source[];
  /** Whether there are no saved answers yet. */
  readonly isNew: boolean;
  /** Names of secrets that the site already has; they are not asked for again. */
  readonly known: ReadonlySet<string>;
  /** The current answers of the site; undefined: it never ran. */
  readonly running: Answers | undefined;
  /** Answers from an interrupted session. */
  readonly earlier: { readonly at: string; readonly answers: ReadonlyMap<string, string> } | undefined;
  /** Called after every answer with all answers by key, including secrets. */
  readonly keep: (typed: ReadonlyMap<string, string>) => Promise<void>;
  /** Returns conflicts between these answers, as sentences. */
  readonly problemsOf: (resolved: Resolved) => Promise<readonly string[]>;
  /** Describes the resources that several apps need, and their sum. */
  readonly together: (answers: Answers) => string;
  /** Runs the checks of this host for these answers; one line each. */
  readonly check: (answers: Answers) => Promise<readonly string[]>;
  /** Shows the plan and asks for consent; false: back to the review. */
  readonly agree: (resolved: Resolved, typed: Source) => Promise<boolean>;
}

/** A question that was answered, with the state needed to ask it again. */
interface Turn {
  readonly question: Question;
  readonly answers: Answers;
  readonly initial: Value | undefined;
  readonly before: ReadonlyMap<string, RawAnswer>;
}

/**
 * Runs the wizard until the user chooses Go. Answers from other sources are not asked for, but can be changed in the
 * review.
 */
export async function converse(conversation: Conversation): Promise<{ resolved: Resolved; typed: Source }> {
  const { sources, isNew, known, running } = conversation;
  const before = await resolve(sources);
  if (before.wrong.length > 0)
    throw gather(EXIT.USAGE, 'These answers cannot be used:', before.wrong, 'Nothing was changed.');

  // An empty text is an optional answer that was skipped; it is not asked for again.
  const typed = new Map<string, RawAnswer>();
  const turns: Turn[] = [];
  const restore = (to: ReadonlyMap<string, RawAnswer>): void => {
    typed.clear();
    for (const [key, answer] of to) typed.set(key, answer);
  };
  const keep = (): Promise<void> =>
    conversation.keep(new Map([...typed].map(([key, { text }]) => [key, text])));

  say(HOW);
  if (conversation.earlier !== undefined && (await resumes(conversation.earlier.at))) {
    for (const [key, text] of conversation.earlier.answers)
      typed.set(key, { text, from: 'your earlier answers' });
  }
  await keep();

  /** @param back whether the user can go back even if nothing was asked yet */
  const put = async (question: Question, answers: Answers, initial: Value | undefined, back: boolean) => {
    const turn = { question, answers, initial, before: new Map(typed) };
    const text = await askQuestion(besides(question, answers), {
      initial,
      back: back || turns.length > 0,
      explained: explain(question, answers),
    });
    turns.push(turn);
    typed.set(question.key, { text, from: question.message, ...(text === '' ? { open: true } : {}) });
    await keep();
    const parsed = question.parse(text);
    if ('value' in parsed && !question.secret)
      for (const note of question.notes?.({ ...answers, [question.key]: parsed.value }) ?? []) say(note, 2);
    return text;
  };
  const isOpen = (question: Question, answers: Answers, initial: Value | undefined): boolean => {
    if (question.isKnown?.(answers)) return false;
    // A single choice is no question.
    if (isAdvanced(question) || isKnown(question, answers, known) || question.choices?.length === 1)
      return false;
    if (isNew || (initial === undefined && !question.optional)) return true;
    // After a change, ask all questions of its topic, as in a first run.
    return questionsOf(question.topic).some(({ key }) => typed.has(key));
  };
  /** Asks all open questions. On {@link Back} asks the previous one again; rethrows it if there is none. */
  const settle = async (back: boolean): Promise<Resolved> => {
    let again: Turn | undefined;
    for (;;) {
      try {
        if (again !== undefined) await put(again.question, again.answers, again.initial, back);
        again = undefined;
        return await resolve([typed, ...sources], async (question, answers, initial) =>
          isOpen(question, answers, initial) ? put(question, answers, initial, back) : undefined,
        );
      } catch (error) {
        const last = error instanceof Back ? turns.pop() : undefined;
        if (last === undefined) throw error;
        const text = last.question.secret ? undefined : typed.get(last.question.key)?.text;
        restore(last.before);
        again = { ...last, initial: text === undefined || text === '' ? last.initial : text };
      }
    }
  };
  /** Asks one question again, and those that depend on it. Restores all answers if the user goes back. */
  const change = async (question: Question, resolved: Resolved): Promise<Resolved> => {
    const start = new Map(typed);
    turns.length = 0;
    try {
      await put(
        question,
        resolved.answers,
        question.secret ? undefined : resolved.answers[question.key],
        true,
      );
      const now = await settle(true);
      const changes = changed(rows(now), running ?? {}, now.answers);
      if (running === undefined || changes.refused.length === 0) {
        if (running !== undefined) for (const line of changes.leaves) say(line, 2);
        return now;
      }
      say();
      for (const line of changes.refused) say(line, 2);
    } catch (error) {
      if (!(error instanceof Back)) throw error;
    }
    restore(start);
    await keep();
    return resolved;
  };

  let resolved = await settle(false);
  let reviewed: Resolved | undefined;
  for (;;) {
    const list = namingApps(
      rows(resolved).filter((question) => !isSettled(question, known) && isRelevant(question, resolved)),
    );
    // Not again after a message: on a small screen the review would push it out of view.
    if (reviewed !== resolved) {
      review(list, resolved, known);
      if (appsOf(resolved).length > 1) {
        say(`${conversation.together(resolved.answers)}.`, 2);
        say();
      }
      reviewed = resolved;
    }
    const action = await askChoice('What now?', menuOf(list, running !== undefined));
    if (action === 'quit') throw new Cancelled(EXIT.OK);
    if (action === 'check') {
      say();
      const open = resolved.problems;
      for (const line of open.length > 0 ? open : await conversation.check(resolved.answers)) say(line, 2);
      say();
      continue;
    }
    if (action === 'advanced') {
      const key = await askChoice('Which setting', [
        ...list.filter(isAdvanced).map((question) => ({
          value: question.key,
          name: `${question.message}: ${shown(question, resolved, known)}`,
          short: question.message,
        })),
        { value: '', name: '< Back' },
      ]);
      if (key !== '') resolved = await change(rowOf(list, key), resolved);
    } else if (action !== '') resolved = await change(rowOf(list, action), resolved);
    else {
      const problems =
        resolved.problems.length > 0 ? resolved.problems : await conversation.problemsOf(resolved);
      say();
      for (const problem of problems) say(problem, 2);
      if (problems.length > 0) say();
      if (problems.length === 0 && (await agrees(conversation, resolved, typed))) return { resolved, typed };
    }
  }
}

/** Asks for consent. Shows errors that other answers can fix, and returns to the review. */
async function agrees(conversation: Conversation, resolved: Resolved, typed: Source): Promise<boolean> {
  try {
    return await conversation.agree(resolved, typed);
  } catch (error) {
    if (!(error instanceof Problem) || ![EXIT.USAGE, EXIT.REFUSED].some((exit) => exit === error.exit))
      throw error;
    for (const line of [error.message, error.means, error.next]) if (line !== undefined) say(line, 2);
    say();
    return false;
  }
}

const resumes = async (at: string): Promise<boolean> => {
  say();
  return (
    (await askChoice(`Your answers of ${timeText(at)} were saved`, [
      { value: 'on', name: 'Continue with them' },
      { value: 'new', name: 'Start over' },
    ])) === 'on'
  );
};

/** Whether the review shows a question: it was answered, or its default matters for these answers. */
const isRelevant = ({ key, isShown }: Question, { provided, answers }: Resolved): boolean =>
  provided.has(key) || (isShown?.(answers) ?? true);

/** Whether this is a password that can by now be changed only in the app. */
function isSettled({ key, confirm }: Question, known: ReadonlySet<string>): boolean {
  const id = APP_IDS.find((app) => key.startsWith(`apps.${app}.`));
  return confirm === true && id !== undefined && known.has(appOf(id).adminSecret);
}

/** Adds the app's name to labels that several apps share. */
const namingApps = (list: readonly Question[]): Question[] =>
  list.map((question) => {
    const { key, message } = question;
    const app = APP_IDS.find((id) => key.startsWith(`apps.${id}.`));
    const isShared = list.filter((other) => other.message === message).length > 1;
    return app !== undefined && isShared
      ? { ...question, message: `${message} (${appOf(app).name})` }
      : question;
  });

const rowOf = (list: readonly Question[], key: string): Question =>
  list.find((question) => question.key === key) as Question;

/** Prints all answers: first those that were asked or given, then the advanced ones with defaults. */
function review(list: readonly Question[], resolved: Resolved, known: ReadonlySet<string>): void {
  const [advanced, main] = [true, false].map((quiet) =>
    list.filter((question) => (isAdvanced(question) && !resolved.provided.has(question.key)) === quiet),
  ) as [Question[], Question[]];
  // Use columns only if the screen is wide enough.
  const width =
    (process.stderr.columns || 80) < 60 ? 0 : Math.max(...list.map(({ message }) => message.length));
  const several = list.filter(({ key }) => key.endsWith('.admin')).length > 1;
  const line = (label: string, text: string): void => {
    if (width > 0) sayRow(label.padEnd(width), text);
    else say(`${label}: ${text}`, 2);
  };
  for (const [title, questions] of [
    ['Your answers:', main],
    ['Not asked:', advanced],
  ] as const) {
    if (questions.length === 0) continue;
    say();
    say(title);
    say();
    for (const question of questions) {
      const mark =
        question.secret || resolved.provided.has(question.key) || resolved.cleared.has(question.key)
          ? ''
          : '  (default)';
      line(question.message, `${shown(question, resolved, known)}${questions === main ? mark : ''}`);
      if (question.key.endsWith('.admin'))
        line(
          several ? `Your handle (${appNameOf(question)})` : 'Your handle',
          handleOf(question, resolved.answers),
        );
    }
  }
  say();
}

const appNameOf = ({ key }: Question): string => appOf(key.split('.')[1] ?? '').name;

/** `@anna@example.org`, with Unicode letters. */
const handleOf = ({ key }: Question, answers: Answers): string =>
  `@${String(answers[key])}@${domainToUnicode(String(answers[key.replace(/admin$/, 'domain')]))}`;

/** The menu of the review, by topic; advanced settings are one entry. */
function menuOf(list: readonly Question[], runs: boolean): (Choice<string> | string)[] {
  const main = list.filter((question) => !isAdvanced(question));
  return [
    { value: '', name: runs ? 'Go: show what would change' : 'Go: set it up' },
    ...Object.entries(TOPICS).flatMap(([topic, title]) => {
      const questions = main.filter((question) => question.topic === topic);
      return questions.length === 0
        ? []
        : [title, ...questions.map(({ key, message }) => ({ value: key, name: `Change: ${message}` }))];
    }),
    TOPICS.more,
    { value: 'advanced', name: `More: ${list.length - main.length} advanced settings` },
    { value: 'check', name: 'Check this host for these answers' },
    { value: 'quit', name: 'Quit without changes' },
  ];
}

/** All questions of a topic, for all apps. */
const questionsOf = (topic: Question['topic']): Question[] =>
  ALL_QUESTIONS.filter((question) => question.topic === topic);

const quote = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The command for the same run without prompts. Secrets appear as flags without their values. */
export function unattendedTwin(resolved: Resolved, directory: string): string {
  const words = ['fedi-setup apply', `--dir ${quote(directory)}`];
  const notes: string[] = [];
  for (const question of rows(resolved)) {
    if (question.secret) {
      if (resolved.secrets[question.key] === undefined) continue;
      words.push(`--${flagOf(question)} FILE`);
      notes.push(`# --${flagOf(question)}: or the variable ${variableOf(question)}`);
    } else if (resolved.provided.has(question.key)) {
      words.push(`--${flagOf(question)} ${quote(String(resolved.answers[question.key]))}`);
    }
  }
  return [words.join(' \\\n    '), ...notes].join('\n    ');
}
