/** Scripts for shells that complete commands, flags and values, generated from the commands and the table of questions. */
import { ALL_QUESTIONS } from '../../answers/questions.ts';
import { nearest, parseFolder, parsePath } from '../../config/parse.ts';
import { flagOf, shortKeyOf } from '../../config/question.ts';
import { EXIT, Problem } from '../../problem.ts';
import type { Command, CommandContext, Flag, Run } from '../command.ts';
import { ANSWERS, COMMON } from '../flags.ts';
import { toolCommands } from '../tool.ts';

/** A flag with the commands that take it. */
type Completed = Pick<Flag, 'name' | 'short' | 'value' | 'choices' | 'path' | 'about'> & {
  readonly commands: readonly string[];
};

interface Words {
  readonly commands: readonly Command[];
  /** Names of commands that pass everything on. */
  readonly tools: readonly string[];
  readonly flags: readonly Completed[];
  /** For each command the allowed values of its arguments, in order; empty: anything. */
  readonly args: readonly { readonly command: string; readonly values: readonly (readonly string[])[] }[];
}

/** The flags of all answers, also without the app's name. */
function answerFlags(): Omit<Completed, 'commands'>[] {
  const flags = new Map<string, Omit<Completed, 'commands'>>();
  for (const question of ALL_QUESTIONS) {
    const { parse, file, secret, choices, message } = question;
    const path = parse === parseFolder ? 'dir' : secret || file || parse === parsePath ? 'file' : undefined;
    const long = flagOf(question);
    const short = shortKeyOf(question)?.replaceAll('.', '-');
    for (const name of short === undefined ? [long] : [long, `${short}${secret ? '-file' : ''}`]) {
      // Two apps may share a short name.
      const values = [...(flags.get(name)?.choices ?? []), ...(choices ?? []).map(({ value }) => value)];
      flags.set(name, {
        name,
        value: 'TEXT',
        about: message,
        ...(path === undefined ? {} : { path }),
        ...(values.length === 0 ? {} : { choices: [...new Set(values)] }),
      });
    }
  }
  return [...flags.values()];
}

async function wordsOf(context: CommandContext): Promise<Words> {
  const own = context.commands;
  const tools = await toolCommands();
  const taking = (flag: Flag): string[] =>
    own.filter(({ flags }) => flags.some(({ name }) => name === flag.name)).map(({ name }) => name);
  const everywhere = own.map(({ name }) => name);
  const answering = own.filter(({ answers }) => answers).map(({ name }) => name);
  const special = new Map(own.flatMap(({ flags }) => flags).map((flag) => [flag.name, flag]));
  const args: Words['args'][number][] = [];
  for (const { name, args: list = [] } of own) {
    const values: (readonly string[])[] = [];
    for (const { choices } of list) values.push((await choices?.(context)) ?? []);
    if (values.some((one) => one.length > 0)) args.push({ command: name, values });
  }
  return {
    commands: [...own.filter(({ name }) => name !== ''), ...tools],
    tools: tools.map(({ name }) => name),
    flags: [
      ...COMMON.map((flag) => ({ ...flag, commands: everywhere })),
      ...[...special.values()].map((flag) => ({ ...flag, commands: taking(flag) })),
      ...own.flatMap(({ name, answerFlags: theirs = [] }) =>
        theirs.map((flag) => ({ ...flag, commands: [name] })),
      ),
      ...[ANSWERS, ...answerFlags()].map((flag) => ({ ...flag, commands: answering })),
    ],
    args,
  };
}

const dashed = ({ name, short = [] }: Pick<Flag, 'name' | 'short'>): string[] => [
  ...short.map((letter) => `-${letter}`),
  `--${name}`,
];

/** Commands that take the same flags, with these flags. */
function groups({ commands, flags }: Words): { commands: string[]; flags: Completed[] }[] {
  const found = new Map<string, { commands: string[]; flags: Completed[] }>();
  for (const name of ['', ...commands.map((one) => one.name)]) {
    const own = flags.filter((flag) => flag.commands.includes(name));
    const key = own.map((flag) => flag.name).join(' ');
    const group = found.get(key) ?? { commands: [], flags: own };
    group.commands.push(name);
    found.set(key, group);
  }
  return [...found.values()];
}

