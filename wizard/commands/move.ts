import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CONFIRM } from './flags.ts';

export const move: Command = {
  name: 'move',
  summary: 'Prepare a move to another host: back up, stop, back up the changes.',
  details: [
    'Makes a backup while the site runs, stops the site, backs up what has changed since, and writes the recovery sheet. It then shows the command that restores the site on the other host. The site is down until you run that command.',
    'If a backup fails, the site is started again here. `fedi-setup backup resume` cancels the move.',
  ],
  usage: '[FILE]',
  args: [
    { name: 'FILE', optional: true, about: 'File for the recovery sheet (default: NAME-recovery.yaml).' },
  ],
  flags: [
    {
      name: 'to',
      value: 'REPOSITORY',
      multiple: true,
      about: 'Use these repositories instead of those in fedi.yaml. The other host must reach one of them.',
    },
    CONFIRM,
  ],
  examples: [
    {
      line: 'fedi-setup move --to sftp://anna@backup.example.org/~/move recovery.yaml',
      does: 'Move via an SFTP server.',
    },
  ],
  run: lazily(async () => (await import('./run/index.ts')).move),
};
