/** The command line as words, flags and answers; refuses what a command does not take. */
import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import type { Command, Flag, GlobalFlags } from '../commands/command.ts';
import { ANSWERS, COMMON } from '../commands/flags.ts';
import { listed } from '../lists.ts';
import { EXIT, Problem } from '../problem.ts';

/** The command line in parts. */
export interface CommandLine {
  /** The command and its arguments. */
  readonly words: readonly string[];
  readonly flags: GlobalFlags;
  /** Names of the flags that were given. */
  readonly flagNames: readonly string[];
  /** Answers by flag; sources.ts checks them. */
  readonly answers: Readonly<Record<string, string>>;
}

/** All flags of all commands. */
export const flagsOf = (commands: readonly Command[]): ReadonlyMap<string, Flag> =>
  new Map(
    [...COMMON, ANSWERS, ...commands.flatMap(({ flags }) => flags)].map((flag) => [flag.name, flag] as const),
  );

const byShort = (all: ReadonlyMap<string, Flag>, letter: string): Flag | undefined =>
  [...all.values()].find(({ short }) => short?.includes(letter));

/** A usage error. @param command whose help has the flags; absent: it is not known */
export const misused = (what: string, command?: string): Problem =>
  new Problem(EXIT.USAGE, what, {
    next:
      command === undefined
        ? '`fedi-setup --help` lists commands and flags.'
        : `\`fedi-setup ${command} --help\` explains its flags.`,
  });

/** Where the first word is that is neither a flag nor the value of one; undefined: there is none. */
export function firstWord(argv: readonly string[], all: ReadonlyMap<string, Flag>): number | undefined {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string;
    if (!word.startsWith('-')) return at;
    const flag = word.startsWith('--') ? all.get(word.slice(2)) : byShort(all, word.slice(-1));
    // Flags that are not known here are answers, which take a value.
    const takesValue = flag === undefined ? word.startsWith('--') : flag.value !== undefined;
    if (takesValue && !word.includes('=')) at++;
  }
  return undefined;
}

/** Why a value is not allowed; undefined: it is. */
function mistake({ name, choices, form }: Flag, value: string): string | undefined {
  if (choices !== undefined && !choices.includes(value)) return `--${name} must be ${listed(choices, 'or')}.`;
  return form === undefined || form.pattern.test(value) ? undefined : `--${name} must be ${form.is}.`;
}

/** Splits the command line. @param command name of its command; absent: it has none, or an unknown one */
export async function readArgv(
  argv: readonly string[],
  all: ReadonlyMap<string, Flag>,
  command?: string,
): Promise<CommandLine> {
  const options: ParseArgsConfig['options'] = {};
  for (const { name, value, short = [] } of all.values())
    options[name] = {
      type: value === undefined ? 'boolean' : 'string',
      ...(short[0] === undefined ? {} : { short: short[0] }),
    };
  // No prototype: `--constructor` and `--__proto__` are ordinary names.
  const answers = Object.create(null) as Record<string, string>;
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values = new Map<string, string[]>();
  const words: string[] = [];
  const taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind === 'positional') {
      if (!taken.has(token.index)) words.push(token.value);
      continue;
    }
    if (token.kind !== 'option') continue;
    const isLong = token.rawName.startsWith('--');
    const flag = isLong ? all.get(token.name) : byShort(all, token.rawName.slice(1));
    if (flag === undefined && !isLong) throw misused(`There is no ${token.rawName}.`);
    if (flag !== undefined && flag.value === undefined) {
      if (token.value !== undefined) throw misused(`--${flag.name} takes no value.`, command);
      values.set(flag.name, []);
      continue;
    }
    let { value } = token;
    // parseArgs takes `--json` as the value in `--dir --json`.
    if (token.inlineValue === false && /^-./.test(value ?? ''))
      throw misused(valueMissing(token.name, all), command);
    const next = argv[token.index + 1];
    if (value === undefined && next !== undefined && (next === '-' || !next.startsWith('-'))) {
      value = next;
      taken.add(token.index + 1);
    }
    if (value === undefined) {
      if (flag === undefined) {
        const { keyOfFlag } = await import('../answers/resolve.ts');
        const found = keyOfFlag(token.name, [...all.keys()]);
        if ('problem' in found) throw misused(found.problem.replace(/(no|mean) (\S)/g, '$1 --$2'));
      }
      throw misused(valueMissing(token.name, all), command);
    }
    if (flag === undefined) answers[token.name] = value;
    else if (flag.multiple) values.set(flag.name, [...(values.get(flag.name) ?? []), ...value.split(',')]);
    else {
      const wrong = mistake(flag, value);
      if (wrong !== undefined) throw misused(wrong, command);
      values.set(flag.name, [value]);
    }
  }
  const text = (name: string): string | undefined => values.get(name)?.[0];
  const is = (name: string): boolean => values.has(name);
  return {
    words,
    answers,
    flagNames: [...values.keys()],
    flags: {
      dir: text('dir'),
      answers: text('answers'),
      json: is('json'),
      dryRun: is('dry-run'),
      yes: is('yes'),
      debug: is('debug'),
      check: is('check'),
      databases: is('databases'),
      images: is('images'),
      diff: is('diff'),
      data: is('data'),
      edited: text('edited') as GlobalFlags['edited'],
      skipCheck: values.get('skip-check') ?? [],
      swapGiB: Number(text('swap') ?? 0),
      confirm: text('confirm'),
      mail: is('mail'),
      role: text('role'),
      fix: is('fix'),
      tune: is('tune'),
      follow: is('follow'),
      watch: is('watch'),
      all: is('all'),
      tail: text('tail'),
      since: text('since'),
      stop: is('stop'),
      uploadMedia: is('upload-media'),
      to: values.get('to') ?? [],
      from: text('from'),
      at: text('at'),
      app: values.get('app') ?? [],
      goodbye: is('goodbye'),
      attempts: text('attempts'),
      queues: text('queues') as GlobalFlags['queues'],
      help: is('help'),
      version: is('version'),
    },
  };
}

