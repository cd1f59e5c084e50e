/** What is asked about Pixelfed. */
import { neverOlder } from '../../config/on-change.ts';
import { oneOf, parseLine } from '../../config/parse.ts';
import type { Parsed } from '../../config/parse.ts';
import type { Question } from '../../config/question.ts';
import {
  localeQuestion,
  passwordQuestion,
  registrationsQuestion,
  titleQuestion,
} from '../shared/questions.ts';
import { s3Questions } from '../shared/s3.ts';
import type { Moves } from '../shared/s3.ts';
import { brandingQuestions } from './branding.ts';
import { dataQuestions } from './data.ts';
import type { MEDIA_TYPES } from './options.ts';
import { MOST_PHOTOS, SIZES, describeSize, sizeFor } from './size.ts';
import type { Size } from './size.ts';
import { VERSION, parsePixelfedVersion } from './version.ts';

const ID = 'pixelfed';

const key = (name: string): string => `apps.${ID}.${name}`;

/** A whole number in a range. */
const parseNumber =
  (least: number, most: number) =>
  (text: string): Parsed<number> => {
    const number = Number(text.trim());
    return /^\s*\d{1,6}\s*$/.test(text) && number >= least && number <= most
      ? { value: number }
      : { problem: `Enter a whole number from ${least} to ${most}.` };
  };

/** Pixelfed stores the place with each photo, so photos stay there until they are moved. */
const MOVES: Moves = {
  toBucket:
    'Existing uploads stay on this host and are served from here. `fedi-setup artisan media:migrate2cloud` moves those older than two days, 200 photos at a time.',
  fromBucket: 'Existing uploads stay in the bucket and are served from there: keep the bucket.',
  between: (before) => `Existing uploads stay in the bucket ${before} and are served from there: keep it.`,
};

export const pixelfedQuestions: readonly Question[] = [
  passwordQuestion(ID, 'Pixelfed'),
  {
    key: key('release'),
    topic: 'size',
    message: 'Version of Pixelfed',
    help: `Default ${VERSION}, the newest known stable version. Downgrades are not possible.`,
    parse: parsePixelfedVersion,
    initial: () => VERSION,
    onChange: neverOlder,
  },
  titleQuestion(ID),
  {
    key: key('description'),
    topic: 'more',
    message: 'Description of the server',
    help: 'One sentence, shown on the front page and in lists of servers.',
    parse: parseLine,
    optional: true,
  },
  registrationsQuestion(ID, 'The last two need outgoing mail.'),
  {
    key: key('photo-size'),
    topic: 'size',
    message: 'Maximum size of a photo or video, in MiB',
    help: 'Default 15. The limits of PHP and Caddy follow from this and from the photos per post.',
    parse: parseNumber(1, 2000),
    initial: () => 15,
  },
  {
    key: key('photos'),
    topic: 'size',
    message: 'Maximum number of photos in a post',
    help: `Default 4; PHP accepts at most ${MOST_PHOTOS}.`,
    parse: parseNumber(1, MOST_PHOTOS),
    initial: () => 4,
  },
  {
    key: key('media-types'),
    topic: 'more',
    message: 'Files that may be uploaded',
    help: 'Default `photos`: JPEG, PNG, GIF, WebP; `modern`: AVIF and HEIC too; `video`: MP4 as well.',
    ...oneOf<keyof typeof MEDIA_TYPES>([
      { value: 'photos', name: 'Photos' },
      { value: 'modern', name: 'Photos, also in the formats of newer phones' },
      { value: 'video', name: 'Photos and videos' },
    ]),
    initial: () => 'photos',
  },
  {
    key: key('stories'),
    topic: 'more',
    message: 'Stories',
    help: 'Default `no`. `yes`: photos that disappear after 24 hours.',
    ...oneOf([
      { value: 'no', name: 'No' },
      { value: 'yes', name: 'Yes' },
    ]),
    initial: () => 'no',
  },
  localeQuestion(ID, 'Language of the pages', 'users can choose another in their settings.'),
  {
    key: key('size'),
    topic: 'size',
    message: 'Size of Pixelfed',
    help: 'The memory it is tuned for. Default: from its share of this host’s memory and cores.',
    ...oneOf((Object.keys(SIZES) as Size[]).map((value) => ({ value, name: describeSize(value) }))),
    byHost: sizeFor,
  },
  ...brandingQuestions,
  ...dataQuestions,
  ...s3Questions(ID, {
    moves: MOVES,
    needsAcl: 'Pixelfed always sets an ACL on each object. Use a bucket that allows ACLs.',
  }),
];
