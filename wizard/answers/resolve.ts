/** Where answers come from, and which one counts: flag > environment > answers file > saved > default. */
import { APP_IDS } from '../apps/index.ts';
import { nearest, parseSiteDomain } from '../config/parse.ts';
import { flagOf, shortKeyOf, variableOf } from '../config/question.ts';
import type { Answers, Question, Value } from '../config/question.ts';
import { ALL_QUESTIONS, questionsFor } from './questions.ts';

/** One given answer: its text and where it stands, for the error message. */
export interface Given {
  readonly text: string;
  /** `--domain`, `FEDI_DOMAIN`, `answers.env line 3`, `fedi.yaml line 4`. */
  readonly from: string;
  /** A secret left open on purpose; an empty file of one is a mistake. */
  readonly open?: true;
}

/** Answers of one source by key. A short key (`domain`) is one without its app. */
export type Source = ReadonlyMap<string, Given>;

/** What to do about answers that nobody gave: a prompt asks, without a terminal they are a problem. */
export type Ask = (
  question: Question,
  answers: Answers,
  initial: Value | undefined,
) => Promise<string | undefined>;

export interface Resolved {
  readonly answers: Answers;
  /** Secret answers that were given, by key. They never are in `answers`. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Keys somebody answered; the others stand at their default. */
  readonly given: ReadonlySet<string>;
  /** Keys somebody left empty where that is allowed, against what weaker sources say. */
  readonly left: ReadonlySet<string>;
  /** Everything that is wrong or missing, in the order of the questions. */
  readonly problems: readonly string[];
  /** Of those, what somebody gave and cannot be used. */
  readonly wrong: readonly string[];
}

/** Finds the given text for a row, by its key or, where the site has one app, by its short key. */
function lookUp(question: Question, sources: readonly Source[], single: boolean): Given | undefined {
  const short = single ? shortKeyOf(question) : undefined;
  // The answer that this one follows from, as soon as a source has one.
  let leader: Given | undefined;
  for (const source of sources) {
    const given = source.get(question.key) ?? (short === undefined ? undefined : source.get(short));
    const lead = question.follows === undefined ? undefined : source.get(question.follows);
    if (leader !== undefined && lead !== undefined && lead.text !== leader.text) return undefined;
    if (given !== undefined) return given;
    leader ??= lead;
  }
  return undefined;
}

/** Merges the sources (strongest first) into checked answers and a list of everything that is wrong. */
export async function resolve(sources: readonly Source[], ask?: Ask): Promise<Resolved> {
  const answers: Record<string, Value> = {};
  const secrets: Record<string, string> = {};
  const given = new Set<string>();
  const left = new Set<string>();
  const problems: string[] = [];
  const wrong: string[] = [];

  const settle = async (question: Question, single: boolean): Promise<void> => {
    if (question.when && !question.when(answers)) return;
    const found = lookUp(question, sources, single);
    let text = found?.text;
    if (text === undefined) {
      const initial = question.initial?.(answers);
      text = await ask?.(question, answers, initial);
      if (text === undefined) {
        if (initial !== undefined) answers[question.key] = initial;
        // What would follow from an answer that is missing itself is not missing too.
        else if (!question.optional && (question.initial === undefined || problems.length === 0)) {
          problems.push(
            `${question.message} is missing: give --${flagOf(question)} or ${variableOf(question)}. ${question.help}`,
          );
        }
        return;
      }
    }
    if (
      question.optional &&
      text.trim() === '' &&
      (!question.secret || (found?.open ?? found === undefined))
    ) {
      left.add(question.key);
      return;
    }
    const parsed = question.parse(text);
    if ('problem' in parsed) {
      wrong.push(`${found?.from ?? question.key}: ${parsed.problem}`);
      problems.push(wrong.at(-1) as string);
      return;
    }
    given.add(question.key);
    if (question.secret) secrets[question.key] = String(parsed.value);
    else answers[question.key] = parsed.value;
  };

  const [appsQuestion] = questionsFor([]);
  await settle(appsQuestion as Question, false);
  const apps = String(answers['apps'] ?? '')
    .split(',')
    .filter((id) => APP_IDS.includes(id));
  for (const question of questionsFor(apps).slice(1)) await settle(question, apps.length === 1);

  // Every name that Caddy answers for; one app may have the same for two things.
  const names = questionsFor(apps).flatMap(({ key, parse }) => {
    const domain = parse === parseSiteDomain ? answers[key] : undefined;
    return domain === undefined ? [] : [{ app: key.split('.')[1], domain }];
  });
  const twice = names.find((one) =>
    names.some(({ app, domain }) => app !== one.app && domain === one.domain),
  );
  if (twice !== undefined) problems.push(`Two apps have the domain ${twice.domain}. Each needs its own.`);
  return { answers, secrets, given, left, problems, wrong };
}

/** Looks a name up among the rows' own names, which may leave the app out; a sentence when there is none. */
function keyBy(
  name: string,
  nameOf: (question: Question) => string,
  shorten: (name: string) => string,
  others: readonly string[] = [],
): { key: string; question: Question } | { problem: string } {
  for (const question of ALL_QUESTIONS) {
    if (nameOf(question) === name) return { key: question.key, question };
  }
  for (const question of ALL_QUESTIONS) {
    const short = shortKeyOf(question);
    if (short !== undefined && shorten(short) === name) return { key: short, question };
  }
  const near = nearest(name, [
    ...others,
    ...ALL_QUESTIONS.flatMap((question) => {
      const short = shortKeyOf(question);
      return [nameOf(question), ...(short === undefined ? [] : [shorten(short)])];
    }),
  ]);
  return { problem: `There is no ${name}.${near === undefined ? '' : ` Did you mean ${near}?`}` };
}

/** `FEDI_SNAC_DOMAIN` or `FEDI_DOMAIN` → key. */
export function keyOfVariable(name: string): { key: string; question: Question } | { problem: string } {
  return keyBy(name, variableOf, (short) => `FEDI_${short.replace(/[.-]/g, '_').toUpperCase()}`);
}

/** `snac-domain` or `domain` → key. */
export function keyOfFlag(
  name: string,
  others: readonly string[] = [],
): { key: string; question: Question } | { problem: string } {
  return keyBy(name, flagOf, (short) => short.replaceAll('.', '-'), others);
}
