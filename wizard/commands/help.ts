import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const help: Command = {
  name: 'help',
  summary: 'Show the help of a command.',
  args: [
    {
      name: 'COMMAND',
      optional: true,
      about: 'A command (default: an overview of all).',
      choices: ({ commands }) => Promise.resolve(commands.map(({ name }) => name).filter(Boolean)),
    },
  ],
  flags: [],
  printsOnly: true,
  examples: [{ line: 'fedi-setup help apply', does: 'The same as `fedi-setup apply --help`.' }],
  run: lazily(async () => (await import('./run/help.ts')).run),
};
