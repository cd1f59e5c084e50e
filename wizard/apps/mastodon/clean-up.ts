/** What Mastodon can remove. Its own scheduler removes remote media and previews every night, if it has a limit for them. */
import { shellProgram } from '../../assets.ts';
import type { AppConfig } from '../../config/config.ts';
import { parseWhole } from '../../config/parse.ts';
import type { CleanUp } from '../app.ts';
import type { MastodonOptions } from './options.ts';

export const parseDays = parseWhole(0, 3650);

/** Mastodon fetches the picture of a link preview again only 14 days after its last use. */
const PREVIEW_DAYS = 14;
const PROFILE_DAYS = 90;

/** Setting and sizes as JSON. A day's bytes are the mean of the last seven, or of fewer on a new server. */
export const REMOTE_MEDIA = `select json_build_object(
  'days', (select substring(value from '[1-9][0-9]*')::int from settings where var = 'media_cache_retention_period'),
  'bytes', coalesce(sum(bytes), 0),
  'perDay', round(coalesce(sum(bytes) filter (where age <= 7), 0) / greatest(1, least(7, coalesce(max(age), 1))))
) from (
  select extract(epoch from now() at time zone 'utc' - created_at) / 86400 as age,
    coalesce(file_file_size, 0) + coalesce(thumbnail_file_size, 0) as bytes
  from media_attachments where remote_url <> '' and file_file_name is not null
) as remote`.replace(/\s+/g, ' ');

export function mastodonCleanUps(
  { bucket }: AppConfig<MastodonOptions>,
  days: number | undefined,
): readonly CleanUp[] {
  const tootctl = (id: string, title: string, ...words: readonly string[]): CleanUp => ({
    id: `mastodon.${id}`,
    title,
    service: 'mastodon_web',
    argv: ['tootctl', ...words],
    dryRun: '--dry-run',
    reports: /^(Removed|Visited) .+$/m,
  });
  const previews = Math.max(days ?? 0, PREVIEW_DAYS);
  return [
    ...(days === undefined
      ? []
      : [
          tootctl('media', `Remote media older than ${days} days`, 'media', 'remove', `--days=${days}`),
          tootctl(
            'previews',
            `Pictures of link previews older than ${previews} days`,
            'preview_cards',
            'remove',
            `--days=${previews}`,
          ),
        ]),
    tootctl(
      'profiles',
      `Pictures of remote profiles that nobody here follows, unchanged for ${PROFILE_DAYS} days`,
      'media',
      'remove',
      '--prune-profiles',
      `--days=${PROFILE_DAYS}`,
    ),
    // Only of the cache: a file of a local upload may be there before its row is. Some providers charge for listing a bucket.
    ...(bucket === undefined
      ? [
          {
            ...tootctl('orphans', 'Copies of remote files that no record mentions'),
            argv: shellProgram('apps/mastodon/programs/remove-orphans.sh'),
          },
        ]
      : []),
  ];
}
