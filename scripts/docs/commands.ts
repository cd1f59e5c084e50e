/** The text of docs/reference/commands.md, from the commands; and their table. */
import { APPS } from '../../wizard/apps/index.ts';
import type { Command, Flag } from '../../wizard/commands/command.ts';
import { ANSWERS, COMMON } from '../../wizard/commands/flags.ts';
import { COMMANDS } from '../../wizard/commands/index.ts';
import { usageOf } from '../../wizard/commands/run/help.ts';
import { toolCommands } from '../../wizard/commands/tool.ts';
import { code, generated, list, table } from './words.ts';

const spelled = ({ name, short = [], value }: Flag): string =>
  [...short.map((one) => `-${one}`), `--${name}${value === undefined ? '' : ` ${value}`}`]
    .map(code)
    .join(', ');

const flagRows = (flags: readonly Flag[]): string =>
  table(
    ['flag', ''],
    flags.map((flag) => [
      spelled(flag),
      `${flag.about}${flag.choices === undefined ? '' : ` One of ${list(flag.choices.map(code), 'or')}.`}`,
    ]),
  );

async function argumentRows({ name: command, args = [] }: Command): Promise<string> {
  const rows = args.map(async ({ name, about, optional, many, choices }) => {
    const allowed = command === 'help' ? undefined : await choices?.({ commands: COMMANDS });
    return [
      code(`${name}${many ? '…' : ''}`),
      `${about}${allowed === undefined ? '' : ` One of ${list(allowed.map(code), 'or')}.`}${optional ? ' Optional.' : ''}`,
    ];
  });
  return table(['argument', ''], await Promise.all(rows));
}

/** `apply`; the wizard has no name. */
const titleOf = ({ name }: Command): string => (name === '' ? 'fedi-setup' : name);

async function commandText(command: Command): Promise<string> {
  const { summary, details = [], args = [], answerFlags = [], flags, answers, passes, examples } = command;
  const own = [...(answers ? [ANSWERS] : []), ...answerFlags, ...flags];
  const app = APPS[1]?.id ?? '';
  return [
    `## ${code(titleOf(command))}`,
    [summary, ...details].join(' '),
    `Usage: ${code(`${usageOf(command)}${passes ? '' : ' [FLAG…]'}`)}`,
    ...(args.length === 0 ? [] : [await argumentRows(command)]),
    ...(own.length === 0 ? [] : [flagRows(own)]),
    ...(answers ? ['It also takes all [options](options.md).'] : []),
    `\`\`\`sh\n${examples.map(({ line, does }) => `${line.replaceAll('{app}', app)}  # ${does}`).join('\n')}\n\`\`\``,
  ].join('\n\n');
}

/** @param page where the commands are described, from the page with the table */
export async function commandTable(page: string): Promise<string> {
  const all = [...COMMANDS, ...(await toolCommands())];
  return table(
    ['command', ''],
    all.map((command) => [
      `[${code(usageOf(command).replace(/^fedi-setup (?=.)/, ''))}](${page}#${titleOf(command)})`,
      command.summary,
    ]),
  );
}

export async function commandsText(): Promise<string> {
  const all = [...COMMANDS, ...(await toolCommands())];
  const texts = await Promise.all(all.map(commandText));
  return `${generated('wizard/commands')}
# Commands

${await commandTable('')}

A command finds its site in this order: the directory of \`--dir\`; the current directory, if it has a \`fedi.yaml\`; \`./fedi\`;
\`./fedi-lab\`; the directory of the only site whose containers exist on this engine. The commands that can create a site
(\`fedi-setup\`, \`apply\`, \`plan\`, \`lab\`, \`rollback\`) use only the first three, and \`lab\` uses \`./fedi-lab\` instead of
\`./fedi\`.

A flag that a command does not take is refused, so no flag is ignored. Without a terminal nothing is asked: a command that
needs a confirmation takes it from \`--confirm NAME\`. [exit-codes.md](exit-codes.md) explains the exit codes.

Flags of every command:

${flagRows(COMMON)}

${texts.join('\n\n')}
`;
}
