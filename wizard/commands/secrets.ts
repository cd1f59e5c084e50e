import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CHANGE } from './flags.ts';

const ACTIONS = ['list', 'export', 'set', 'rotate'];

export const secrets: Command = {
  name: 'secrets',
  summary: 'List, export, set or rotate the secrets of the site.',
  usage: '[list | export [FILE] | set NAME FILE | rotate NAME]',
  args: [
    { name: 'ACTION', optional: true, about: 'What to do (default: list).', choices: async () => ACTIONS },
    { name: 'NAME', optional: true, about: 'Name of a secret, as `list` shows it.' },
    { name: 'FILE', optional: true, about: 'File to write or to read; - is standard output or input.' },
  ],
  flags: CHANGE,
  examples: [
    { line: 'fedi-setup secrets export recovery.json', does: 'Write a recovery file.' },
    { line: 'fedi-setup secrets set {app}.admin FILE', does: 'Store a password you changed in the app.' },
    { line: 'fedi-setup secrets rotate NAME --confirm NAME', does: 'Generate a new value and set it.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).secrets),
};
