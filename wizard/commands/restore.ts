import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CHANGE } from './flags.ts';

export const restore: Command = {
  name: 'restore',
  summary: 'Restore the site, or one app, from a backup.',
  details: [
    'On an empty host it creates the site in --dir, with the same names, accounts, keys and passwords, starts it and proves it. The old host must be off: with two servers of the same domain, others cannot tell which is real.',
    'Existing data are overwritten only after you confirm with the name of the site. An interrupted restore must be run again before the site can start.',
  ],
  answerFlags: [
    {
      name: 'password-file',
      value: 'FILE',
      path: 'file',
      about:
        'Recovery sheet, output of `secrets export`, or the password; - is standard input (default: the secrets of an existing site).',
    },
    {
      name: 'backup-s3-key',
      value: 'KEY',
      about:
        'Access key of the bucket, in place of that in the recovery sheet; for one of several: HOST/BUCKET=KEY.',
    },
    {
      name: 'backup-s3-secret-file',
      value: 'FILE',
      path: 'file',
      about: 'Its secret; for one of several: HOST/BUCKET=SECRET.',
    },
    {
      name: 'images-restic',
      value: 'IMAGE',
      about: 'Image of restic (default: the one this was tested with).',
    },
  ],
  flags: [
    {
      name: 'from',
      value: 'REPOSITORY',
      about: 'Repository to restore from (default: the one in the recovery sheet with the newest backup).',
    },
    {
      name: 'at',
      value: 'ID|TIME',
      about:
        'Which backup, by its id or time in `backup list`, or the last of a day such as 2026-11-30 (default: the newest).',
    },
    { name: 'app', value: 'APP,…', multiple: true, about: 'Restore only the data of these apps.' },
    {
      name: 'queues',
      value: 'WORD',
      choices: ['keep', 'drop'],
      about: 'What to do with jobs that waited when the backup was made (default: ask, or keep).',
    },
    {
      name: 'upload-media',
      about: 'Upload the media of the backup to the bucket again: what is missing there or differs.',
    },
    ...CHANGE,
  ],
  examples: [
    {
      line: 'fedi-setup restore --password-file recovery.yaml --dir fedi',
      does: 'Restore the newest backup on an empty host.',
    },
    {
      line: 'fedi-setup restore --from /mnt/disk/fedi --password-file recovery.yaml --app {app}',
      does: 'Restore the data of one app.',
    },
  ],
  run: lazily(async () => (await import('./run/index.ts')).restore),
};
