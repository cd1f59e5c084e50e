/** What is asked about Mastodon. */
import { immutableDomain, neverOlder } from '../../config/on-change.ts';
import { oneOf, parseSiteDomain } from '../../config/parse.ts';
import type { Question } from '../../config/question.ts';
import {
  localeQuestion,
  passwordQuestion,
  registrationsQuestion,
  titleQuestion,
} from '../shared/questions.ts';
import { s3Questions } from '../shared/s3.ts';
import { dataQuestions } from './data.ts';
import { parseDays } from './clean-up.ts';
import { MEDIA_DAYS } from './options.ts';
import { SIDEKIQ, SIZES, describeSize, sizeFor } from './size.ts';
import type { Layout, Size } from './size.ts';
import { VERSION, parseVersion } from './version.ts';

const ID = 'mastodon';

const key = (name: string): string => `apps.${ID}.${name}`;

export const mastodonQuestions: readonly Question[] = [
  passwordQuestion(ID, 'Mastodon'),
  {
    key: key('release'),
    topic: 'size',
    message: 'Version of Mastodon',
    help: `Default ${VERSION}, the newest known stable version. Downgrades are not possible.`,
    parse: parseVersion,
    initial: () => VERSION,
    onChange: neverOlder,
  },
  titleQuestion(ID),
  registrationsQuestion(
    ID,
    'Used in the first run only; later, change it in the web interface. The last two need outgoing mail.',
  ),
  {
    key: key('media-days'),
    topic: 'more',
    message: 'How many days copies of remote media are kept',
    help: `Default ${MEDIA_DAYS}; 0 keeps them forever. Used in the first run only; later, change it in the web interface.`,
    more: 'They use most of the disk of a Mastodon server. Mastodon fetches removed ones again when a user opens the post. Below 14 days, pictures of link previews may be lost. `fedi-setup cleanup` shows what they cost on this host.',
    parse: parseDays,
    initial: () => MEDIA_DAYS,
  },
  {
    key: key('single-user'),
    topic: 'more',
    message: 'Single-user mode',
    help: 'Default `no`. `yes`: the front page is your profile, and nobody can sign up.',
    ...oneOf([
      { value: 'no', name: 'No: others may have accounts' },
      { value: 'yes', name: 'Yes: the front page is your profile' },
    ]),
    initial: () => 'no',
  },
  {
    key: key('web-domain'),
    topic: 'more',
    message: 'Another domain for the pages',
    help: 'Default: the domain of the handles. It cannot be changed later.',
    parse: parseSiteDomain,
    optional: true,
    onChange: immutableDomain,
  },
  {
    key: key('handles'),
    topic: 'more',
    message: 'Who serves the domain of the handles',
    help: 'Default `here`: this site redirects it to the pages. `elsewhere`: your website stays there, and its server redirects /.well-known/webfinger.',
    ...oneOf([
      { value: 'here', name: 'This site' },
      { value: 'elsewhere', name: 'Another web server, with my website' },
    ]),
    initial: () => 'here',
    when: (answers) => answers[key('web-domain')] !== undefined,
  },
  localeQuestion(ID, 'Default language of the pages', 'the browser’s language takes precedence.'),
  {
    key: key('size'),
    topic: 'size',
    message: 'Size of Mastodon',
    help: 'The memory it is tuned for. Default: from its share of this host’s memory and cores.',
    ...oneOf((Object.keys(SIZES) as Size[]).map((value) => ({ value, name: describeSize(value) }))),
    byHost: sizeFor,
  },
  {
    key: key('sidekiq'),
    topic: 'more',
    message: 'Background jobs',
    help: 'Default: `one` process for all queues; from 8gb on `split`, so that deliveries to other servers do not delay your users.',
    ...oneOf((Object.keys(SIDEKIQ) as Layout[]).map((value) => ({ value, name: value }))),
    initial: (answers) => (['8gb', '16gb'].includes(String(answers[key('size')])) ? 'split' : 'one'),
  },
  ...dataQuestions,
  ...s3Questions(ID),
];
