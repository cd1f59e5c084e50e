/** The options that only Pixelfed has. Nothing after this reads its answers by key. */
import type { AppOptions } from '../../config/config.ts';
import type { Answers } from '../../config/question.ts';
import type { Limits, Size } from './size.ts';
import { VERSION } from './version.ts';

/** Database in a container. */
export type LocalDatabase = 'mariadb' | 'postgresql';

/** Answer → allowed MIME types (upstream's default also has the invalid image/jpg). */
export const MEDIA_TYPES = {
  photos: 'image/jpeg,image/jpg,image/png,image/gif,image/webp',
  modern: 'image/jpeg,image/jpg,image/png,image/gif,image/webp,image/avif,image/heic',
  video: 'image/jpeg,image/jpg,image/png,image/gif,image/webp,image/avif,image/heic,video/mp4',
} as const;

export interface PixelfedOptions extends AppOptions {
  readonly app: 'pixelfed';
  readonly release: string;
  readonly title: string;
  readonly description: string | undefined;
  readonly rules: readonly string[];
  /** `none`, `approved` or `open`. */
  readonly registrations: string;
  readonly limits: Limits;
  readonly mediaTypes: keyof typeof MEDIA_TYPES;
  readonly hasStories: boolean;
  readonly locale: string;
  readonly size: Size;
  /** The database in a container; undefined: it is on an external server. */
  readonly database: LocalDatabase | undefined;
  /** Valkey in a container, not on an external server. */
  readonly hasValkey: boolean;
}

/** Missing answers, as in the wizard, get the smallest values. */
export function pixelfedOptions(answers: Answers): PixelfedOptions {
  const key = (name: string): string => `apps.pixelfed.${name}`;
  const text = (name: string): string => String(answers[key(name)] ?? '');
  return {
    app: 'pixelfed',
    release: text('release') || VERSION,
    title: text('title'),
    description: text('description') || undefined,
    rules: text('rules').split('; ').filter(Boolean),
    registrations: text('registrations'),
    limits: { photo: Number(answers[key('photo-size')]), photos: Number(answers[key('photos')]) },
    mediaTypes: text('media-types') as PixelfedOptions['mediaTypes'],
    hasStories: text('stories') === 'yes',
    locale: text('locale'),
    size: (text('size') || '2gb') as Size,
    database:
      text('database') === 'external' ? undefined : ((text('database') || 'mariadb') as LocalDatabase),
    databaseCa: text('database-ca') || undefined,
    hasValkey: text('redis') !== 'external',
  };
}
