import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const prove: Command = {
  name: 'prove',
  summary: 'Test the site as a user would, and save the receipt.',
  details: ['It exits 5 if a proof fails.'],
  flags: [{ name: 'mail', about: 'Send a test mail too.' }],
  examples: [
    { line: 'fedi-setup prove', does: 'Log in, find the account, upload, post, delete.' },
    { line: 'fedi-setup prove --mail', does: 'Also send a mail to the owner.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).prove),
};
