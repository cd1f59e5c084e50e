/** Pixelfed. Facts on formats, traps and exit codes: upstream's source at 0.12.6, its images and schema at 0.14. */
import { createECDH, createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import type { AppConfig, Config, Mail } from '../config/config.ts';
import { neverOlder } from '../config/later.ts';
import { parseChoice, parseLine } from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import type { Answers, Question } from '../config/question.ts';
import { joinNetwork, service } from '../render/compose.ts';
import { makeKey, makeRsaKey } from '../secrets/openssl.ts';
import { Secret } from '../secrets/secret.ts';
import { randomToken } from '../secrets/store.ts';
import { versionParser } from '../versions.ts';
import type { App } from './app.ts';
import { TRUST_FOLDER, memoryVariables } from './app.ts';
import { brandingQuestions, pixelfedPictures, rulesJson } from './pixelfed/branding.ts';
import type { EnvGroup } from '../render/env.ts';
import {
  dataEnv,
  dataFolders,
  dataImages,
  dataQuestions,
  dataTrials,
  pixelfedRotations,
  pixelfedSeals,
  serverEnv,
  shapeData,
} from './pixelfed/data.ts';
import { parsePixelfedName } from './pixelfed/names.ts';
import { pixelfedProofs } from './pixelfed/proofs.ts';
import {
  MOST_PHOTOS,
  SIZES,
  describeSize,
  loadOf,
  bodyBytes,
  bodyMinutes,
  postMiB,
  sizeFor,
} from './pixelfed/size.ts';
import type { Limits, Size } from './pixelfed/size.ts';
import { PASSWORD, pixelfedSteps, pixelfedUploads } from './pixelfed/steps.ts';
import { localeQuestion, passwordQuestion, registrationsQuestion, titleQuestion } from './rows.ts';
import { bucketOf, pixelfedS3, s3Problems, s3Questions } from './s3.ts';
import type { Moves } from './s3.ts';

/** The version a new site gets: the newest stable one that was seen to run from its official image. */
const VERSION = 'v0.14.4';
const IMAGE = 'ghcr.io/pixelfed/pixelfed';
/** What others run as that version on amd64, pinned by its digest; never compared with a registry from here. */
const DIGEST = 'sha256:7d96925cb75c763878ab72a4e1a37c09fe64fffa8a0ad5ae68f90a3bacbab69e';
/** The first whose official image is the one our stack is made for (FrankenPHP, no `bootstrap/cache` of its own). */
const OLDEST = [0, 12, 10] as const;
/** Why some are not to be had at all, for people who know them by name. */
const BROKEN: Readonly<Record<string, string>> = {
  '0.12.2': 'Its migrations fail on a new database (upstream’s #5220).',
  '0.12.3': 'Its migrations fail on a new database (upstream’s #5220).',
  '0.12.4': 'Its storage settings do not save (upstream’s #5605).',
  '0.12.5': 'Each of its database drivers breaks something (upstream’s #6082).',
  '0.12.7': 'Its access tokens cannot be made (upstream’s #6630).',
};

const parseVersion = versionParser(VERSION, OLDEST);

export function parsePixelfedVersion(given: string): Parsed<string> {
  const version = given.trim().replace(/^v/, '');
  return BROKEN[version] === undefined
    ? parseVersion(given)
    : { problem: `${version} is known to be broken. ${BROKEN[version]}` };
}

/** A whole number between two others. */
const parseNumber =
  (least: number, most: number) =>
  (text: string): Parsed<number> => {
    const number = Number(text.trim());
    return /^\s*\d{1,6}\s*$/.test(text) && number >= least && number <= most
      ? { value: number }
      : { problem: `A whole number from ${least} to ${most}.` };
  };

/** Answer → what may be uploaded (MIME types; upstream's default has the wrong image/jpg too). */
const MEDIA_TYPES = {
  photos: 'image/jpeg,image/jpg,image/png,image/gif,image/webp',
  modern: 'image/jpeg,image/jpg,image/png,image/gif,image/webp,image/avif,image/heic',
  video: 'image/jpeg,image/jpg,image/png,image/gif,image/webp,image/avif,image/heic,video/mp4',
} as const;

const key = (name: string): string => `apps.pixelfed.${name}`;
const text = (answers: Answers, name: string): string => String(answers[key(name)] ?? '');
const sizeOf = (answers: Answers): (typeof SIZES)[Size] => SIZES[text(answers, 'size') as Size];
const limitsOf = (answers: Answers): Limits => ({
  photo: Number(answers[key('photo-size')]),
  photos: Number(answers[key('photos')]),
});

const QUESTIONS: readonly Question[] = [
  {
    key: key('release'),
    topic: 'size',
    message: 'Version of Pixelfed',
    help: `Default ${VERSION}, the newest stable one known. Going back to an older one is not possible.`,
    parse: parsePixelfedVersion,
    initial: () => VERSION,
    later: neverOlder,
  },
  titleQuestion('pixelfed'),
  {
    key: key('description'),
    topic: 'more',
    message: 'What the server is about',
    help: 'One sentence on its front page and in lists of servers.',
    parse: parseLine,
    optional: true,
  },
  registrationsQuestion('pixelfed', 'The last two need outgoing mail.'),
  {
    key: key('photo-size'),
    topic: 'size',
    message: 'Biggest photo or video, in MiB',
    help: 'Default 15. The limits of PHP and Caddy follow from this and from the photos a post may have.',
    parse: parseNumber(1, 2000),
    initial: () => 15,
  },
  {
    key: key('photos'),
    topic: 'size',
    message: 'Most photos in one post',
    help: `Default 4; ${MOST_PHOTOS} is the most that PHP takes at once.`,
    parse: parseNumber(1, MOST_PHOTOS),
    initial: () => 4,
  },
  {
    key: key('media-types'),
    topic: 'more',
    message: 'What may be uploaded',
    help: 'Default `photos`: JPEG, PNG, GIF, WebP; `modern`: AVIF and HEIC too; `video`: MP4 as well.',
    choices: [
      { value: 'photos', name: 'Photos' },
      { value: 'modern', name: 'Photos, the formats of newer phones too' },
      { value: 'video', name: 'Photos and videos' },
    ],
    parse: parseChoice(Object.keys(MEDIA_TYPES) as (keyof typeof MEDIA_TYPES)[]),
    initial: () => 'photos',
  },
  {
    key: key('stories'),
    topic: 'more',
    message: 'Stories',
    help: 'Default `no`. `yes`: pictures that are gone after a day.',
    choices: [
      { value: 'no', name: 'No' },
      { value: 'yes', name: 'Yes' },
    ],
    parse: parseChoice(['no', 'yes']),
    initial: () => 'no',
  },
  localeQuestion('pixelfed', 'Language of the pages', 'people choose their own in their settings.'),
  {
    key: key('size'),
    topic: 'size',
    message: 'Size of Pixelfed',
    help: 'How much memory it is tuned for. Default: by its share of this host’s memory and cores.',
    choices: (Object.keys(SIZES) as Size[]).map((value) => ({ value, name: describeSize(value) })),
    parse: parseChoice(Object.keys(SIZES) as Size[]),
    byHost: sizeFor,
  },
];

/** PEM as one line: Laravel Passport makes line breaks of `\n`. */
const oneLine = (pem: string): string => pem.trim().replaceAll('\n', String.raw`\n`);

/** The public half of Passport's pair, SPKI PEM. */
const publicPem = (privatePem: string): string =>
  createPublicKey(privatePem).export({ type: 'spki', format: 'pem' }).toString();

/** The private half of a VAPID pair: P-256 scalar, base64url without padding, 43 characters. */
async function makeVapid(): Promise<string> {
  return createPrivateKey(await makeKey()).export({ format: 'jwk' }).d ?? '';
}

/** The public half: uncompressed point, base64url without padding, 87 characters. */
function vapidPublic(privateHalf: string): string {
  const pair = createECDH('prime256v1');
  pair.setPrivateKey(Buffer.from(privateHalf, 'base64url'));
  return pair.getPublicKey().toString('base64url');
}

/** One security answer → the variables that go together, in the spellings of both Laravels. */
function mailEnv(mail: Mail, app: AppConfig, password: () => EnvGroup[string]): EnvGroup {
  const from = { MAIL_FROM_ADDRESS: mail.from || `notifications@${app.domain}` };
  if (mail.mode === 'none') return { MAIL_MAILER: 'log', MAIL_DRIVER: 'log', ...from };
  return {
    MAIL_MAILER: 'smtp',
    MAIL_DRIVER: 'smtp',
    MAIL_HOST: mail.host,
    MAIL_PORT: mail.port,
    // Only this requires TLS (symfony/mailer 7.3 and later). Otherwise STARTTLS is used if offered, and an attacker can
    // remove the offer.
    MAIL_URL:
      mail.security === 'none'
        ? undefined
        : `smtp://${mail.host.includes(':') ? `[${mail.host}]` : mail.host}:${mail.port}?require_tls=true`,
    MAIL_SCHEME: mail.security === 'tls' ? 'smtps' : 'smtp',
    // Older versions know only this one.
    MAIL_ENCRYPTION: mail.security === 'none' ? undefined : 'tls',
    MAIL_AUTO_TLS: mail.security === 'none' ? 'false' : 'true',
    MAIL_USERNAME: mail.user,
    MAIL_PASSWORD: mail.user === undefined ? undefined : password(),
    MAIL_EHLO_DOMAIN: app.domain,
    ...from,
  };
}

/** The user of upstream's image. */
const WWW_DATA = '33:33';

const listOf = (secrets: readonly Secret[]): Secret | undefined =>
  secrets.length === 0 ? undefined : new Secret(secrets.map((one) => one.reveal()).join(','));

/** Everything that decides whose data these are, and how Laravel starts. */
function coreEnv({ answers }: Config, app: AppConfig, secret: (name: string) => Secret): EnvGroup {
  return {
    APP_ENV: 'production',
    APP_DEBUG: 'false',
    APP_KEY: secret('pixelfed.app-key'),
    APP_URL: `https://${app.domain}`,
    APP_DOMAIN: app.domain,
    ADMIN_DOMAIN: app.domain,
    SESSION_DOMAIN: app.domain,
    LOG_CHANNEL: 'stderr',
    LOG_LEVEL: 'warning',
    ...dataEnv(answers, secret),
    // Upstream makes them of the server's name: another name would lose what waits in the queues.
    REDIS_PREFIX: 'pixelfed-',
    CACHE_PREFIX: 'pixelfed-cache',
    HORIZON_PREFIX: 'pixelfed-horizon:',
    // Renamed by 0.12.10 to 0.14; the second of each pair is the older name.
    CACHE_STORE: 'redis',
    CACHE_DRIVER: 'redis',
    QUEUE_CONNECTION: 'redis',
    QUEUE_DRIVER: 'redis',
    BROADCAST_CONNECTION: 'log',
    BROADCAST_DRIVER: 'log',
  };
}

function settingsEnv(config: Config, app: AppConfig): EnvGroup {
  const { answers, mail } = config;
  const limits = limitsOf(answers);
  const { image, horizon, balance } = sizeOf(answers);
  const [urgent, deliveries, pictures, rest] = horizon;
  const registrations = text(answers, 'registrations');
  const description = text(answers, 'description') || undefined;
  return {
    APP_NAME: text(answers, 'title'),
    INSTANCE_DESCRIPTION: description,
    PF_SHORT_DESCRIPTION: description,
    PF_DESCRIPTION: description,
    PF_RULES: rulesJson(config),
    INSTANCE_CONTACT_EMAIL: app.email,
    APP_LOCALE: text(answers, 'locale'),
    APP_FALLBACK_LOCALE: 'en',
    // Answers are in fedi.yaml: with upstream's cache of them in the database a changed one would be ignored.
    ENABLE_CONFIG_CACHE: 'false',
    // Only Caddy reaches the app.
    TRUST_PROXIES: '*',
    FORCE_HTTPS_URLS: 'true',
    SESSION_DRIVER: 'redis',
    SESSION_LIFETIME: 86_400,
    SESSION_SECURE_COOKIE: 'true',

    OPEN_REGISTRATION: registrations === 'open' ? 'true' : 'false',
    INSTANCE_CUR_REG: registrations === 'approved' ? 'true' : 'false',
    ENFORCE_EMAIL_VERIFICATION: mail.mode === 'none' ? 'false' : 'true',

    ACTIVITY_PUB: 'true',
    AP_REMOTE_FOLLOW: 'true',
    AP_INBOX: 'true',
    AP_OUTBOX: 'true',
    AP_SHAREDINBOX: 'true',
    NODEINFO: 'true',
    WEBFINGER: 'true',

    OAUTH_ENABLED: 'true',
    OAUTH_PAT_ENABLED: 'true',
    // Compatibility with apps made for Mastodon.
    EXP_EMC: 'true',
    STORIES_ENABLED: text(answers, 'stories') === 'yes' ? 'true' : 'false',

    // KiB, for each file of any kind.
    MAX_PHOTO_SIZE: limits.photo * 1024,
    MAX_ALBUM_LENGTH: limits.photos,
    MEDIA_TYPES: MEDIA_TYPES[text(answers, 'media-types') as keyof typeof MEDIA_TYPES],
    MEMORY_LIMIT: `${image}M`,
    PHP_UPLOAD_MAX_FILE_SIZE: `${limits.photo}M`,
    PHP_POST_MAX_SIZE: `${postMiB(limits)}M`,
    // Everything but the disk of this host breaks avatars and imports; a bucket is set up by its own variables.
    DANGEROUSLY_SET_FILESYSTEM_DRIVER: 'local',
    FILESYSTEM_DRIVER: 'local',

    HORIZON_BALANCE_STRATEGY: balance,
    HORIZON_MAX_PROCESSES: urgent,
    HORIZON_FANOUT_MAX_PROCESSES: deliveries,
    HORIZON_MEDIA_MAX_PROCESSES: pictures,
    HORIZON_BACKGROUND_MAX_PROCESSES: rest,
  };
}

/** Each photo knows where it is, and stays there until it is moved. */
const MOVES: Moves = {
  toBucket:
    'What was uploaded so far stays on this host and is shown from here. `fedi-setup artisan media:migrate2cloud` moves what is older than two days, 200 photos each time.',
  fromBucket: 'What is in the bucket stays there and is shown from there: keep the bucket.',
  between: (before) => `What is in the bucket ${before} stays there and is shown from there: keep it.`,
};

export const pixelfed: App = {
  id: 'pixelfed',
  name: 'Pixelfed',
  about: 'for photos, as on Instagram; for you or a community; 2 GB of memory at least',
  minimum: { memoryMiB: 1900, diskGiB: 20, cores: 1 },
  load: (answers) => loadOf((text(answers, 'size') || '2gb') as Size, pixelfed.minimum.memoryMiB),
  questions: [
    passwordQuestion('pixelfed', 'Pixelfed'),
    ...QUESTIONS,
    ...brandingQuestions,
    ...dataQuestions,
    ...s3Questions('pixelfed', MOVES),
  ],
  parseAdmin: parsePixelfedName,
  images: {
    pixelfed: {
      reference: (answers) => `${IMAGE}:${text(answers, 'release') || VERSION}`,
      known: { [`${IMAGE}:${VERSION}`]: { digest: DIGEST, on: ['x64'] } },
      data: { parts: 3 },
    },
    ...dataImages,
  },
  secrets: [
    {
      name: 'pixelfed.seal',
      class: 'forever',
      about:
        'Ties this directory to the database. Without it the tool cannot tell that they belong together.',
      make: randomToken,
    },
    {
      name: 'pixelfed.app-key',
      class: 'steps',
      keepsPrevious: true,
      about:
        'Encrypts sessions and links in mails: without it everybody logs in again. A new one still reads what earlier ones encrypted.',
      make: () => `base64:${randomBytes(32).toString('base64')}`,
    },
    {
      name: 'pixelfed.passport',
      class: 'steps',
      about: 'Signs the tokens of apps: with another one all apps have to log in again.',
      make: () => makeRsaKey(4096),
    },
    {
      name: 'pixelfed.vapid',
      class: 'steps',
      about: 'Signs push notifications: another one ends every subscription.',
      make: makeVapid,
    },
    { name: 'pixelfed.db', class: 'steps', about: 'Password of the database role.', make: randomToken },
    {
      name: 'pixelfed.db-root',
      class: 'steps',
      about: 'Password of the database’s root.',
      make: randomToken,
    },
    { name: 'pixelfed.valkey', class: 'free', about: 'Password of Valkey.', make: randomToken },
  ],
  adminSecret: PASSWORD,
  front: 'pixelfed_front',
  publicOnly: true,
  // The system's own stay beside it: PHP looks into the folder too, and so does its curl.
  trustFiles: {
    'php.ini': `openssl.cafile=${TRUST_FOLDER}/root.crt\nopenssl.capath=/etc/ssl/certs\n`,
  },
  seals: pixelfedSeals,
  trials: dataTrials,
  folders: [
    ...dataFolders,
    { volume: 'pixelfed_storage', what: 'the media', name: 'media-dir', owner: WWW_DATA },
  ],
  uploads: pixelfedUploads(WWW_DATA),
  pictures: pixelfedPictures,

  rotations: ({ answers }) => pixelfedRotations(answers),
  env: (config, app, secret, previous) => {
    const core = coreEnv(config, app, secret);
    const passport = secret('pixelfed.passport').reveal();
    const vapid = secret('pixelfed.vapid').reveal();
    return {
      ...serverEnv(config.answers, secret),
      'pixelfed-gate': core,
      pixelfed: {
        ...core,
        ...settingsEnv(config, app),
        // What is encrypted with an earlier one stays readable.
        APP_PREVIOUS_KEYS: listOf(previous('pixelfed.app-key')),
        PASSPORT_PRIVATE_KEY: new Secret(oneLine(passport)),
        PASSPORT_PUBLIC_KEY: oneLine(publicPem(passport)),
        VAPID_PRIVATE_KEY: secret('pixelfed.vapid'),
        VAPID_PUBLIC_KEY: vapidPublic(vapid),
        VAPID_SUBJECT: `mailto:${app.email}`,
        MAIL_FROM_NAME: text(config.answers, 'title'),
        // Else its pages tell the admin of a lab, which may reach nobody, that the look for a newer version failed.
        INSTANCE_SOFTWARE_UPDATE_DISABLE_FAILED_WARNING: config.tls.mode === 'internal' ? 'true' : undefined,
        // PHP's own folder, and this one.
        PHP_INI_SCAN_DIR: config.tls.mode === 'internal' ? `:${TRUST_FOLDER}` : undefined,
        ...mailEnv(config.mail, app, () => secret('mail.password')),
        ...pixelfedS3(config, secret),
      },
    };
  },

  variables: (config, app) => ({
    PIXELFED_DOMAIN: app.domain,
    PIXELFED_DB_BUFFER: `${sizeOf(config.answers).db}M`,
    PIXELFED_DB_CACHE: `${sizeOf(config.answers).db * 3}M`,
    ...memoryVariables('pixelfed', sizeOf(config.answers).limits),
    PIXELFED_BODY: String(bodyBytes(limitsOf(config.answers))),
    PIXELFED_BODY_TIME: `${bodyMinutes(limitsOf(config.answers))}m`,
  }),

  problems: (config) => [
    ...s3Problems(config, 'pixelfed'),
    ...(bucketOf(config.answers, 'pixelfed')?.acl === 'none'
      ? [
          'Pixelfed makes each object public by an ACL and cannot leave that out. Take a bucket that allows ACLs.',
        ]
      : []),
    ...(config.mail.mode === 'none' && text(config.answers, 'registrations') !== 'none'
      ? [
          'Pixelfed checks the address of whoever signs up, which takes outgoing mail. Set up mail, or let nobody sign up.',
        ]
      : []),
  ],

  shape: (compose, config) => {
    shapeData(compose, config.answers);
    if (config.mail.mode === 'catcher')
      for (const name of ['pixelfed_web', 'pixelfed_horizon']) joinNetwork(compose, name, 'mail');
    if (config.tls.mode === 'internal')
      for (const name of ['pixelfed_web', 'pixelfed_horizon', 'pixelfed_scheduler']) {
        const one = service(compose, name);
        // The three share one list in the Compose file.
        one.volumes = [...(one.volumes ?? []), `./trust:${TRUST_FOLDER}:ro`];
      }
  },

  steps: (_config, app) => pixelfedSteps(app),

  proofs: pixelfedProofs,

  cli: { name: 'artisan', service: 'pixelfed_web', argv: (words) => ['php', 'artisan', ...words] },
};
