import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CHANGE } from './flags.ts';

const ACTIONS = ['move', 'remove-old'];

export const media: Command = {
  name: 'media',
  summary: 'Move the media of an app into a bucket, or back to this host.',
  details: [
    '`move` copies all pictures and videos while the site runs, compares them, stops the app for the last files, and starts it with the new place. Then it reads old files at their public addresses. Run it again after an interruption; it continues.',
    'The files in the old place stay. `remove-old` deletes them, when you are sure. An app that stores with each file where it is moves its files itself: it deletes them in the old place, and may have no way back.',
  ],
  usage: 'move --to s3|local | remove-old',
  args: [{ name: 'ACTION', about: 'What to do.', choices: async () => ACTIONS }],
  flags: [
    {
      name: 'to',
      value: 'PLACE',
      multiple: true,
      about: 's3: into the bucket of the answers; local: to this host.',
    },
    { name: 'app', value: 'APP', multiple: true, about: 'Move the media of this app.' },
    { name: 'dry-run', about: 'Show what would be moved; change nothing.' },
    ...CHANGE,
  ],
  answers: true,
  examples: [
    {
      line: 'fedi-setup media move --to s3 --answers bucket.env',
      does: 'Move them into the bucket that a file describes.',
    },
    { line: 'fedi-setup media move --to local', does: 'Move them back to this host.' },
    { line: 'fedi-setup media remove-old --app {app}', does: 'Delete the copy in the old place.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).media),
};
