import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CONFIRM, DATA } from './flags.ts';

export const reset: Command = {
  name: 'reset',
  summary: 'Delete containers, data and secrets; keep the answers.',
  flags: [CONFIRM, { ...DATA, about: 'Also reset a site that was proven with public certificates.' }],
  examples: [{ line: 'fedi-setup reset --confirm fedi', does: 'Go back to before the first run.' }],
  run: lazily(async () => (await import('./run/index.ts')).reset),
};