/** Flags with the same values, as patterns of `case`. */
function valueCases(flags: readonly Completed[], does: (flag: Completed) => string): string {
  const cases = new Map<string, string[]>();
  for (const flag of flags.filter(({ value }) => value !== undefined)) {
    const what = does(flag);
    cases.set(what, [...(cases.get(what) ?? []), ...dashed(flag)]);
  }
  return [...cases].map(([what, names]) => `    ${names.join('|')}) ${what}; return ;;`).join('\n');
}

const patterns = (names: readonly string[]): string => names.map((name) => name || "''").join('|');
const taking = (flags: readonly Completed[], value: boolean): string =>
  flags
    .filter((flag) => (flag.value !== undefined) === value)
    .flatMap(dashed)
    .join('|');

/** `case` for the values of arguments, by command and position. */
const argCases = (args: Words['args'], does: (values: readonly string[]) => string): string =>
  args
    .flatMap(({ command, values }) =>
      values.flatMap((one, i) => (one.length === 0 ? [] : [`    ${command}:${i}) ${does(one)} ;;`])),
    )
    .join('\n');

function bash(words: Words): string {
  const { commands, flags, args, tools } = words;
  const reply = (kind: string): string => `COMPREPLY=($(compgen ${kind} -- "$cur"))`;
  return `# bash completion for fedi-setup. Use it by: source <(fedi-setup completion bash)
_fedi_setup() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command='' position=0 i
  COMPREPLY=()
  # bash makes three words of --flag=value.
  [[ $cur == = ]] && cur=''
  [[ $prev == = ]] && prev=\${COMP_WORDS[COMP_CWORD-2]}
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    ${taking(flags, false)}) ;;
    ${taking(flags, true)})
      [[ \${COMP_WORDS[i+1]} == = ]] && i=$((i + 1))
      i=$((i + 1)) ;;
    -*) ;;
    *) if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else position=$((position + 1)); fi ;;
    esac
  done
  case $command in
  ${patterns(tools)}) compopt -o default; return ;;
  esac
  case $prev in
${valueCases(flags, ({ choices, path }) =>
  path !== undefined
    ? `compopt -o filenames; ${reply(path === 'file' ? '-f' : '-d')}`
    : choices === undefined
      ? ':'
      : reply(`-W '${choices.join(' ')}'`),
)}
  esac
  if [[ $cur == -* ]]; then
    case $command in
${groups(words)
  .map(
    (group) =>
      `    ${patterns(group.commands)}) ${reply(`-W '${group.flags.flatMap(dashed).join(' ')}'`)} ;;`,
  )
  .join('\n')}
    esac
    return
  fi
  case $command:$position in
    :*) ${reply(`-W '${commands.map(({ name }) => name).join(' ')}'`)} ;;
${argCases(args, (values) => reply(`-W '${values.join(' ')}'`))}
  esac
}
complete -F _fedi_setup fedi-setup
`;
}

/** In single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
/** An item of zsh's _describe. */
const described = (name: string, about: string): string =>
  quoted(`${name}:${about.replaceAll(':', String.raw`\:`)}`);

