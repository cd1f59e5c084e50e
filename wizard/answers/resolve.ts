/** Merges answers by precedence: flag > environment > answers file > saved > default. */
import { APP_IDS } from '../apps/index.ts';
import { nearest, parseSiteDomain } from '../config/parse.ts';
import { flagOf, inContext, shortKeyOf, variableOf } from '../config/question.ts';
import type { Answers, Question, Value } from '../config/question.ts';
import { ALL_QUESTIONS, questionsFor } from './questions.ts';

/** One answer: its text, and its origin for error messages. */
export interface RawAnswer {
  readonly text: string;
  /** `--domain`, `FEDI_DOMAIN`, `answers.env line 3`, `fedi.yaml line 4`. */
  readonly from: string;
  /** A secret deliberately left empty in the wizard; an empty secret file is an error. */
  readonly open?: true;
}

/** Answers of one source by key. A short key (`domain`) has no app name. */
export type Source = ReadonlyMap<string, RawAnswer>;

/** Asks for a missing answer. Without a terminal there is no such function, and a missing answer is a problem. */
export type Ask = (
  question: Question,
  answers: Answers,
  initial: Value | undefined,
) => Promise<string | undefined>;

export interface Resolved {
  readonly answers: Answers;
  /** Secret answers by key. They are never in `answers`. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Keys with an explicit answer; all others have their default. */
  readonly provided: ReadonlySet<string>;
  /** Optional keys that were explicitly cleared, overriding sources of lower precedence. */
  readonly cleared: ReadonlySet<string>;
  /** Everything that is wrong or missing, in the order of the questions. */
  readonly problems: readonly string[];
  /** The subset of `problems` caused by invalid answers (not by missing ones). */
  readonly wrong: readonly string[];
}

/** Finds the answer to a question by its key or, if the site has a single app, by its short key. */
function lookUp(question: Question, sources: readonly Source[], single: boolean): RawAnswer | undefined {
  const short = single ? shortKeyOf(question) : undefined;
  // The first answers found to the questions that this default is derived from.
  const bases = new Map<string, string>();
  for (const source of sources) {
    const answer = source.get(question.key) ?? (short === undefined ? undefined : source.get(short));
    const here = (question.derivedFrom ?? []).flatMap((key) => {
      const base = source.get(key);
      return base === undefined ? [] : [[key, base.text] as const];
    });
    if (here.some(([key, text]) => (bases.get(key) ?? text) !== text)) return undefined;
    if (answer !== undefined) return answer;
    for (const [key, text] of here) if (!bases.has(key)) bases.set(key, text);
  }
  return undefined;
}

