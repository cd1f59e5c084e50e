import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { SKIP_CHECK } from './flags.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'Check this host and the running site.',
  details: ['It exits 1 if it finds a blocker.'],
  flags: [
    SKIP_CHECK,
    {
      name: 'fix',
      about: 'Fix what has a safe repair: owners and permissions, missing pictures and migrations.',
    },
  ],
  examples: [
    { line: 'fedi-setup doctor --skip-check dns,caa', does: 'Leave out two checks.' },
    { line: 'fedi-setup doctor --fix', does: 'Check, then fix what can be fixed.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).doctor),
};
