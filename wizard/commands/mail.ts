import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const mail: Command = {
  name: 'mail',
  summary: 'Show the mails in the catcher, or test the mail server.',
  details: [
    '`test` tries the mail server from inside a container, as the apps use it: name, port, certificate, log-in, each app’s sender, and the recipient. Without ADDRESS the recipient is the owner, and nothing is sent. It also looks up SPF, DKIM and DMARC of the sender’s domain.',
  ],
  usage: '[test [ADDRESS]]',
  args: [
    { name: 'ACTION', optional: true, about: 'Absent: show the mails.', choices: async () => ['test'] },
    { name: 'ADDRESS', optional: true, about: 'Send one mail of each app to this address.' },
  ],
  flags: [],
  examples: [
    { line: 'fedi-setup mail', does: 'Show all mails in the catcher, oldest first.' },
    { line: 'fedi-setup mail test', does: 'Test the mail server without sending a mail.' },
    { line: 'fedi-setup mail test anna@example.org', does: 'Test it and send a mail.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).mail),
};
