/** Flags → command. The only place that prints an error and sets the exit code. */
import { isatty } from 'node:tty';
import { parseArgs, styleText } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import type { Command, CommandContext, GlobalFlags } from './commands/command.ts';
import { Cancelled, EXIT, Problem, messageOf } from './problem.ts';
import type { ExitCode } from './problem.ts';
import { LONGEST_LINE, shortLines, visible, visibleJson } from './visible.ts';

declare const VERSION: string | undefined;
export const version = typeof VERSION === 'undefined' ? '0.0.0-source' : VERSION;

interface Entry {
  readonly about: string;
  /** Largest number of arguments; absent: none. */
  readonly words?: number;
  /** Flags besides {@link COMMON}. */
  readonly flags: readonly Flag[];
  /** It accepts answers, as flags and by --answers. */
  readonly answers?: true;
  readonly load: () => Promise<Command>;
}

const GLOBAL_FLAGS = {
  dir: { type: 'string', about: 'DIR     site directory (default: this one, or ./fedi)' },
  answers: { type: 'string', about: 'FILE    answers in the form of env.example; - is standard input' },
  json: { type: 'boolean', about: '        print events as JSON lines' },
  'dry-run': { type: 'boolean', about: '        show the plan only' },
  yes: { type: 'boolean', short: 'y', about: '        ask nothing, use the defaults' },
  check: { type: 'boolean', about: '        exit 1 if anything would change' },
  diff: { type: 'boolean', about: '        show the differences of files too' },
  edited: { type: 'string', about: 'WORD    files changed by hand: keep, replace or abort' },
  'skip-check': { type: 'string', multiple: true, about: 'ID      skip a check of this host' },
  swap: { type: 'string', about: 'GB      create a swap file if there is none (as root)' },
  data: { type: 'boolean', about: '        delete the data too' },
  mail: { type: 'boolean', about: '        send a mail too' },
  fix: { type: 'boolean', about: '        fix what it can' },
  confirm: { type: 'string', about: 'NAME    confirm with the name of the site, app or secret' },
  debug: { type: 'boolean', about: '        show stack traces' },
  help: { type: 'boolean', short: 'h', about: '        show this help, or that of a command' },
  version: { type: 'boolean', short: 'v', about: '        show the version' },
} as const;

type Flag = keyof typeof GLOBAL_FLAGS;

/** Flags of every command. */
const COMMON: readonly Flag[] = ['dir', 'json', 'yes', 'debug', 'help', 'version'];
/** Flags of commands that apply answers to a site. */
const APPLY: readonly Flag[] = ['dry-run', 'diff', 'edited', 'skip-check', 'swap', 'confirm'];

const setup = () => import('./commands/setup.ts');
const site = () => import('./commands/site.ts');
const apps = () => import('./commands/apps.ts');

const COMMANDS: Readonly<Record<string, Entry>> = {
  '': {
    about: 'the wizard: asks, shows the plan, sets up, proves',
    flags: APPLY,
    answers: true,
    load: async () => (await setup()).wizardCommand,
  },
  apply: {
    about: 'the same without questions; later: applies what changed',
    flags: APPLY,
    answers: true,
    load: async () => (await setup()).applyCommand,
  },
  plan: {
    about: 'shows what apply would do (--check: exit 1 if anything)',
    // Takes the flags of `apply`, so that you can replace the one word by the other.
    flags: [...APPLY, 'check'],
    answers: true,
    load: async () => (await setup()).planCommand,
  },
  rollback: {
    about: 'lists earlier versions of the site; NUMBER: restores one',
    words: 1,
    flags: APPLY,
    load: async () => (await setup()).rollbackCommand,
  },
  lab: {
    about: 'sets up a trial server on this host only',
    flags: APPLY,
    answers: true,
    load: async () => (await setup()).labCommand,
  },
  status: { about: 'shows what runs', flags: [], load: async () => (await site()).statusCommand },
  doctor: {
    about: 'checks this host and the site (--fix: fixes what it can)',
    flags: ['fix', 'skip-check'],
    load: async () => (await site()).doctorCommand,
  },
  prove: {
    about: 'tests the site again: log-in, WebFinger, upload, …',
    flags: ['mail'],
    load: async () => (await site()).proveCommand,
  },
  mail: {
    about: 'shows the mails in the catcher',
    flags: [],
    load: async () => (await site()).mailCommand,
  },
  secrets: {
    about: 'lists them; export [FILE]; set NAME FILE; rotate NAME',
    words: 3,
    flags: APPLY.filter((flag) => flag !== 'dry-run' && flag !== 'diff'),
    load: async () => (await import('./commands/secrets.ts')).secretsCommand,
  },
  add: {
    about: 'APP: adds an app to the site',
    words: 1,
    flags: APPLY,
    answers: true,
    load: async () => (await apps()).addCommand,
  },
  remove: {
    about: 'APP: removes an app (--data: its data too)',
    words: 1,
    flags: [...APPLY, 'data'],
    load: async () => (await apps()).removeCommand,
  },
  reset: {
    about: 'deletes the data, keeps the answers',
    flags: ['confirm', 'data'],
    load: async () => (await site()).resetCommand,
  },
  uninstall: {
    about: 'removes the containers (--data: everything)',
    flags: ['confirm', 'data'],
    load: async () => (await site()).uninstallCommand,
  },
};

