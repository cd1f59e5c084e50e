/** Pixelfed. Formats, pitfalls and exit codes are those of upstream's source 0.12.6, its images and schema at 0.14. */
import { createPublicKey, randomBytes } from 'node:crypto';
import type { AppConfig } from '../config/config.ts';
import type { Mail } from '../config/mail.ts';
import { service } from '../stack/compose.ts';
import { makeRsaKey } from '../secrets/openssl.ts';
import { Secret } from '../secrets/secret.ts';
import { randomToken } from '../secrets/store.ts';
import type { App } from './app.ts';
import { TRUST_FOLDER, addedCas, memoryVariables } from './app.ts';
import { pixelfedPictures } from './pixelfed/branding.ts';
import type { EnvGroup } from '../stack/env.ts';
import {
  HORIZON_PREFIX,
  REDIS_PREFIX,
  dataEnv,
  dataFolders,
  dataImages,
  dataTrials,
  pixelfedDumps,
  pixelfedMarkers,
  pixelfedServers,
  shapeData,
} from './pixelfed/data.ts';
import { parsePixelfedName } from './pixelfed/names.ts';
import { pixelfedJobs } from './pixelfed/jobs.ts';
import { pixelfedGoodbye } from './pixelfed/goodbye.ts';
import { pixelfedPeople } from './pixelfed/people.ts';
import { pixelfedProofs } from './pixelfed/proofs.ts';
import { MEDIA_TYPES, pixelfedOptions } from './pixelfed/options.ts';
import type { PixelfedOptions } from './pixelfed/options.ts';
import { pixelfedQuestions } from './pixelfed/questions.ts';
import { VERSION } from './pixelfed/version.ts';
import { SIZES, bodyBytes, bodyMinutes, loadOf, postMiB } from './pixelfed/size.ts';
import { laravel } from './pixelfed/php.ts';
import { pixelfedMoves } from './pixelfed/media.ts';
import { pixelfedUpgrades } from './pixelfed/upgrades.ts';
import { PASSWORD, pixelfedCleanUps, pixelfedSteps, pixelfedUploads } from './pixelfed/steps.ts';
import { pixelfedS3 } from './pixelfed/s3.ts';
import { NGINX } from './shared/nginx.ts';
import { s3Problems } from './shared/s3.ts';
import { serverEnv } from './shared/server.ts';
import { makeVapid, vapidPublic } from './shared/vapid.ts';

const IMAGE = 'ghcr.io/pixelfed/pixelfed';
/** Digest that others run as that version on amd64; it was never compared with the registry. */
const DIGEST = 'sha256:7d96925cb75c763878ab72a4e1a37c09fe64fffa8a0ad5ae68f90a3bacbab69e';

/** PEM as one line: Laravel Passport turns `\n` into line breaks. */
const oneLine = (pem: string): string => pem.trim().replaceAll('\n', String.raw`\n`);

/** Passport's public key, SPKI PEM. */
const publicPem = (privatePem: string): string =>
  createPublicKey(privatePem).export({ type: 'spki', format: 'pem' }).toString();

/** Mail settings → consistent variables, under the names of both Laravel versions. */
function mailEnv(
  { server, from: sender, fromName }: Mail,
  app: AppConfig,
  password: () => EnvGroup[string],
): EnvGroup {
  const from = {
    MAIL_FROM_ADDRESS: sender || `notifications@${app.domain}`,
    // Otherwise the title of the site.
    ...(fromName === undefined ? {} : { MAIL_FROM_NAME: fromName }),
  };
  if (server === undefined) return { MAIL_MAILER: 'log', MAIL_DRIVER: 'log', ...from };
  return {
    MAIL_MAILER: 'smtp',
    MAIL_DRIVER: 'smtp',
    MAIL_HOST: server.host,
    MAIL_PORT: server.port,
    // Only this requires TLS (symfony/mailer 7.3 and later). Otherwise STARTTLS is used if offered, and an attacker can
    // remove the offer.
    MAIL_URL:
      server.security === 'none'
        ? undefined
        : `smtp://${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}?require_tls=true`,
    MAIL_SCHEME: server.security === 'tls' ? 'smtps' : 'smtp',
    // Older versions read only this one.
    MAIL_ENCRYPTION: server.security === 'none' ? undefined : 'tls',
    MAIL_AUTO_TLS: server.security === 'none' ? 'false' : 'true',
    MAIL_USERNAME: server.user,
    MAIL_PASSWORD: server.user === undefined ? undefined : password(),
    MAIL_EHLO_DOMAIN: app.domain,
    ...from,
  };
}

/** The user of upstream's image. */
const WWW_DATA = '33:33';

const listOf = (secrets: readonly Secret[]): Secret | undefined =>
  secrets.length === 0 ? undefined : new Secret(secrets.map((one) => one.reveal()).join(','));

