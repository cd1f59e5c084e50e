import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY } from './flags.ts';

/** `fedi-setup` alone. */
export const wizard: Command = {
  name: '',
  summary: 'Ask for the answers, show the plan, set up the site, prove it.',
  flags: APPLY,
  answers: true,
  examples: [
    { line: 'fedi-setup', does: 'Set up a site in ./fedi.' },
    { line: 'fedi-setup --dir /srv/fedi --tls-mode internal', does: 'Ask for the other answers only.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).wizard),
};