const takes = (entry: Entry | undefined, flag: string): boolean =>
  [...COMMON, ...(entry?.flags ?? []), ...(entry?.answers === true ? ['answers'] : [])].includes(flag);

/** @param name of a command; undefined: about all of them */
async function help(name?: string): Promise<string> {
  const { ALL_QUESTIONS } = await import('./answers/questions.ts');
  const { flagOf } = await import('./config/question.ts');
  const { APPS } = await import('./apps/index.ts');
  const entry = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  const lines: string[] = [];
  if (entry === undefined) {
    lines.push(
      'fedi-setup: from a fresh Linux host to a proven fediverse server.',
      '',
      'Usage: fedi-setup [COMMAND] [FLAGS]',
      '',
    );
    for (const [command, { about }] of Object.entries(COMMANDS))
      lines.push(`  ${(command || '(none)').padEnd(10)} ${about}`);
    for (const { cli, name: app } of APPS)
      lines.push(`  ${`${cli.name} …`.padEnd(10)} ${app}’s own tool, in its container`);
    lines.push('', '`fedi-setup COMMAND --help` shows the flags of a command.');
  } else {
    lines.push(`fedi-setup ${name}: ${entry.about}`, '');
    lines.push(`Usage: fedi-setup ${name}${' WORD'.repeat(entry.words === undefined ? 0 : 1)} [FLAGS]`);
  }
  lines.push('', 'Flags:');
  for (const [flag, { about }] of Object.entries(GLOBAL_FLAGS))
    if (entry === undefined || takes(entry, flag)) lines.push(`  --${flag.padEnd(11)} ${about}`);
  if (entry === undefined || entry.answers === true) {
    lines.push('', 'Answers (also as FEDI_… variables; with one app its name may be left out):');
    for (const question of ALL_QUESTIONS)
      lines.push(`  --${flagOf(question).padEnd(20)} ${question.message}`);
  }
  return `${lines.join('\n')}\n`;
}

const commandName = (name: string): string => (name === '' ? 'fedi-setup' : name);

/** Refuses flags that a command would ignore: with an ignored --dry-run, a removal would be executed. */
async function refuseSurplus(
  name: string,
  entry: Entry | undefined,
  flags: readonly string[],
  answers: readonly string[],
): Promise<void> {
  const having = (which: (one: Entry) => boolean): string =>
    Object.entries(COMMANDS)
      .filter(([, one]) => which(one))
      .map(([command]) => (command === '' ? '`fedi-setup` alone' : command))
      .join(', ');
  const refusal = (flag: string, next: string): Problem =>
    new Problem(EXIT.USAGE, `\`${commandName(name)}\` takes no --${flag}, so nothing was done.`, { next });
  for (const flag of flags) {
    if (takes(entry, flag)) continue;
    if (flag === 'check' && entry?.flags.includes('dry-run') === true)
      throw refusal(flag, 'Did you mean `fedi-setup plan --check`, or --dry-run?');
    throw refusal(flag, `It belongs to: ${having((one) => takes(one, flag))}.`);
  }
  if (entry?.answers === true) return;
  const { keyOfFlag } = await import('./answers/resolve.ts');
  const answer = answers.find((flag) => !('problem' in keyOfFlag(flag, Object.keys(GLOBAL_FLAGS))));
  if (answer !== undefined)
    throw refusal(answer, `Answers belong to: ${having((one) => one.answers === true)}.`);
}