/** Variables that identify the site's data, and those that Laravel needs to start. */
function coreEnv(app: AppConfig<PixelfedOptions>, secret: (name: string) => Secret): EnvGroup {
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
    ...dataEnv(app.options, secret),
    // Upstream derives these from the server's name: renaming it would lose queued jobs.
    REDIS_PREFIX,
    CACHE_PREFIX: 'pixelfed-cache',
    HORIZON_PREFIX,
    // Renamed by 0.12.10 to 0.14; the second of each pair is the older name.
    CACHE_STORE: 'redis',
    CACHE_DRIVER: 'redis',
    QUEUE_CONNECTION: 'redis',
    QUEUE_DRIVER: 'redis',
    BROADCAST_CONNECTION: 'log',
    BROADCAST_DRIVER: 'log',
  };
}

function settingsEnv({ server }: Mail, { email, options }: AppConfig<PixelfedOptions>): EnvGroup {
  const { limits, registrations, description, rules } = options;
  const { image, horizon, balance } = SIZES[options.size];
  const [urgent, deliveries, pictures, rest] = horizon;
  return {
    APP_NAME: options.title,
    INSTANCE_DESCRIPTION: description,
    PF_SHORT_DESCRIPTION: description,
    PF_DESCRIPTION: description,
    // A JSON array of strings.
    PF_RULES: rules.length === 0 ? undefined : JSON.stringify(rules),
    INSTANCE_CONTACT_EMAIL: email,
    APP_LOCALE: options.locale,
    APP_FALLBACK_LOCALE: 'en',
    // Upstream would store settings in the database and then ignore changes in fedi.yaml.
    ENABLE_CONFIG_CACHE: 'false',
    // Only Caddy reaches the app.
    TRUST_PROXIES: '*',
    FORCE_HTTPS_URLS: 'true',
    SESSION_DRIVER: 'redis',
    SESSION_LIFETIME: 86_400,
    SESSION_SECURE_COOKIE: 'true',

    OPEN_REGISTRATION: registrations === 'open' ? 'true' : 'false',
    INSTANCE_CUR_REG: registrations === 'approved' ? 'true' : 'false',
    ENFORCE_EMAIL_VERIFICATION: server === undefined ? 'false' : 'true',

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
    STORIES_ENABLED: options.hasStories ? 'true' : 'false',

    // KiB, for each file of any kind.
    MAX_PHOTO_SIZE: limits.photo * 1024,
    MAX_ALBUM_LENGTH: limits.photos,
    MEDIA_TYPES: MEDIA_TYPES[options.mediaTypes],
    MEMORY_LIMIT: `${image}M`,
    PHP_UPLOAD_MAX_FILE_SIZE: `${limits.photo}M`,
    PHP_POST_MAX_SIZE: `${postMiB(limits)}M`,
    // Anything but `local` breaks avatars and imports; a bucket has separate variables.
    DANGEROUSLY_SET_FILESYSTEM_DRIVER: 'local',
    FILESYSTEM_DRIVER: 'local',

    HORIZON_BALANCE_STRATEGY: balance,
    HORIZON_MAX_PROCESSES: urgent,
    HORIZON_FANOUT_MAX_PROCESSES: deliveries,
    HORIZON_MEDIA_MAX_PROCESSES: pictures,
    HORIZON_BACKGROUND_MAX_PROCESSES: rest,
  };
}