/** `--database` of `upgrade`, for example, is an answer, and `--databases` a flag. */
const valueMissing = (name: string, all: ReadonlyMap<string, Flag>): string =>
  `--${name} takes a value.${all.has(`${name}s`) ? ` Did you mean --${name}s?` : ''}`;

const takes = ({ flags, answers }: Command, name: string): boolean =>
  [...COMMON, ...flags].some((flag) => flag.name === name) || (answers === true && name === ANSWERS.name);

const commandName = (name: string): string => (name === '' ? 'fedi-setup' : name);

/**
 * Refuses arguments and flags that a command would ignore: with an ignored --dry-run, a removal would be executed.
 * @param words the arguments after the command
 */
export async function refuseSurplus(
  command: Command,
  { flagNames, answers }: CommandLine,
  words: readonly string[],
  commands: readonly Command[],
): Promise<void> {
  const { args = [] } = command;
  const extra = args.some(({ many }) => many) ? [] : words.slice(args.length);
  if (extra.length > 0) throw misused(`Unexpected argument: ${extra.join(' ')}`);

  const having = (which: (one: Command) => boolean): string =>
    commands
      .filter(which)
      .map(({ name }) => (name === '' ? '`fedi-setup` alone' : name))
      .join(', ');
  const refusal = (flag: string, next: string): Problem =>
    new Problem(EXIT.USAGE, `\`${commandName(command.name)}\` does not take --${flag}.`, {
      means: 'Nothing was changed.',
      next,
    });
  for (const flag of flagNames) {
    if (takes(command, flag)) continue;
    if (flag === 'check' && takes(command, 'dry-run'))
      throw refusal(flag, 'Did you mean `fedi-setup plan --check`, or --dry-run?');
    throw refusal(flag, `These commands take it: ${having((one) => takes(one, flag))}.`);
  }
  if (command.answers === true) return;
  const names = Object.keys(answers).filter(
    (name) => !command.answerFlags?.some((flag) => flag.name === name),
  );
  if (names.length === 0) return;
  const { keyOfFlag } = await import('../answers/resolve.ts');
  const all = [...flagsOf(commands).keys()];
  const answer = names.find((flag) => !('problem' in keyOfFlag(flag, all)));
  if (answer !== undefined)
    throw refusal(
      answer,
      `It sets an answer. These commands take answers: ${having((one) => one.answers === true)}.`,
    );
}