/** Splits the command line; answers' flags are those of the question table. */
async function parse(
  argv: readonly string[],
): Promise<{ flags: GlobalFlags; given: string[]; answers: Record<string, string>; words: string[] }> {
  const options: ParseArgsConfig['options'] = {};
  for (const [name, { about: _, ...option }] of Object.entries(GLOBAL_FLAGS)) options[name] = option;
  // No prototype: `--constructor` and `--__proto__` are ordinary names.
  const answers = Object.create(null) as Record<string, string>;
  // sources.ts checks the answer flags; here they are only separated from values.
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const values: Record<string, string | boolean | string[]> = {};
  const words: string[] = [];
  const taken = new Set<number>();
  for (const token of tokens) {
    if (token.kind === 'positional') {
      if (!taken.has(token.index)) words.push(token.value);
      continue;
    }
    if (token.kind !== 'option') continue;
    const known = globalFlag(token.name);
    if (known?.type === 'boolean') {
      if (token.value !== undefined) throw usage(`--${token.name} takes no value.`);
      values[token.name] = true;
      continue;
    }
    let value = token.value;
    const next = argv[token.index + 1];
    if (value === undefined && next !== undefined && (next === '-' || !next.startsWith('-'))) {
      value = next;
      taken.add(token.index + 1);
    }
    if (value === undefined) {
      if (known === undefined) {
        const { keyOfFlag } = await import('./answers/resolve.ts');
        const found = keyOfFlag(token.name, Object.keys(GLOBAL_FLAGS));
        if ('problem' in found) throw usage(found.problem.replace(/(no|mean) (\S)/g, '$1 --$2'));
      }
      throw usage(`--${token.name} takes a value.`);
    }
    if (known === undefined) answers[token.name] = value;
    else if (known.multiple)
      values[token.name] = [...((values[token.name] as string[] | undefined) ?? []), ...value.split(',')];
    else values[token.name] = value;
  }
  const edited = values['edited'];
  if (edited !== undefined && !['keep', 'replace', 'abort'].includes(String(edited)))
    throw usage('--edited must be keep, replace or abort.');
  const swap = values['swap'] ?? '0';
  if (!/^\d{1,2}$/.test(String(swap))) throw usage('--swap must be a size in GB, up to 99.');
  const text = (name: string): string | undefined => values[name] as string | undefined;
  return {
    words,
    answers,
    given: Object.keys(values),
    flags: {
      dir: text('dir'),
      answers: text('answers'),
      json: values['json'] === true,
      dryRun: values['dry-run'] === true,
      yes: values['yes'] === true,
      debug: values['debug'] === true,
      check: values['check'] === true,
      diff: values['diff'] === true,
      data: values['data'] === true,
      edited: edited as GlobalFlags['edited'],
      skipCheck: (values['skip-check'] as string[] | undefined) ?? [],
      swapGiB: Number(swap),
      confirm: text('confirm'),
      mail: values['mail'] === true,
      fix: values['fix'] === true,
      help: values['help'] === true,
      version: values['version'] === true,
    },
  };
}

const usage = (what: string): Problem =>
  new Problem(EXIT.USAGE, what, { next: '`fedi-setup --help` lists commands and flags.' });

/** Prints what happened, what it means, the last log lines, and what to do next. */
function printProblem(problem: Problem, flags: { json: boolean; debug: boolean }): void {
  if (flags.json) {
    process.stdout.write(
      `${visibleJson({ event: 'problem', exit: problem.exit, what: problem.message, means: problem.means, next: problem.next, log: problem.log })}\n`,
    );
  }
  const mark = process.stderr.isTTY && !process.env['NO_COLOR'] ? styleText('red', 'Error:') : 'Error:';
  process.stderr.write(`\n${mark} ${problemInWords(problem, flags.debug)}\n`);
}

/** Escapes control characters and cuts long lines: a problem may quote logs or responses of servers. */
export function problemInWords(problem: Problem, debug: boolean): string {
  const lines = [problem.message];
  if (problem.means) lines.push(`  ${problem.means}`);
  if (problem.log)
    lines.push(
      '',
      ...shortLines(visible(problem.log))
        .split('\n')
        .map((line) => `  | ${line}`),
      '',
    );
  if (problem.next) lines.push(`  Next: ${problem.next.replaceAll('\n', '\n        ')}`);
  if (debug && problem.stack) lines.push('', problem.stack);
  return shortLines(visible(lines.join('\n')), LONGEST_LINE);
}

