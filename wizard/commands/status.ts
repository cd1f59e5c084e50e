import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const status: Command = {
  name: 'status',
  summary: 'Show on one screen whether the site runs, and how it is.',
  details: [
    'It exits with 0 if the site runs or is starting, and with 1 if not. It changes nothing.',
    'Containers, memory, job queues, certificates, accounts and posts are looked up now; what does not answer within a second is unknown. The sizes on the disk are those that `maintain` or `cleanup` measured last.',
  ],
  flags: [
    { name: 'watch', about: 'Show it again every 2 seconds, until Ctrl-C.' },
    { name: 'all', about: 'Show all containers and all advice.' },
  ],
  endsByCtrlC: true,
  examples: [
    { line: 'fedi-setup status --dir /srv/fedi', does: 'Show the site in that directory.' },
    { line: 'fedi-setup status --watch', does: 'Watch it.' },
    { line: 'fedi-setup status --json', does: 'Print it as one event, for a monitoring system.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).status),
};
