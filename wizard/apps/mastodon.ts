/** Mastodon. Formats, pitfalls and exit codes are those of upstream v4.6.5. */
import { randomInt } from 'node:crypto';
import type { AppConfig } from '../config/config.ts';
import type { Mail } from '../config/mail.ts';
import { parseLine, senderOf } from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import { dropService, service } from '../stack/compose.ts';
import { randomHex, randomToken } from '../secrets/store.ts';
import { TRUST_FOLDER, addedCas, memoryVariables } from './app.ts';
import type { EnvGroup } from '../stack/env.ts';
import type { App, AppStep } from './app.ts';
import {
  dataEnv,
  mastodonDumps,
  mastodonMarkers,
  mastodonServers,
  mastodonTrials,
  query,
  streamingDataEnv,
} from './mastodon/data.ts';
import { NGINX } from './shared/nginx.ts';
import { POSTGRES, literal } from './shared/postgres.ts';
import { SERVER_OWNER, serverEnv } from './shared/server.ts';
import { VALKEY } from './shared/valkey.ts';
import { makeVapid, vapidPublic } from './shared/vapid.ts';
import { REMOTE_MEDIA, mastodonCleanUps } from './mastodon/clean-up.ts';
import { mastodonJobs } from './mastodon/jobs.ts';
import { mastodonGoodbye } from './mastodon/goodbye.ts';
import { NEW_PASSWORD, mastodonPeople, setPassword } from './mastodon/people.ts';
import { mastodonUpgrades } from './mastodon/upgrades.ts';
import { mastodonProofs } from './mastodon/proofs.ts';
import { rails } from './mastodon/runner.ts';
import { mastodonMoves } from './mastodon/media.ts';
import { mastodonMonitoring, shapeMonitoring } from './mastodon/monitoring.ts';
import { mastodonOptions } from './mastodon/options.ts';
import type { MastodonOptions } from './mastodon/options.ts';
import { mastodonQuestions } from './mastodon/questions.ts';
import { QUEUES, SCHEDULER, SCHEDULER_THREADS, SIDEKIQ, SIZES, loadOf } from './mastodon/size.ts';
import { mastodonS3 } from './mastodon/s3.ts';
import { s3Problems } from './shared/s3.ts';

const PASSWORD = 'mastodon.admin';

/** `[A-Za-z0-9]` × 32, uniformly random, as `rails db:encryption:init` generates it. */
function alphanumeric32(): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length: 32 }, () => letters[randomInt(letters.length)]).join('');
}

/** Letters, digits and _, at most 30 (Account::USERNAME_RE); converted to lower case, as in the web interface. */
function parseAdmin(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const name = line.value.replace(/^@/, '').toLowerCase();
  return /^[a-z0-9_]{1,30}$/.test(name)
    ? { value: name }
    : { problem: 'Use 1 to 30 characters: a-z, 0-9 and _.' };
}

/** Names that sign-up rejects (db/seeds, 4.5 and later); `tootctl` accepts them, so the owner may have one. */
const RESERVED =
  /^(?:abuse|accounts?|admin|administration|administrator|admins|help|helpdesk|instance|mods?|moderators?|owner|root|security|server|staff|support|webmaster)$|mastodon|mastadon/;

const aboutAdmin = (name: string): string[] =>
  RESERVED.test(name)
    ? [
        `Mastodon reserves ${name}. The owner may use it, but it is one of the first names that attackers try.`,
      ]
    : [];

/** Mail settings → consistent variables (mail 2.9 rejects STARTTLS with implicit TLS). */
function mailEnv(
  { server, from, fromName }: Mail,
  app: AppConfig,
  password: () => EnvGroup[string],
): EnvGroup {
  // `test` discards every mail; otherwise mail would pile up in a queue.
  if (server === undefined)
    return { SMTP_DELIVERY_METHOD: 'test', SMTP_FROM_ADDRESS: `notifications@${app.domain}` };
  return {
    SMTP_SERVER: server.host,
    SMTP_PORT: server.port,
    SMTP_FROM_ADDRESS:
      fromName === undefined ? from || `notifications@${app.domain}` : senderOf(fromName, from),
    SMTP_LOGIN: server.user,
    SMTP_PASSWORD: server.user === undefined ? undefined : password(),
    // Without a user name net-smtp fails with every method except none.
    SMTP_AUTH_METHOD: server.user === undefined ? 'none' : server.auth,
    SMTP_TLS: server.security === 'tls' ? 'true' : undefined,
    SMTP_ENABLE_STARTTLS: server.security === 'starttls' ? 'always' : 'never',
    SMTP_OPENSSL_VERIFY_MODE: server.isCatcher ? 'none' : 'peer',
  };
}