/** Never throws. Resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  // Known before the flags are parsed, since parsing may fail too.
  const early = { json: argv.includes('--json'), debug: argv.includes('--debug') };
  let releaseLock: (() => Promise<void>) | undefined;
  let leaving = false;
  let note: string | undefined;
  const nothingChanged = (word = 'Cancelled. '): string =>
    `\n${word}Nothing was changed.\n${note === undefined ? '' : `${note}\n`}`;
  const leave = async (signal: NodeJS.Signals, code: ExitCode): Promise<void> => {
    if (leaving) return;
    leaving = true;
    const { startNoMore, stopChildren } = await import('./docker/run.ts');
    startNoMore();
    await stopChildren(signal);
    process.stderr.write(
      releaseLock === undefined
        ? nothingChanged()
        : '\nCancelled. Completed steps are kept; run this again to finish.\n',
    );
    // An interrupted prompt has hidden the cursor.
    if (process.stderr.isTTY) process.stderr.write('\u001b[?25h');
    // Release and exit at once, so that our own work, which still runs, writes nothing in between.
    const isHungUp = process.stdin.isTTY && !isatty(0);
    void releaseLock?.().catch(() => undefined);
    if (isHungUp) await unlessHungUp();
    process.exit(code);
  };
  // Not `once`: prompts and spinners end the process if they find no other listener.
  process.on('SIGINT', () => void leave('SIGINT', EXIT.INT));
  process.on('SIGTERM', () => void leave('SIGTERM', EXIT.TERM));
  process.on('SIGHUP', () => void leave('SIGHUP', EXIT.HUP));
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A closed pipe (`| head`) must not leave a site half done.
      if (error.code === 'EPIPE') return;
      if (error.code === 'EIO') void leave('SIGHUP', EXIT.HUP);
      else throw error;
    });
  }

  // readline reports a lost terminal by its own error.
  process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EIO') void leave('SIGHUP', EXIT.HUP);
    else {
      process.removeAllListeners('uncaughtException');
      throw error;
    }
  });

  try {
    const tool = await toolOf(argv);
    const { flags, given, answers, words } = await parse(tool?.before ?? argv);
    const [name = '', ...rest] = words;
    if (flags.help || name === 'help') {
      process.stdout.write(await help((name === 'help' ? rest[0] : name) || undefined));
      return EXIT.OK;
    }
    if (flags.version) {
      process.stdout.write(`${version}\n`);
      return EXIT.OK;
    }
    const entry = tool === undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (tool === undefined && entry === undefined) {
      const { nearest } = await import('./config/parse.ts');
      const near = nearest(name, Object.keys(COMMANDS));
      throw usage(`Unknown command: ${name}.${near ? ` Did you mean ${near}?` : ''}`);
    }
    const extra = rest.slice(entry?.words ?? 0);
    if (tool === undefined && extra.length > 0) throw usage(`Unexpected argument: ${extra.join(' ')}`);

    await refuseSurplus(tool?.name ?? name, entry, given, Object.keys(answers));

    const sources = await import('./answers/sources.ts');
    const { jsonProgress, textProgress } = await import('./progress.ts');
    const context: CommandContext = {
      flags,
      sources: [
        await sources.flagSource(answers, Object.keys(GLOBAL_FLAGS)),
        sources.environmentSource(process.env),
        ...(flags.answers === undefined ? [] : [await sources.answersFileSource(flags.answers)]),
      ],
      words: tool?.words ?? rest,
      progress: flags.json ? jsonProgress() : await textProgress(),
      interactive: Boolean(process.stdin.isTTY && process.stderr.isTTY) && !flags.json,
      now: () => new Date(),
      onLocked: (release) => {
        releaseLock = release;
      },
      onLeaving: (said) => {
        note = said;
      },
    };
    const command =
      tool === undefined ? await (entry as Entry).load() : (await site()).toolCommand(tool.name);
    return await command(context);
  } catch (error) {
    // An interruption by a signal is not reported as an error.
    if (leaving) return await new Promise<never>(() => undefined);
    if (error instanceof Cancelled) {
      await unlessHungUp();
      process.stderr.write(nothingChanged(error.exit === EXIT.OK ? '' : undefined));
      return error.exit;
    }
    if (error instanceof Problem) {
      printProblem(error, early);
      return error.exit;
    }
    const bug = new Problem(EXIT.FAILED, `Internal error in fedi-setup ${version}: ${messageOf(error)}`, {
      next: 'Please report it with the command you ran. --debug shows a stack trace.',
      cause: error,
    });
    if (error instanceof Error && error.stack) bug.stack = error.stack;
    printProblem(bug, early);
    return EXIT.FAILED;
  }
}

/** `fedi-setup [--dir X] snac …`: everything after the name of an app's tool belongs to the tool, flags included. */
async function toolOf(
  argv: readonly string[],
): Promise<{ name: string; before: string[]; words: string[] } | undefined> {
  const { APPS } = await import('./apps/index.ts');
  const names = APPS.map(({ cli }) => cli.name);
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] as string;
    if (word.startsWith('-')) {
      // A flag's value is not the command.
      const flag = globalFlag(word.replace(/^--/, ''));
      if (word.startsWith('--') && !word.includes('=') && flag?.type !== 'boolean') at++;
      continue;
    }
    return names.includes(word)
      ? { name: word, before: argv.slice(0, at), words: argv.slice(at + 1) }
      : undefined;
  }
  return undefined;
}

function globalFlag(name: string): { type: 'string' | 'boolean'; multiple?: boolean } | undefined {
  return Object.hasOwn(GLOBAL_FLAGS, name) ? GLOBAL_FLAGS[name as keyof typeof GLOBAL_FLAGS] : undefined;
}

/** Node aborts when it cannot restore the modes of a lost terminal, so the process ends by the signal instead. */
async function unlessHungUp(): Promise<void> {
  if (!process.stdin.isTTY || isatty(0)) return;
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
  await new Promise<never>(() => undefined);
}