/** Merges the sources (highest precedence first) into validated answers and a list of problems. */
export async function resolve(sources: readonly Source[], ask?: Ask): Promise<Resolved> {
  const answers: Record<string, Value> = {};
  const secrets: Record<string, string> = {};
  const provided = new Set<string>();
  const cleared = new Set<string>();
  const problems: string[] = [];
  const wrong: string[] = [];

  const settle = async (row: Question, single: boolean): Promise<void> => {
    if (row.when && !row.when(answers)) return;
    const question = inContext(row, answers);
    const found = lookUp(question, sources, single);
    let text = found?.text;
    if (text === undefined) {
      const initial = question.initial?.(answers);
      text = await ask?.(question, answers, initial);
      if (text === undefined) {
        if (initial !== undefined) answers[question.key] = initial;
        // Do not report a derived answer as missing when the one it derives from is missing.
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
      cleared.add(question.key);
      return;
    }
    const parsed = question.parse(text);
    if ('problem' in parsed) {
      wrong.push(`${found?.from ?? question.key}: ${parsed.problem}`);
      problems.push(wrong.at(-1) as string);
      return;
    }
    provided.add(question.key);
    if (question.secret) secrets[question.key] = String(parsed.value);
    else answers[question.key] = parsed.value;
  };

  const [appsQuestion] = questionsFor([]);
  await settle(appsQuestion as Question, false);
  const apps = String(answers['apps'] ?? '')
    .split(',')
    .filter((id) => APP_IDS.includes(id));
  const unclear = apps.length > 1 ? ambiguous(sources, apps) : [];
  wrong.push(...unclear);
  problems.push(...unclear);
  for (const question of questionsFor(apps).slice(1)) await settle(question, apps.length === 1);

  const names = servedNames(apps, answers);
  const shared = names.find((one) => names.some((other) => collides(one, other)));
  if (shared !== undefined) {
    wrong.push(`Two apps have the domain ${shared.domain}. Each needs its own.`);
    problems.push(wrong.at(-1) as string);
  }
  return { answers, secrets, provided, cleared, problems, wrong };
}

/** What begins the origin of an answer that is a flag. */
const FLAG = '--';

/**
 * Flags that set nothing, each as a sentence with the reason: its question does not apply to these answers. Variables and keys of files
 * may be there for another site.
 */
export function surplusFlags(sources: readonly Source[], answers: Answers): string[] {
  const apps = String(answers['apps'] ?? '')
    .split(',')
    .filter((id) => APP_IDS.includes(id));
  const rows = questionsFor(apps);
  const [app = ''] = apps;
  return sources.flatMap((source) =>
    [...source].flatMap(([key, { from }]) => {
      if (!from.startsWith(FLAG)) return [];
      const long = apps.length === 1 ? longKey(key, app) : key;
      const question = ALL_QUESTIONS.find((one) => one.key === long);
      if (question === undefined) return [];
      if (!rows.some((one) => one.key === long)) return [`${from}: this site has no ${appIn(long)}.`];
      if (question.when?.(answers) ?? true) return [];
      return [`${from} does not apply to this site: ${reasonFor(question, answers, rows)}.`];
    }),
  );
}

/** When a question would apply, in words. */
function reasonFor({ applies, when }: Question, answers: Answers, rows: readonly Question[]): string {
  if (applies !== undefined) return `it applies ${applies}`;
  for (const { key, choices = [] } of rows) {
    const values = choices.map(({ value }) => value).filter((value) => when?.({ ...answers, [key]: value }));
    if (values.length > 0)
      return `it applies only if \`${key}\` is ${values.join(' or ')}, and that is ${answers[key] ?? 'not set'}`;
  }
  const missing = rows.find(
    ({ key, choices }) =>
      choices === undefined && answers[key] === undefined && when?.({ ...answers, [key]: 'x' }) === true,
  );
  return missing === undefined
    ? 'it depends on several other answers'
    : `it applies only if \`${missing.key}\` is given`;
}

interface ServedName {
  readonly app: string;
  readonly domain: string;
}

/** All domains that Caddy serves, with their apps. */
const servedNames = (apps: readonly string[], answers: Answers): ServedName[] =>
  questionsFor(apps).flatMap(({ key, parse }) => {
    const domain = parse === parseSiteDomain ? answers[key] : undefined;
    return domain === undefined ? [] : [{ app: appIn(key), domain: String(domain) }];
  });

/** One app may use a domain for two purposes. */
const collides = (one: ServedName, other: ServedName): boolean =>
  one.app !== other.app && one.domain === other.domain;

/** `apps.snac.domain` → `snac`. */
const appIn = (key: string): string => key.split('.')[1] ?? '';

/** The question in the context of `answers`; that of a domain also refuses the domains of other apps in `answers`. */
export function besides(question: Question, answers: Answers): Question {
  if (question.parse !== parseSiteDomain) return inContext(question, answers);
  const apps = String(answers['apps'] ?? '').split(',');
  const names = servedNames(apps, answers);
  return {
    ...question,
    parse: (text) => {
      const parsed = parseSiteDomain(text);
      if ('problem' in parsed) return parsed;
      const mine = { app: appIn(question.key), domain: parsed.value };
      const other = names.find((one) => collides(mine, one));
      return other === undefined
        ? parsed
        : { problem: `This is the domain of ${other.app}. Each app needs its own.` };
    },
  };
}

/** `domain` → `apps.snac.domain` for snac; any other key stays. */
export function longKey(key: string, app: string): string {
  const long = `apps.${app}.${key}`;
  return ALL_QUESTIONS.some((question) => question.key === long) ? long : key;
}

/** Short names of a site with several apps: it is not clear which app they mean. */
function ambiguous(sources: readonly Source[], apps: readonly string[]): string[] {
  return sources.flatMap((source) =>
    [...source].flatMap(([key, { from }]) => {
      const keys = apps.map((app) => longKey(key, app)).filter((long) => long !== key);
      const flags = ALL_QUESTIONS.filter((question) => keys.includes(question.key)).map(flagOf);
      return flags.length === 0
        ? []
        : [`${from}: this site has several apps. Use ${flags.map((flag) => `--${flag}`).join(' or ')}.`];
    }),
  );
}

/** Finds a question by name, with or without the app's name; otherwise returns an error message. */
function keyBy(
  name: string,
  nameOf: (question: Question) => string,
  shorten: (name: string, question: Question) => string,
  others: readonly string[] = [],
): { key: string; question: Question } | { problem: string } {
  for (const question of ALL_QUESTIONS) {
    if (nameOf(question) === name) return { key: question.key, question };
  }
  for (const question of ALL_QUESTIONS) {
    const short = shortKeyOf(question);
    if (short !== undefined && shorten(short, question) === name) return { key: short, question };
  }
  const names = [
    ...others,
    ...ALL_QUESTIONS.flatMap((question) => {
      const short = shortKeyOf(question);
      return [nameOf(question), ...(short === undefined ? [] : [shorten(short, question)])];
    }),
  ];
  const near = names.find((one) => one === `${name}-file`) ?? nearest(name, names);
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
  return keyBy(
    name,
    flagOf,
    (short, { secret }) => `${short.replaceAll('.', '-')}${secret ? '-file' : ''}`,
    others,
  );
}
