import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CONFIRM, DATA } from './flags.ts';

export const uninstall: Command = {
  name: 'uninstall',
  summary: 'Remove the containers, with --data everything.',
  details: ['It lists the data and the files of yours that stay.'],
  flags: [CONFIRM, DATA],
  examples: [
    { line: 'fedi-setup uninstall --confirm fedi', does: 'Remove the containers, keep the data.' },
    { line: 'fedi-setup uninstall --data --confirm fedi', does: 'Remove the data and the directory too.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).uninstall),
};
