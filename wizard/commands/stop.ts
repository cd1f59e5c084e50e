import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { SERVICES } from './services.ts';

export const stop: Command = {
  name: 'stop',
  summary: 'Stop containers; data and settings stay.',
  details: ['They stay stopped when the host restarts. `start` starts them, `uninstall` removes them.'],
  args: [SERVICES],
  flags: [],
  examples: [{ line: 'fedi-setup stop', does: 'Stop the whole site.' }],
  run: lazily(async () => (await import('./run/index.ts')).stop),
};
