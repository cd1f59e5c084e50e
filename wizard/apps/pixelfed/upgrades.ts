/** How Pixelfed is upgraded. */
import type { Upgrades } from '../app.ts';
import type { PixelfedOptions } from './options.ts';
import { laravel } from './php.ts';
import { BROKEN } from './version.ts';

export const pixelfedUpgrades: Upgrades<PixelfedOptions> = {
  answer: 'release',
  version: ({ release }) => release,
  minors: ['0.12', '0.13', '0.14'],
  // Its migrations are cumulative.
  stepwise: false,
  broken: BROKEN,
  notes: (version) => `https://github.com/pixelfed/pixelfed/releases/tag/${version}`,
  image: 'pixelfed',
  list: ['ls', '/var/www/html/database/migrations'],
  parse: (stdout) => ({
    before: [...stdout.matchAll(/^(\d{4}_\w+)\.php$/gm)].map(([, name = '']) => name),
    after: [],
  }),
  table: 'migrations',
  done: () => ({ service: 'pixelfed_web', check: laravel('list-migrations.php') }),
};
