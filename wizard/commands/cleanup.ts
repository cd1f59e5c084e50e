import { lazily } from './command.ts';
import type { Command } from './command.ts';

export const cleanup: Command = {
  name: 'cleanup',
  summary: 'Remove old caches and images, and show what uses the disk.',
  details: [
    'Removes old copies of remote media, pictures of link previews and of remote profiles, expired sessions and stories, and Docker images of versions before the previous one. It removes no account and never a volume. The settings of each app decide what counts as old.',
    'It shows the size of each volume before and after. `fedi-setup maintain` runs it every `cleanup.every` days.',
  ],
  flags: [{ name: 'dry-run', about: 'Show what it would remove; change nothing.' }],
  examples: [
    { line: 'fedi-setup cleanup --dry-run', does: 'Show what uses the disk and what could be removed.' },
    { line: 'fedi-setup cleanup', does: 'Remove it.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).cleanup),
};
