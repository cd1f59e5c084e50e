/** Command line → command. The only place that prints an error and sets the exit code. */
import type { Source } from '../answers/resolve.ts';
import type { Command, CommandContext } from '../commands/command.ts';
import { help } from '../commands/help.ts';
import { COMMANDS } from '../commands/index.ts';
import { version, versionCommand } from '../commands/version.ts';
import { Cancelled, EXIT, Problem, messageOf } from '../problem.ts';
import { jsonProgress, textProgress } from '../progress.ts';
import { firstWord, flagsOf, misused, readArgv, refuseSurplus } from './argv.ts';
import type { CommandLine } from './argv.ts';
import { printError } from './print-error.ts';
import { CONTINUES, onSignals, sayNothingChanged, unlessHungUp } from './signals.ts';
import type { Ending } from './signals.ts';

const named = (commands: readonly Command[], name: string | undefined): Command | undefined =>
  commands.find((one) => one.name === name);

/** Answers from flags, environment and answers file, strongest first. */
async function sourcesOf({ answers, flags }: CommandLine, others: readonly string[]): Promise<Source[]> {
  const { answersFileSource, environmentSource, flagSource } = await import('../answers/sources.ts');
  const read = [
    () => flagSource(answers, others),
    () => environmentSource(process.env),
    ...(flags.answers === undefined ? [] : [() => answersFileSource(flags.answers as string)]),
  ];
  const sources: Source[] = [];
  const problems: Problem[] = [];
  for (const one of read)
    try {
      sources.push(await one());
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problems.push(error);
    }
  if (problems.length > 1)
    throw new Problem(EXIT.USAGE, problems.map(({ message }) => message).join('\n'), {
      next: [...new Set(problems.map(({ next }) => next))].join(' '),
    });
  if (problems[0] !== undefined) throw problems[0];
  return sources;
}

/** The command of a command line, with its context. */
async function prepare(argv: readonly string[], ending: Ending): Promise<[Command, CommandContext]> {
  const all = flagsOf(COMMANDS);
  const at = firstWord(argv, all);
  const isKnown = at === undefined || named(COMMANDS, argv[at]) !== undefined;
  const tools = isKnown ? [] : await (await import('../commands/tool.ts')).toolCommands();
  const tool = isKnown ? undefined : named(tools, argv[at]);
  const line = await readArgv(
    tool === undefined ? argv : argv.slice(0, at),
    all,
    isKnown && at !== undefined ? argv[at] : undefined,
  );
  const { flags } = line;
  const [name = '', ...rest] = tool === undefined ? line.words : [tool.name, ...argv.slice((at ?? 0) + 1)];
  let [command, words] = [tool ?? named(COMMANDS, name), rest];
  if (flags.help) [command, words] = [help, command === help ? rest : [name].filter(Boolean)];
  else if (flags.version) [command, words] = [versionCommand, []];
  else {
    if (command === undefined) {
      const { nearest } = await import('../config/parse.ts');
      const names = [...COMMANDS, ...tools].map((one) => one.name);
      const near = nearest(name, names);
      throw misused(`Unknown command: ${name}.${near ? ` Did you mean ${near}?` : ''}`);
    }
    await refuseSurplus(command, line, words, COMMANDS);
  }

  const { printsOnly = false } = command;
  const context: CommandContext = {
    commands: COMMANDS,
    flags,
    sources: printsOnly ? [] : await sourcesOf(line, [...all.keys()]),
    words,
    progress: flags.json ? jsonProgress() : await textProgress(printsOnly),
    interactive: Boolean(process.stdin.isTTY && process.stderr.isTTY) && !flags.json,
    now: () => new Date(),
    onLocked: (release) => {
      ending.release = release;
    },
    onLeaving: (note) => {
      ending.note = note;
    },
    onInterrupted: (message = CONTINUES) => {
      ending.interrupted = message;
    },
  };
  return [command, context];
}

/** Never throws. Resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  // Known before the flags are parsed, since parsing may fail too.
  const early = { json: argv.includes('--json'), debug: argv.includes('--debug') };
  const ending: Ending = {
    release: undefined,
    note: undefined,
    interrupted: CONTINUES,
    quiet: false,
    leaving: false,
  };
  onSignals(ending);
  try {
    const [command, context] = await prepare(argv, ending);
    ending.quiet = command.endsByCtrlC === true;
    return await command.run(context);
  } catch (error) {
    // An interruption by a signal is not reported as an error.
    if (ending.leaving) return await new Promise<never>(() => undefined);
    if (error instanceof Cancelled) {
      await unlessHungUp();
      sayNothingChanged(ending, error.exit === EXIT.OK ? '' : undefined);
      return error.exit;
    }
    if (error instanceof Problem) {
      printError(error, early);
      return error.exit;
    }
    const bug = new Problem(EXIT.FAILED, `Internal error in fedi-setup ${version}: ${messageOf(error)}`, {
      next: 'Please report it with the command you ran. --debug shows a stack trace.',
      cause: error,
    });
    if (error instanceof Error && error.stack) bug.stack = error.stack;
    printError(bug, early);
    return EXIT.FAILED;
  }
}
