/** Where Mastodon has its media (config/initializers/paperclip.rb, v4.6.5): the same names on a disk and in a bucket. */
import type { MediaMoves } from '../app.ts';
import { query } from './data.ts';
import type { MastodonOptions } from './options.ts';

/**
 * Directories with attachments of suspended accounts, whose files Mastodon makes unreadable (SuspendAccountService). An id has
 * three digits in each directory; old ones have nine digits, new ones eighteen. Copies of remote files are below `cache`,
 * early ones were not.
 */
const PRIVATE = `select prefix || 'media_attachments/' || kind || '/' || regexp_replace(
  lpad(m.id::text, greatest(length(m.id::text), case when m.id < 1000000000 then 9 else 12 end), '0'),
  '(\\d{3})(?=\\d)', '\\1/', 'g')
from media_attachments m join accounts a on a.id = m.account_id, (values (''), ('cache/')) as prefixes (prefix),
  (values ('files'), ('thumbnails')) as kinds (kind)
where a.suspended_at is not null and m.file_file_name is not null`.replace(/\s+/g, ' ');

export const mastodonMoves: MediaMoves<MastodonOptions> = {
  // Each is a class of the models with attachments; `backups` are archives that users asked for.
  folders: [
    'accounts',
    'backups',
    'cache',
    'custom_emojis',
    'imports',
    'media_attachments',
    'preview_card_providers',
    'preview_cards',
    'site_uploads',
  ],
  hidden: ['backups', 'imports'],
  cacheControl: 'public, max-age=315576000, immutable',
  localUrl: ({ domain, options }, path) => `https://${options.webDomain ?? domain}/system/${path}`,
  private: ({ options }) => query(options, PRIVATE),
};
