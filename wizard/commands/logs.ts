import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { SERVICES } from './services.ts';

export const logs: Command = {
  name: 'logs',
  summary: 'Show what the containers print.',
  args: [SERVICES],
  flags: [
    { name: 'follow', short: ['f'], about: 'Continue with new lines.' },
    {
      name: 'tail',
      value: 'N',
      form: { pattern: /^(\d+|all)$/, is: 'a number of lines, or all' },
      about: 'Number of lines of each container (default: 100).',
    },
    { name: 'since', value: 'TIME', about: 'Only lines since then, such as 2026-11-29T12:00:00 or 30m.' },
  ],
  endsByCtrlC: true,
  examples: [
    { line: 'fedi-setup logs caddy --since 1h', does: 'Show the last hour of Caddy.' },
    { line: 'fedi-setup logs -f', does: 'Follow all containers.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).logs),
};
