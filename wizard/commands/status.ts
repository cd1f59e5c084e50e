import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const status: Command = {
  name: 'status',
  summary: 'Show the containers and the last receipt.',
  flags: [],
  examples: [{ line: 'fedi-setup status --dir /srv/fedi', does: 'Show the site in that directory.' }],
  run: lazily(async () => (await import('./run/index.ts')).status),
};