/** The user of upstream's images. */
const MASTODON = '991:991';
/** The domain of the pages. */
const webDomain = ({ domain, options }: AppConfig<MastodonOptions>): string => options.webDomain ?? domain;

export const mastodon: App<MastodonOptions> = {
  id: 'mastodon',
  name: 'Mastodon',
  about: 'the best known; for a club or a community; 2 GB of memory',
  minimum: { memoryMiB: 1900, diskGiB: 10, cores: 1 },
  load: ({ size, sidekiq }) => loadOf(size, sidekiq, mastodon.minimum.memoryMiB),
  questions: mastodonQuestions,
  options: mastodonOptions,
  parseAdmin,
  aboutAdmin,
  images: {
    mastodon: {
      reference: ({ release }) => `ghcr.io/mastodon/mastodon:${release}`,
      data: { parts: 3 },
    },
    'mastodon-streaming': {
      reference: ({ release }) => `ghcr.io/mastodon/mastodon-streaming:${release}`,
    },
    postgres: { ...POSTGRES, when: ({ hasDatabase }) => hasDatabase },
    valkey: { ...VALKEY, when: ({ hasValkey }) => hasValkey },
    nginx: NGINX,
  },
  secrets: [
    {
      name: 'mastodon.encryption.primary',
      class: 'forever',
      about: 'Encrypts two-factor secrets and, from 4.7 on, every account’s signing key.',
      make: alphanumeric32,
    },
    {
      name: 'mastodon.encryption.deterministic',
      class: 'forever',
      about: 'Like mastodon.encryption.primary.',
      make: alphanumeric32,
    },
    {
      name: 'mastodon.encryption.salt',
      class: 'forever',
      about: 'Like mastodon.encryption.primary.',
      make: alphanumeric32,
    },
    {
      name: 'mastodon.secret-key-base',
      class: 'steps',
      about: 'Signs sessions and links in mails. A new one logs everybody out.',
      make: () => randomHex(64),
    },
    {
      name: 'mastodon.vapid',
      class: 'steps',
      about: 'Signs push notifications. A new one ends every subscription.',
      make: () => makeVapid(true),
    },
    { name: 'mastodon.db', class: 'steps', about: 'Password of the database role.', make: randomToken },
    { name: 'mastodon.valkey', class: 'free', about: 'Password of Valkey.', make: randomToken },
  ],
  adminSecret: PASSWORD,
  names: (app) => [...new Set([app.domain, webDomain(app)])],
  served: (app) =>
    app.options.handlesElsewhere ? [webDomain(app)] : [...new Set([app.domain, webDomain(app)])],
  elsewhere: (app) => (webDomain(app) === app.domain ? undefined : '--mastodon-handles elsewhere'),
  snippets: (app) =>
    webDomain(app) === app.domain || app.options.handlesElsewhere
      ? ['mastodon']
      : ['mastodon', 'mastodon-handles'],
  front: 'mastodon_front',
  caddyMounts: ['mastodon_assets:/srv/mastodon/assets'],
  servers: mastodonServers,
  externalDumps: mastodonDumps,
  keyCheck: () => ({
    image: 'mastodon',
    command: () => rails('check-keys.rb', {}),
    env: {
      group: 'mastodon-gate',
      database: (port) => ({ DB_HOST: '127.0.0.1', DB_PORT: port, DB_SSLMODE: 'disable' }),
    },
  }),
  derived: ['mastodon_assets', 'mastodon_cache', 'mastodon_pages', 'mastodon_tmp'],
  markers: mastodonMarkers,
  trials: mastodonTrials,
  folders: [
    {
      volume: 'mastodon_db',
      what: 'the database',
      name: 'db-dir',
      owner: SERVER_OWNER,
      when: ({ hasDatabase }) => hasDatabase,
    },
    {
      volume: 'mastodon_valkey',
      what: 'Valkey',
      name: 'valkey-dir',
      owner: SERVER_OWNER,
      when: ({ hasValkey }) => hasValkey,
    },
    { volume: 'mastodon_system', what: 'the media', name: 'media-dir', owner: MASTODON },
  ],
  uploads: { volume: 'mastodon_system', shown: '.', cached: 'cache', owner: MASTODON, image: 'mastodon' },
  moves: mastodonMoves,
  nginx: { uploads: '/srv', app: 'mastodon_web:3000', key: '$request_uri' },

  env: (config, app, secret) => {
    const { options } = app;
    const data = dataEnv(options, secret);
    const keys: EnvGroup = {
      LOCAL_DOMAIN: app.domain,
      WEB_DOMAIN: options.webDomain,
      ...data,
      SECRET_KEY_BASE: secret('mastodon.secret-key-base'),
      ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: secret('mastodon.encryption.primary'),
      ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY: secret('mastodon.encryption.deterministic'),
      ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT: secret('mastodon.encryption.salt'),
    };
    return {
      ...serverEnv(mastodonServers(options), secret),
      'mastodon-streaming': {
        ...streamingDataEnv(data),
        DB_POOL: SIZES[options.size].pool,
      },
      // Only the settings of the database: when this job is recreated, so is every service that depends on it.
      'mastodon-gate': keys,
      mastodon: {
        ...keys,
        SINGLE_USER_MODE: options.isSingleUser ? 'true' : undefined,
        DEFAULT_LOCALE: options.locale,
        VAPID_PRIVATE_KEY: secret('mastodon.vapid'),
        VAPID_PUBLIC_KEY: vapidPublic(secret('mastodon.vapid').reveal()),
        ...mailEnv(config.mail, app, () => secret('mail.password')),
        ...mastodonS3(app, secret),
        // Domains of a lab have no MX record that Mastodon could look up.
        EMAIL_DOMAIN_ALLOWLIST: config.tls.isLab
          ? app.email.slice(app.email.lastIndexOf('@') + 1)
          : undefined,
        // Domains of a lab resolve to private addresses, which Mastodon rejects by default.
        ALLOWED_PRIVATE_ADDRESSES: config.tls.isLab
          ? '10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7'
          : undefined,
        // An additional CA certificate; OpenSSL also reads the system's certificate directory.
        SSL_CERT_FILE: addedCas(config),
      },
    };
  },

  variables: (app) => {
    const size = SIZES[app.options.size];
    const [shared, cache, maintenance, connections] = size.db;
    return {
      MASTODON_DOMAIN: app.domain,
      MASTODON_WEB_DOMAIN: webDomain(app),
      DB_SHARED_BUFFERS: shared,
      DB_CACHE: cache,
      DB_MAINTENANCE: maintenance,
      DB_CONNECTIONS: connections,
      WEB_CONCURRENCY: String(size.web[0]),
      WEB_THREADS: String(size.web[1]),
      SIDEKIQ_CONCURRENCY: String(size.sidekiq),
      ...memoryVariables('mastodon', size.limits),
    };
  },

  problems: ({ mail, ownCas }, app) => [
    ...s3Problems(app),
    ...(ownCas !== undefined && app.options.databaseCa !== undefined && !app.options.hasValkey
      ? [
          'Mastodon’s streaming server reads one file with CA certificates. Put those of your PostgreSQL into the file of trust.ca too, and remove --mastodon-database-ca.',
        ]
      : []),
    ...(mail.server === undefined && app.options.registrations !== 'none'
      ? [
          'Mastodon confirms the address of each new user by mail. Set up outgoing mail, or let nobody sign up (`apps.mastodon.registrations`; it counts in the first run only).',
        ]
      : []),
  ],

  // Ruby's net-smtp tries the method that it is told, and no other.
  mailer: (app, { server, from }) => ({
    sender: from || `notifications@${app.domain}`,
    methods: [(server?.auth ?? 'plain').toUpperCase()],
  }),
  withoutMail: 'Nobody can reset a forgotten password or sign up.',
  mailClients: ['mastodon_sidekiq'],

  shape: (compose, config, { options }) => {
    if (!options.hasDatabase) dropService(compose, 'mastodon_db');
    if (!options.hasValkey) dropService(compose, 'mastodon_valkey');
    shapeMonitoring(compose, config.monitoring !== undefined);
    const trusting = ['mastodon_web', 'mastodon_sidekiq', 'mastodon_gate'];
    if (options.databaseCa !== undefined || config.ownCas !== undefined) trusting.push('mastodon_streaming');
    for (const name of trusting) {
      if (addedCas(config) !== undefined || options.databaseCa !== undefined)
        (service(compose, name).volumes ??= []).push(`./trust:${TRUST_FOLDER}:ro`);
    }
    const layout = SIDEKIQ[options.sidekiq];
    const whole = service(compose, 'mastodon_sidekiq');
    for (const [suffix, queues] of Object.entries(layout)) {
      const words = queues.flatMap((queue: keyof typeof QUEUES) => ['-q', `${queue},${QUEUES[queue]}`]);
      compose.services[`mastodon_sidekiq${suffix}`] = {
        ...structuredClone(whole),
        'x-about': `Background jobs: ${queues.join(', ')}.`,
        command: ['bundle', 'exec', 'sidekiq', ...words],
        ...(suffix === SCHEDULER
          ? { environment: { ...whole.environment, SIDEKIQ_CONCURRENCY: String(SCHEDULER_THREADS) } }
          : {}),
      };
    }
  },

  steps: (app): AppStep[] => {
    const { options } = app;
    const settings = {
      site_contact_username: app.admin,
      site_contact_email: app.email,
      site_title: options.title,
      registrations_mode: options.registrations,
      media_cache_retention_period: options.mediaDays,
    };
    const ask = (sql: string, prints: string): Pick<AppStep, 'service' | 'check'> => {
      const { service: where, check } = query(options, sql);
      return { service: where, check: { ...check, prints } };
    };
    return [
      {
        id: 'mastodon.seeds',
        title: 'Roles and the server account',
        // If a run is killed between schema and seeds, db:prepare takes the database for complete.
        ...ask("select count(*) from user_roles r join accounts a on a.id = -99 where r.name = 'Owner'", '1'),
        actIn: 'mastodon_web',
        act: { argv: ['bundle', 'exec', 'rails', 'db:seed'] },
        hint: 'Look at `docker compose logs mastodon_gate`.',
      },
      {
        id: 'mastodon.owner',
        title: `Owner ${app.admin}`,
        ...ask(
          `select count(*) from users u join accounts a on a.id = u.account_id join user_roles r on r.id = u.role_id where lower(a.username) = ${literal(app.admin)} and a.domain is null and r.name = 'Owner' and u.approved and u.confirmed_at is not null`,
          '1',
        ),
        actIn: 'mastodon_web',
        // Stores the settings too: each start of Rails takes several seconds.
        act: rails('create-owner.rb', { name: app.admin, email: app.email, settings }),
        capture: { pattern: NEW_PASSWORD, secret: PASSWORD },
        hint: 'Is the name or the address in use already?',
      },
      {
        // If a run is killed before it stores the password, the password is lost: set a new one.
        id: 'mastodon.password',
        title: `Password of ${app.admin}`,
        service: 'mastodon_web',
        act: setPassword(app.admin),
        capture: { pattern: NEW_PASSWORD, secret: PASSWORD },
        hint: 'Look at `docker compose logs mastodon_web`.',
      },
      {
        id: 'mastodon.chosen',
        title: `Password of ${app.admin}, as chosen`,
        service: 'mastodon_web',
        act: (password) => setPassword(app.admin, password),
        sets: { answer: 'apps.mastodon.password', as: PASSWORD },
        hint: 'Look at `docker compose logs mastodon_web`.',
      },
      {
        // Only once: from then on the admin changes these in the web interface.
        id: 'mastodon.settings',
        title: 'Contact, name, registrations, how long remote media are kept',
        ...ask(
          `select count(*) from settings where var in (${Object.keys(settings).map(literal).join(', ')})`,
          String(Object.keys(settings).length),
        ),
        actIn: 'mastodon_web',
        act: rails('save-settings.rb', settings),
        hint: 'Look at `docker compose logs mastodon_web`.',
      },
    ];
  },

  proofs: mastodonProofs,
  remoteMedia: (options) => query(options, REMOTE_MEDIA),
  jobs: mastodonJobs,
  monitoring: (app) => mastodonMonitoring(webDomain(app)),
  cleanUps: mastodonCleanUps,
  upgrades: mastodonUpgrades,
  goodbye: mastodonGoodbye,
  people: mastodonPeople,
  webSockets: { service: 'mastodon_streaming', path: '/api/v1/streaming' },

  cli: { name: 'tootctl', service: 'mastodon_web', argv: (words) => ['tootctl', ...words] },
};
