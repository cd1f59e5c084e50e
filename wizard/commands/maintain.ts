import { lazily } from './command.ts';
import type { Command } from './command.ts';

const ACTIONS = ['run', 'check', 'install', 'remove'];

export const maintain: Command = {
  name: 'maintain',
  summary: 'Run what is due: backups, checks, clean-up, mails about problems.',
  details: [
    '`install` runs it every hour, by a systemd timer or cron, from a copy of this version in .fedi/tool. It backs up as often as `backup.every` says, verifies all backups every 30 days, cleans up every `cleanup.every` days, looks for new patch releases once a day, and checks the containers, the data, the disk and the certificates.',
    '`check` only requests pages of the apps and writes the status page, if `status.page` is on; `install` then also runs it every 5 minutes. It takes no lock.',
    'Problems are mailed to the address of the first admin with the mail settings of the site: once when they appear, weekly while they last. The last results are in .fedi/maintain.log.',
  ],
  args: [
    { name: 'ACTION', optional: true, about: 'What to do (default: run).', choices: async () => ACTIONS },
  ],
  usage: '[run | check | install | remove]',
  flags: [],
  examples: [
    { line: 'fedi-setup maintain install', does: 'Run it every hour from now on.' },
    { line: 'fedi-setup maintain', does: 'Run it once now.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).maintain),
};
