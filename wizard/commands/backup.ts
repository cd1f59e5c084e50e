import { lazily } from './command.ts';
import type { Command } from './command.ts';

const ACTIONS = ['run', 'list', 'verify', 'drill', 'sheet', 'key', 'unlock', 'resume'];

export const backup: Command = {
  name: 'backup',
  summary: 'Back up the site, or list and test its backups.',
  details: [
    'Dumps the databases, then stores dumps, media, certificates, configuration and secrets as one encrypted restic snapshot in each repository. The site keeps running. Old backups are removed as `backup.keep` says.',
    '`drill` restores the newest backup into a separate place without a network, compares it with what was backed up, and removes it again. `sheet` writes the recovery sheet, which you need to restore on another host.',
    '`verify` reads all data of the repositories. `key` prints the SSH key of the site, for authorized_keys of an SFTP server. `unlock` removes locks that a killed program left. `resume` allows a site that `move` or --stop stopped to start again.',
  ],
  usage: '[run | list | verify | drill | sheet [FILE] | key | unlock | resume]',
  args: [
    { name: 'ACTION', optional: true, about: 'What to do (default: run).', choices: async () => ACTIONS },
    { name: 'FILE', optional: true, about: 'File for the recovery sheet; - is standard output.' },
  ],
  flags: [
    {
      name: 'to',
      value: 'REPOSITORY',
      multiple: true,
      about: 'Use these repositories instead of those in fedi.yaml.',
    },
    {
      name: 'stop',
      about: 'Stop the site first and leave it stopped, to restore it on another host.',
    },
  ],
  examples: [
    { line: 'fedi-setup backup', does: 'Back up to all configured repositories.' },
    { line: 'fedi-setup backup drill', does: 'Test whether the newest backup can be restored.' },
    { line: 'fedi-setup backup sheet recovery.yaml', does: 'Write the recovery sheet.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).backup),
};
