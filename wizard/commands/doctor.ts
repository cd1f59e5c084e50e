import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { SKIP_CHECK } from './flags.ts';

const ACTIONS = ['check', 'bundle'];

export const doctor: Command = {
  name: 'doctor',
  summary: 'Check this host and the running site.',
  details: [
    'It exits 1 if it finds a blocker.',
    '--tune reads memory, cores, connections, caches and queues of the containers instead, for about ten seconds. It names the one change that the site needs most, with its reason, and changes nothing. Run it while the site is slow.',
    '`bundle` writes a support file for people who help you: versions, findings, states, settings and the last log lines, as plain text. It removes the secrets, people and public addresses that it recognises. Read the file before you send it.',
  ],
  args: [
    { name: 'ACTION', optional: true, about: 'What to do (default: check).', choices: async () => ACTIONS },
    { name: 'FILE', optional: true, about: 'The support file; - is standard output.' },
  ],
  usage: '[check | bundle [FILE]]',
  flags: [
    SKIP_CHECK,
    {
      name: 'fix',
      about: 'Fix what can be repaired safely: owners, permissions, missing pictures, missing migrations.',
    },
    { name: 'tune', about: 'Look at the load for some seconds and propose one change.' },
  ],
  examples: [
    { line: 'fedi-setup doctor --fix', does: 'Check, then fix what can be fixed.' },
    { line: 'fedi-setup doctor --tune', does: 'See whether the site needs another size.' },
    { line: 'fedi-setup doctor bundle support.txt', does: 'Write a support file.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).doctor),
};
