import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const mail: Command = {
  name: 'mail',
  summary: 'Show the mails in the catcher.',
  flags: [],
  examples: [{ line: 'fedi-setup mail', does: 'Show all mails, oldest first.' }],
  run: lazily(async () => (await import('./run/index.ts')).mail),
};