function zsh(words: Words): string {
  const { commands, flags, args, tools } = words;
  return `#compdef fedi-setup
# zsh completion for fedi-setup. Put it into a directory of $fpath as _fedi-setup, or use: source <(fedi-setup completion zsh)
_fedi_setup() {
  local command='' prev=\${words[CURRENT-1]} position=0 i
  local -a list
  for ((i = 2; i < CURRENT; i++)); do
    case \${words[i]} in
    ${taking(flags, false)}) ;;
    ${taking(flags, true)}) i=$((i + 1)) ;;
    -*) ;;
    *) if [[ -z $command ]]; then command=\${words[i]}; else position=$((position + 1)); fi ;;
    esac
  done
  case $command in
  ${patterns(tools)}) _default; return ;;
  esac
  if [[ \${words[CURRENT]} == --*=* ]]; then
    prev=\${words[CURRENT]%%=*}
    compset -P '*='
  fi
  case $prev in
${valueCases(flags, ({ choices, path }) =>
  path !== undefined
    ? path === 'file'
      ? '_files'
      : '_files -/'
    : choices === undefined
      ? ':'
      : `compadd -- ${choices.join(' ')}`,
)}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    case $command in
${groups(words)
  .map(
    (group) =>
      `    ${patterns(group.commands)}) list=(\n${group.flags
        .flatMap((flag) => dashed(flag).map((name) => `      ${described(name, flag.about)}`))
        .join('\n')}\n    ) ;;`,
  )
  .join('\n')}
    esac
    _describe -o flag list
    return
  fi
  case $command:$position in
    :*) list=(
${commands.map(({ name, summary }) => `      ${described(name, summary)}`).join('\n')}
    )
    _describe command list ;;
${argCases(args, (values) => `compadd -- ${values.join(' ')}`)}
  esac
}
if [[ $funcstack[1] == _fedi-setup ]]; then _fedi_setup; else compdef _fedi_setup fedi-setup; fi
`;
}

function fish({ commands, flags, args, tools }: Words): string {
  const list = (names: readonly string[]): string => names.map((name) => name || "''").join(' ');
  const line = (condition: string, ...more: string[]): string =>
    `complete -c fedi-setup -n ${quoted(condition)} ${more.join(' ')}`;
  return `# fish completion for fedi-setup. Put it into ~/.config/fish/completions/fedi-setup.fish
function __fedi_setup_words
    set -l value 0
    for word in (commandline -opc)[2..-1]
        if test $value = 1
            set value 0
            continue
        end
        switch $word
            case ${taking(flags, false).replaceAll('|', ' ')}
            case ${taking(flags, true).replaceAll('|', ' ')}
                set value 1
            case '-*'
            case '*'
                echo $word
        end
    end
end
function __fedi_setup_is
    set -l words (__fedi_setup_words)
    contains -- "$words[1]" $argv
end
function __fedi_setup_at
    set -l words (__fedi_setup_words)
    test "$words[1]" = $argv[1]; and test (count $words) = $argv[2]
end
complete -c fedi-setup -n 'not __fedi_setup_is ${list(tools)}' -f
${commands.map(({ name, summary }) => line('__fedi_setup_is ""', '-a', name, '-d', quoted(summary))).join('\n')}
${flags
  .map(({ name, short = [], value, choices, path, about, commands: takers }) =>
    line(
      `__fedi_setup_is ${list(takers)}`,
      ...short.map((letter) => `-s ${letter}`),
      `-l ${name}`,
      ...(value === undefined
        ? []
        : path === 'file'
          ? ['-r -F']
          : path === 'dir'
            ? ["-x -a '(__fish_complete_directories)'"]
            : choices === undefined
              ? ['-x']
              : [`-x -a ${quoted(choices.join(' '))}`]),
      '-d',
      quoted(about),
    ),
  )
  .join('\n')}
${args
  .flatMap(({ command, values }) =>
    values.flatMap((one, i) =>
      one.length === 0 ? [] : [line(`__fedi_setup_at ${command} ${i + 1}`, '-a', quoted(one.join(' ')))],
    ),
  )
  .join('\n')}
`;
}

const SCRIPTS = { bash, zsh, fish } as const;
export const SHELLS = Object.keys(SCRIPTS) as (keyof typeof SCRIPTS)[];

export const run: Run = async (context) => {
  const { words, progress } = context;
  const [name = ''] = words;
  const shell = SHELLS.find((one) => one === name);
  if (shell === undefined) {
    const near = nearest(name, SHELLS);
    throw new Problem(
      EXIT.USAGE,
      name === ''
        ? 'Which shell?'
        : `There is no completion for ${name}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
      { next: `\`fedi-setup completion ${near ?? SHELLS.join('|')}\`` },
    );
  }
  const script = SCRIPTS[shell](await wordsOf(context));
  progress.print(script.trimEnd());
  progress.emit({ event: 'completion', shell, script });
  return EXIT.OK;
};
