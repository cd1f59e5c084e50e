/** The help, generated from the commands and from the table of questions. */
import { APPS } from '../../apps/index.ts';
import { ALL_QUESTIONS } from '../../answers/questions.ts';
import { nearest } from '../../config/parse.ts';
import { flagOf } from '../../config/question.ts';
import type { Question } from '../../config/question.ts';
import { listed } from '../../lists.ts';
import { EXIT, Problem } from '../../problem.ts';
import { wrap } from '../../wrap.ts';
import type { Argument, Command, CommandContext, Example, Flag, Run } from '../command.ts';
import { ANSWERS, COMMON } from '../flags.ts';
import { toolCommands } from '../tool.ts';

const WIDTH = 80;

/** Two columns. The right one is wrapped, and starts on its own line where the left one is too long. */
function row(left: string, right: string, column: number): string {
  const text = wrap(right, WIDTH, column).slice(column);
  return left.length + 4 > column
    ? `  ${left}\n${' '.repeat(column)}${text}`
    : `  ${left.padEnd(column - 2)}${text}`;
}

const spelled = ({ name, short = [], value }: Flag): string =>
  `${short.length > 0 ? `${short.map((one) => `-${one}`).join(', ')}, ` : '    '}--${name}${value === undefined ? '' : ` ${value}`}`;

function flagRow(flag: Flag): string {
  const { choices, about } = flag;
  return row(spelled(flag), choices === undefined ? about : `${about} One of ${listed(choices, 'or')}.`, 30);
}

/** Lines that are too long are continued as in a shell. */
function exampleRows(examples: readonly Example[]): string[] {
  const app = APPS[1]?.id ?? '';
  return [
    examples.length === 1 ? 'Example:' : 'Examples:',
    ...examples.flatMap(({ line, does }) => [
      wrap(line.replaceAll('{app}', app), WIDTH - 2, 2).replaceAll('\n', ' \\\n  '),
      wrap(does, WIDTH, 6),
    ]),
  ];
}

const nameOf = ({ name, optional, many }: Argument): string => {
  const word = `${name}${many ? '…' : ''}`;
  return optional ? `[${word}]` : word;
};

/** `fedi-setup logs [SERVICE…]`. */
export const usageOf = ({ name, usage, args = [] }: Command): string =>
  ['fedi-setup', name, usage ?? args.map(nameOf).join(' ')].filter(Boolean).join(' ');

/** A default that depends on nothing else. */
function defaultOf({ initial, byHost, derivedFrom, optional, secret }: Question): string {
  const value = byHost === undefined && derivedFrom === undefined ? initial?.({}) : undefined;
  if (value !== undefined && value !== '' && !String(value).includes('undefined'))
    return ` (default: ${String(value)})`;
  return optional && !secret ? ' (optional)' : '';
}

function answerRow(question: Question): string {
  const { message, choices, several, secret } = question;
  const words = choices?.map(({ value: word }) => word) ?? [];
  const values =
    words.length === 0 ? '' : several ? `: one or more of ${words.join(',')}` : `: ${listed(words, 'or')}`;
  const value = secret ? 'FILE' : choices === undefined ? 'TEXT' : several ? 'WORD,…' : 'WORD';
  return row(`--${flagOf(question)} ${value}`, `${message}${values}${defaultOf(question)}`, 30);
}

/** The answers of the site, then those of each app. */
function answerRows(): string[] {
  const ofApp = (id: string): Question[] => ALL_QUESTIONS.filter(({ key }) => key.startsWith(`apps.${id}.`));
  return [
    '',
    ...wrap(
      'Answers. Each is also a variable, FEDI_NAME. With one app its name may be left out: --domain.',
      WIDTH,
    ).split('\n'),
    ...ALL_QUESTIONS.filter(({ key }) => !key.startsWith('apps.')).map(answerRow),
    ...APPS.flatMap(({ id, name }) => ['', `Answers of ${name}:`, ...ofApp(id).map(answerRow)]),
  ];
}

function detailsOf(command: Command, choices: ReadonlyMap<Argument, readonly string[]>): string[] {
  const {
    name,
    summary,
    details = [],
    args = [],
    flags,
    answerFlags = [],
    answers,
    passes,
    examples,
  } = command;
  const own = [...(answers ? [ANSWERS] : []), ...answerFlags, ...flags];
  return [
    ...wrap(`${name === '' ? 'fedi-setup' : `fedi-setup ${name}`}: ${summary}`, WIDTH).split('\n'),
    ...details.flatMap((text) => ['', wrap(text, WIDTH)]),
    '',
    wrap(`Usage: ${usageOf(command)}${passes ? '' : ' [FLAG…]'}`, WIDTH - 7).replaceAll('\n', '\n       '),
    ...(args.length === 0 ? [] : ['', 'Arguments:']),
    ...args.map((arg) => {
      const allowed = choices.get(arg);
      return row(
        arg.name,
        `${arg.about}${allowed === undefined ? '' : ` One of ${listed(allowed, 'or')}.`}`,
        14,
      );
    }),
    ...(own.length === 0 ? [] : ['', 'Flags:', ...own.map(flagRow)]),
    '',
    'Flags of every command:',
    ...COMMON.map(flagRow),
    ...(answers ? answerRows() : []),
    '',
    ...exampleRows(examples),
  ];
}

/** About all commands. */
function overview(commands: readonly Command[]): string[] {
  return [
    'fedi-setup: from a fresh Linux host to a proven fediverse server.',
    '',
    'Usage: fedi-setup [COMMAND] [ARGUMENT…] [FLAG…]',
    '',
    'Commands:',
    ...commands.map(({ name, summary }) => row(name || '(none)', summary, 14)),
    '',
    'Flags of every command:',
    ...COMMON.map(flagRow),
    '',
    ...exampleRows(commands[0]?.examples ?? []),
    '',
    '`fedi-setup COMMAND --help` shows the arguments and flags of a command,',
    '`fedi-setup apply --help` all answers.',
  ];
}

/** @param name of a command; undefined: about all of them */
async function helpText(name: string | undefined, context: CommandContext): Promise<string> {
  const commands = [...context.commands, ...(await toolCommands())];
  if (name === undefined) return overview(commands).join('\n');
  const command = commands.find((one) => one.name === name);
  if (command === undefined) {
    const near = nearest(
      name,
      commands.map((one) => one.name),
    );
    throw new Problem(EXIT.USAGE, `Unknown command: ${name}.${near ? ` Did you mean ${near}?` : ''}`, {
      next: '`fedi-setup help` lists the commands.',
    });
  }
  const choices = new Map<Argument, readonly string[]>();
  for (const arg of command.args ?? [])
    if (arg.choices !== undefined && command.name !== 'help') choices.set(arg, await arg.choices(context));
  return detailsOf(command, choices).join('\n');
}

export const run: Run = async (context) => {
  const text = await helpText(context.words[0], context);
  context.progress.print(text);
  context.progress.emit({ event: 'help', text });
  return EXIT.OK;
};
