import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { APPLY } from './flags.ts';

export const lab: Command = {
  name: 'lab',
  summary: 'Set up a trial site that only this host can reach.',
  details: [
    'It uses the directory ./fedi-lab, names below localhost, internal certificates and a mail catcher.',
  ],
  flags: APPLY,
  answers: true,
  examples: [
    { line: 'fedi-setup lab', does: 'Try the first app.' },
    { line: 'fedi-setup lab --apps {app}', does: 'Try another app.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).lab),
};
