/** The options that only Mastodon has. Nothing after this reads its answers by key. */
import type { AppOptions } from '../../config/config.ts';
import type { Answers } from '../../config/question.ts';
import type { Layout, Size } from './size.ts';
import { VERSION } from './version.ts';

/** Default of the days that copies of remote media are kept. */
export const MEDIA_DAYS = 14;

export interface MastodonOptions extends AppOptions {
  readonly app: 'mastodon';
  readonly release: string;
  readonly title: string;
  /** `none`, `approved` or `open`. */
  readonly registrations: string;
  /** Days that copies of remote media are kept; 0: forever. */
  readonly mediaDays: number;
  readonly isSingleUser: boolean;
  readonly locale: string;
  /** Another domain for the pages. */
  readonly webDomain: string | undefined;
  /** Another web server serves the domain of the handles and redirects discovery to the pages' domain. */
  readonly handlesElsewhere: boolean;
  readonly size: Size;
  readonly sidekiq: Layout;
  /** PostgreSQL and Valkey in containers, not on external servers. */
  readonly hasDatabase: boolean;
  readonly hasValkey: boolean;
}

/** Missing answers, as in the wizard, get the smallest values. */
export function mastodonOptions(answers: Answers): MastodonOptions {
  const text = (name: string): string => String(answers[`apps.mastodon.${name}`] ?? '');
  return {
    app: 'mastodon',
    release: text('release') || VERSION,
    title: text('title'),
    registrations: text('registrations'),
    mediaDays: Number(text('media-days') || MEDIA_DAYS),
    isSingleUser: text('single-user') === 'yes',
    locale: text('locale'),
    webDomain: text('web-domain') || undefined,
    handlesElsewhere: text('web-domain') !== '' && text('handles') === 'elsewhere',
    size: (text('size') || '2gb') as Size,
    sidekiq: (text('sidekiq') || 'one') as Layout,
    hasDatabase: text('database') !== 'external',
    databaseCa: text('database-ca') || undefined,
    hasValkey: text('redis') !== 'external',
  };
}
