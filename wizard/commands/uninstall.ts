import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CONFIRM, DATA, GOODBYE } from './flags.ts';

export const uninstall: Command = {
  name: 'uninstall',
  summary: 'Remove the containers, with --data everything.',
  details: [
    'It lists the data and the files of yours that stay.',
    'With --goodbye all other servers delete the accounts first. It takes as long as the deliveries do, may be interrupted, and continues when you run it again. Confirm it with the domain.',
  ],
  flags: [CONFIRM, DATA, ...GOODBYE],
  examples: [
    { line: 'fedi-setup uninstall --confirm fedi', does: 'Remove the containers, keep the data.' },
    { line: 'fedi-setup uninstall --data --confirm fedi', does: 'Remove the data and the directory too.' },
    {
      line: 'fedi-setup uninstall --goodbye --data --confirm social.example.org',
      does: 'The same, after all other servers have deleted the accounts.',
    },
  ],
  run: lazily(async () => (await import('./run/index.ts')).uninstall),
};
