import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { SERVICES } from './services.ts';

export const restart: Command = {
  name: 'restart',
  summary: 'Restart containers with the settings they have.',
  details: ['To apply changed settings use `apply`.'],
  args: [SERVICES],
  flags: [],
  examples: [{ line: 'fedi-setup restart caddy', does: 'Restart Caddy.' }],
  run: lazily(async () => (await import('./run/index.ts')).restart),
};
