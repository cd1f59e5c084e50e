import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { SERVICES } from './services.ts';

export const start: Command = {
  name: 'start',
  summary: 'Start containers that are stopped or missing.',
  args: [SERVICES],
  flags: [],
  examples: [{ line: 'fedi-setup start', does: 'Start the whole site.' }],
  run: lazily(async () => (await import('./run/index.ts')).start),
};
