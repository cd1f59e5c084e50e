import { lazily } from './command.ts';
import type { Command } from './command.ts';
import { CONFIRM, EDITED, SKIP_CHECK } from './flags.ts';

export const upgrade: Command = {
  name: 'upgrade',
  summary: 'Upgrade an app, and restore the old version if that fails.',
  details: [
    'Without --to it installs the newest patch release of the minor version that the site runs. It shows what will happen, pulls the images, makes a backup, upgrades, and proves the site.',
    'If the new version changes the database, the site is in maintenance mode while it is installed: visitors see a page, other servers get status 503 and try again later. Nobody can write anything before the new version is proven. If it cannot be proven, images, files, databases and queues are restored as they were.',
    '--databases moves the data of PostgreSQL or MariaDB to a new major version: by a dump into a new volume, where rows, encoding and collations are compared. The old data stay in another volume until you remove them.',
    '--images pulls newer builds of the images under the tags that the site uses, and builds those again that are built here. They bring security updates of the packages in them. It also installs the versions of software with data, Valkey for example, that this fedi-setup has. The containers that use them restart. If the software may change its data, the site is in maintenance mode, the data are copied before, and restored if it cannot be proven.',
    'An external PostgreSQL in which everything belongs to the account of the app is restored too. In other external databases the first migration is the point of no return: confirm with the name of the app that you have a snapshot or a backup on that server. If the new version fails later, the site stays in maintenance mode, and the message says how to go back, and how to go on.',
    'If it was interrupted, run it again: it completes the upgrade if the new version was proven, and restores the old one otherwise.',
  ],
  flags: [
    { name: 'app', value: 'APP,…', multiple: true, about: 'Upgrade only these apps (default: all).' },
    { name: 'to', value: 'VERSION', multiple: true, about: 'Upgrade one app to this version.' },
    { name: 'databases', about: 'Upgrade the database servers to a new major version, not the apps.' },
    {
      name: 'images',
      about:
        'Install newer builds of all images, and the versions of this fedi-setup (Caddy, Valkey, restic, …).',
    },
    { name: 'check', about: 'Show which versions are available; change nothing.' },
    EDITED,
    SKIP_CHECK,
    CONFIRM,
  ],
  examples: [
    { line: 'fedi-setup upgrade', does: 'Install the newest patch releases.' },
    { line: 'fedi-setup upgrade --app {app} --to VERSION', does: 'Upgrade to the next minor version.' },
    { line: 'fedi-setup upgrade --images', does: 'Install newer builds of the images.' },
  ],
  run: lazily(async () => (await import('./run/index.ts')).upgrade),
};
