/** Mastodon's self-destruct mode: Sidekiq sends the deletion of every local account to all servers that it knows. */
import type { AppConfig } from '../../config/config.ts';
import type { Goodbye } from '../app.ts';
import type { MastodonOptions } from './options.ts';
import { rails } from './runner.ts';

export const mastodonGoodbye = ({ domain }: AppConfig<MastodonOptions>): Goodbye => ({
  about:
    'Mastodon sends the deletion of each account to all servers that it knows. Meanwhile its pages and its API answer 410 (gone). Servers that were down for more than a week get none.',
  service: 'mastodon_web',
  // It asks for the domain, then for a confirmation, and prints a signed value.
  start: { argv: ['tootctl', 'self-destruct'], stdin: `${domain}\ny\n` },
  variables: (stdout) => {
    const value = /SELF_DESTRUCT=(\S+)/.exec(stdout)?.[1];
    return value === undefined ? undefined : { SELF_DESTRUCT: value };
  },
  look: rails('count-deletions.rb', {}),
});