export const pixelfed: App<PixelfedOptions> = {
  id: 'pixelfed',
  name: 'Pixelfed',
  about: 'photos, as on Instagram; for you or a community; 2 GB of memory',
  minimum: { memoryMiB: 1900, diskGiB: 20, cores: 1 },
  load: ({ size }) => loadOf(size, pixelfed.minimum.memoryMiB),
  questions: pixelfedQuestions,
  options: pixelfedOptions,
  parseAdmin: parsePixelfedName,
  images: {
    pixelfed: {
      reference: ({ release }) => `${IMAGE}:${release}`,
      known: { [`${IMAGE}:${VERSION}`]: { digest: DIGEST, on: ['x64'] } },
      data: { parts: 3 },
    },
    ...dataImages,
    nginx: NGINX,
  },
  secrets: [
    {
      name: 'pixelfed.seal',
      class: 'forever',
      about:
        'Ties this directory to the database. Without it, fedi-setup cannot verify that they belong together.',
      make: randomToken,
    },
    {
      name: 'pixelfed.app-key',
      class: 'steps',
      keepsPrevious: true,
      about:
        'Encrypts sessions and links in mails: without it everybody must log in again. What earlier ones encrypted stays readable.',
      make: () => `base64:${randomBytes(32).toString('base64')}`,
    },
    {
      name: 'pixelfed.passport',
      class: 'steps',
      about: 'Signs the tokens of client apps. With a new one they must log in again.',
      make: () => makeRsaKey(4096),
    },
    {
      name: 'pixelfed.vapid',
      class: 'steps',
      about: 'Signs push notifications. A new one ends every subscription.',
      make: () => makeVapid(false),
    },
    { name: 'pixelfed.db', class: 'steps', about: 'Password of the database role.', make: randomToken },
    {
      name: 'pixelfed.db-root',
      class: 'steps',
      about: 'Password of the database’s root user.',
      make: randomToken,
    },
    { name: 'pixelfed.valkey', class: 'free', about: 'Password of Valkey.', make: randomToken },
  ],
  adminSecret: PASSWORD,
  front: 'pixelfed_front',
  publicOnly: true,
  // PHP and its curl also read the system's certificates from capath.
  trustFiles: (cas) => ({ 'php.ini': `openssl.cafile=${cas}\nopenssl.capath=/etc/ssl/certs\n` }),
  servers: pixelfedServers,
  externalDumps: pixelfedDumps,
  keyCheck: () => ({
    image: 'pixelfed',
    command: () => laravel('check-keys.php'),
    env: {
      group: 'pixelfed-gate',
      database: (port) => ({
        DB_HOST: '127.0.0.1',
        DB_PORT: port,
        DB_SSLMODE: 'disable',
        MYSQL_ATTR_SSL_CA: undefined,
      }),
    },
  }),
  derived: ['pixelfed_pages', 'pixelfed_tmp'],
  markers: pixelfedMarkers,
  trials: dataTrials,
  folders: [
    ...dataFolders,
    { volume: 'pixelfed_storage', what: 'the media', name: 'media-dir', owner: WWW_DATA },
  ],
  uploads: pixelfedUploads(WWW_DATA),
  moves: pixelfedMoves,
  nginx: { uploads: '/srv/app/public', app: 'pixelfed_web:8080', key: '$path' },
  pictures: pixelfedPictures,

  env: (config, app, secret, previous) => {
    const core = coreEnv(app, secret);
    const passport = secret('pixelfed.passport').reveal();
    return {
      ...serverEnv(pixelfedServers(app.options), secret),
      'pixelfed-gate': core,
      pixelfed: {
        ...core,
        ...settingsEnv(config.mail, app),
        // So that data encrypted with earlier keys stays readable.
        APP_PREVIOUS_KEYS: listOf(previous('pixelfed.app-key')),
        PASSPORT_PRIVATE_KEY: new Secret(oneLine(passport)),
        PASSPORT_PUBLIC_KEY: oneLine(publicPem(passport)),
        VAPID_PRIVATE_KEY: secret('pixelfed.vapid'),
        VAPID_PUBLIC_KEY: vapidPublic(secret('pixelfed.vapid').reveal()),
        VAPID_SUBJECT: `mailto:${app.email}`,
        MAIL_FROM_NAME: app.options.title,
        // A lab may have no Internet access; without this the admin sees a warning that the update check failed.
        INSTANCE_SOFTWARE_UPDATE_DISABLE_FAILED_WARNING: config.tls.isLab ? 'true' : undefined,
        // PHP's default directory, then this one.
        PHP_INI_SCAN_DIR: addedCas(config) === undefined ? undefined : `:${TRUST_FOLDER}`,
        ...mailEnv(config.mail, app, () => secret('mail.password')),
        ...pixelfedS3(app, secret),
      },
    };
  },

  variables: ({ domain, options }) => {
    const { db, limits } = SIZES[options.size];
    return {
      PIXELFED_DOMAIN: domain,
      PIXELFED_DB_BUFFER: `${db}M`,
      PIXELFED_DB_CACHE: `${db * 3}M`,
      ...memoryVariables('pixelfed', limits),
      PIXELFED_BODY: String(bodyBytes(options.limits)),
      PIXELFED_BODY_TIME: `${bodyMinutes(options.limits)}m`,
    };
  },

  problems: ({ mail }, app) => [
    ...s3Problems(app),
    ...(mail.server === undefined && app.options.registrations !== 'none'
      ? [
          'Pixelfed confirms the address of each new user by mail. Set up outgoing mail, or let nobody sign up.',
        ]
      : []),
  ],

  // The order of Symfony's mailer.
  mailer: (app, { from }) => ({
    sender: from || `notifications@${app.domain}`,
    methods: ['CRAM-MD5', 'LOGIN', 'PLAIN'],
    triesAll: true,
  }),
  withoutMail: 'Nobody can reset a forgotten password or sign up.',
  mailClients: ['pixelfed_web', 'pixelfed_horizon'],

  shape: (compose, config, { options }) => {
    shapeData(compose, options);
    const trusting = ['pixelfed_web', 'pixelfed_horizon', 'pixelfed_scheduler'];
    if (options.databaseCa !== undefined || config.ownCas !== undefined) trusting.push('pixelfed_gate');
    if (addedCas(config) !== undefined || options.databaseCa !== undefined)
      for (const name of trusting) {
        const one = service(compose, name);
        // They share one list in the Compose file.
        one.volumes = [...(one.volumes ?? []), `./trust:${TRUST_FOLDER}:ro`];
      }
  },

  steps: pixelfedSteps,

  proofs: pixelfedProofs,
  jobs: pixelfedJobs,
  // The second one needs the database.
  monitoring: ({ domain }) => ({
    probes: [`https://${domain}/api/service/health-check`, `https://${domain}/api/v1/instance`],
  }),
  cleanUps: () => pixelfedCleanUps,
  upgrades: pixelfedUpgrades,
  goodbye: pixelfedGoodbye,
  people: pixelfedPeople,

  cli: { name: 'artisan', service: 'pixelfed_web', argv: (words) => ['php', 'artisan', ...words] },
};
