/** How Mastodon is upgraded. */
import type { Migrations, Upgrades } from '../app.ts';
import { query } from './data.ts';
import type { MastodonOptions } from './options.ts';

/** `ls db/migrate db/post_migrate`: the names of the files below the names of the directories. */
function parse(stdout: string): Migrations {
  const [before = '', after = ''] = stdout.split(/^db\/post_migrate:$/m);
  const versions = (text: string): string[] =>
    [...text.matchAll(/^(\d{14})_\w+\.rb$/gm)].map(([, version = '']) => version);
  return { before: versions(before), after: versions(after) };
}

export const mastodonUpgrades: Upgrades<MastodonOptions> = {
  answer: 'release',
  version: ({ release }) => release,
  minors: ['4.5', '4.6', '4.7'],
  stepwise: true,
  notes: (version) => `https://github.com/mastodon/mastodon/releases/tag/${version}`,
  image: 'mastodon',
  list: ['ls', 'db/migrate', 'db/post_migrate'],
  parse,
  table: 'schema_migrations',
  done: (options) =>
    query(options, "select coalesce(string_agg(version, e'\\n'), '') from schema_migrations"),
};
