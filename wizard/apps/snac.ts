/** snac: one small process that stores its data in plain files. We build its image: compose/snac/. */
import { readProgram } from '../assets.ts';
import type { SmtpServer } from '../config/mail.ts';
import type { Parsed } from '../config/parse.ts';
import { parseLine } from '../config/parse.ts';
import { service } from '../stack/compose.ts';
import { randomToken } from '../secrets/store.ts';
import { TRUST_FOLDER, addedCas } from './app.ts';
import type { App, AppStep } from './app.ts';
import { passwordQuestion } from './shared/questions.ts';
import { snacJobs } from './snac/jobs.ts';
import { snacGoodbye } from './snac/goodbye.ts';
import { sender } from './snac/mail.ts';
import { NEW_PASSWORD, addUser, setEmail, setPassword, snacPeople } from './snac/people.ts';
import { snacProofs } from './snac/proofs.ts';

const PASSWORD = 'snac.admin';

/** First path segments that snac uses itself: a user of that name could not be reached. */
const RESERVED = ['api', 'nodeinfo_2_0', 'nodeinfo_2_1', 'oauth', 'relay', 'share', 'users'];

/** snac accepts letters, digits and _ (validate_uid in utils.c) and reserves no names; converted to lower case. */
function parseAdmin(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const name = line.value.replace(/^@/, '').toLowerCase();
  if (!/^[a-z0-9_]{1,30}$/.test(name)) return { problem: 'Use 1 to 30 characters: a-z, 0-9 and _.' };
  if (RESERVED.includes(name)) return { problem: `snac uses ${name} in its own URLs. Choose another name.` };
  return { value: name };
}

/** smtps:// is implicit TLS. With smtp:// snac requires STARTTLS on port 587 and never uses it on other ports (measured on 2.96). */
function smtpUrl({ host, port, security }: SmtpServer): string {
  return `${security === 'tls' ? 'smtps' : 'smtp'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The user of the image: compose/snac/Dockerfile. */
const OWNER = '990:990';

export const snac: App = {
  id: 'snac',
  name: 'snac',
  about: 'tiny; for you and a few friends',
  minimum: { memoryMiB: 256, diskGiB: 1, cores: 0 },
  questions: [passwordQuestion('snac', 'snac')],
  options: () => ({ app: 'snac' }),
  parseAdmin,
  images: { snac: { reference: 'fedi-setup/snac:2.96-1', build: 'snac', data: { parts: 3 } } },
  secrets: [
    {
      name: 'snac.seal',
      class: 'forever',
      about:
        'Ties this directory to the data volume. Without it, fedi-setup cannot verify that they belong together.',
      make: randomToken,
    },
  ],
  adminSecret: PASSWORD,
  keyCheck: () => ({
    image: 'snac',
    command: (volumes) => ({
      argv: ['sh', '-c', readProgram('apps/snac/programs/check-keys.sh'), 'sh', `${volumes}/snac_data`],
    }),
  }),
  loginPage: (domain, user) => `https://${domain}/${user}/admin`,
  front: 'snac_front',
  markers: () => [
    {
      service: 'snac',
      image: 'snac',
      volume: 'snac_data',
      mount: '/data',
      data: '/data/server.json',
      owner: OWNER,
    },
  ],
  folders: [{ volume: 'snac_data', what: 'the data', name: 'data-dir', owner: OWNER }],

  env: (config, app, secret) => ({
    snac: {
      SNAC_HOST: app.domain,
      SNAC_ADMIN_EMAIL: app.email,
      // Empty on purpose: the entry point then removes an earlier value from server.json.
      ...(config.mail.server === undefined
        ? { SNAC_SMTP_URL: '', SNAC_SMTP_USERNAME: '', SNAC_SMTP_PASSWORD: '' }
        : {
            SNAC_SMTP_URL: smtpUrl(config.mail.server),
            SNAC_SMTP_USERNAME: config.mail.server.user ?? '',
            SNAC_SMTP_PASSWORD: config.mail.server.user === undefined ? '' : secret('mail.password'),
          }),
      SNAC_CA_FILE: addedCas(config),
    },
  }),

  variables: (app) => ({ SNAC_DOMAIN: app.domain }),

  problems: (config) =>
    config.mail.server?.security === 'starttls' && config.mail.server.port !== 587
      ? [
          'snac uses STARTTLS on port 587 only; on other ports the password would be sent unencrypted. Use port 587, or 465 with tls.',
        ]
      : [],

  // The order of libcurl; after a rejected log-in it tries no other.
  mailer: (app) => ({
    sender: sender(app),
    isFixed: true,
    methods: ['DIGEST-MD5', 'CRAM-MD5', 'PLAIN', 'LOGIN'],
  }),
  withoutMail: 'Nobody gets notifications by mail.',
  mailClients: ['snac'],

  shape: (compose, config) => {
    if (addedCas(config) !== undefined) {
      (service(compose, 'snac').volumes ??= []).push(`./trust:${TRUST_FOLDER}:ro`);
    }
  },

  steps: (app): AppStep[] => [
    {
      id: 'snac.account',
      title: `Account ${app.admin}`,
      service: 'snac',
      check: { argv: ['test', '-s', `/data/user/${app.admin}/user.json`] },
      act: addUser(app.admin),
      capture: { pattern: NEW_PASSWORD, secret: PASSWORD },
      hint: 'Look at `docker compose logs snac`.',
    },
    {
      // If a run is killed before it stores the password, the password is lost: set a new one.
      id: 'snac.password',
      title: `Password of ${app.admin}`,
      service: 'snac',
      act: setPassword(app.admin),
      capture: { pattern: NEW_PASSWORD, secret: PASSWORD },
      hint: 'Look at `docker compose logs snac`.',
    },
    {
      id: 'snac.chosen',
      title: `Password of ${app.admin}, as chosen`,
      service: 'snac',
      act: (password) => setPassword(app.admin, password),
      sets: { answer: 'apps.snac.password', as: PASSWORD },
      hint: 'Look at `docker compose logs snac`.',
    },
    {
      // Without an address snac sends no notifications. An address set in the web interface stays.
      id: 'snac.email',
      title: 'E-mail address for notifications',
      service: 'snac',
      check: {
        argv: [
          'jq',
          '--exit-status',
          '.email | strings | select(. != "")',
          `/data/user/${app.admin}/user.json`,
        ],
      },
      act: setEmail(app.admin, app.email),
      hint: 'Look at `docker compose logs snac`.',
    },
  ],

  proofs: snacProofs,
  // It does this every day too.
  cleanUps: () => [
    {
      id: 'snac.purge',
      title: 'Posts that are older than the limits in server.json',
      service: 'snac',
      argv: ['snac', 'purge', '/data'],
    },
  ],
  jobs: () => snacJobs,
  monitoring: ({ domain }) => ({ probes: [`https://${domain}/.well-known/nodeinfo`] }),
  goodbye: snacGoodbye,
  moves: {
    why: 'snac cannot store its media in a bucket.',
    next: 'Its media stay on this host; `fedi-setup backup` backs them up.',
  },
  people: snacPeople,

  cli: {
    name: 'snac',
    service: 'snac',
    // Every snac command takes the data directory first; here it is always /data.
    argv: ([command, ...words]) => ['snac', ...(command === undefined ? [] : [command, '/data']), ...words],
  },
};
