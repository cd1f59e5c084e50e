/** snac: one small process, its data in plain files. Image and entry point are ours: compose/snac/. */
import type { Mail } from '../config/config.ts';
import type { Parsed } from '../config/parse.ts';
import { parseLine } from '../config/parse.ts';
import { joinNetwork, service } from '../render/compose.ts';
import { randomToken } from '../secrets/store.ts';
import { TRUST_FOLDER } from './app.ts';
import type { App, AppStep } from './app.ts';
import { passwordQuestion } from './rows.ts';
import { snacProofs } from './snac/proofs.ts';

const PASSWORD = 'snac.admin';

/** First parts of paths that snac answers itself: a user of that name could not be reached. */
const RESERVED = ['api', 'nodeinfo_2_0', 'nodeinfo_2_1', 'oauth', 'relay', 'share', 'users'];

/** snac takes letters, digits and _ (validate_uid in utils.c) and has no list of reserved names; lower case as everywhere else. */
function parseAdmin(text: string): Parsed<string> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  const name = line.value.replace(/^@/, '').toLowerCase();
  if (!/^[a-z0-9_]{1,30}$/.test(name)) return { problem: '1 to 30 of a-z, 0-9 and _.' };
  if (RESERVED.includes(name))
    return { problem: `${name} is a part of snac’s own addresses. Choose another name.` };
  return { value: name };
}

/** smtps:// is TLS from the first byte. On smtp:// snac demands STARTTLS on port 587 and uses none on any other (measured on 2.96). */
function smtpUrl(mail: Mail): string {
  return `${mail.security === 'tls' ? 'smtps' : 'smtp'}://${mail.host.includes(':') ? `[${mail.host}]` : mail.host}:${mail.port}`;
}

/** The user of the image: compose/snac/Dockerfile. */
const OWNER = '990:990';

export const snac: App = {
  id: 'snac',
  name: 'snac',
  about: 'tiny; for you and a few friends; 15 MB of memory',
  minimum: { memoryMiB: 256, diskGiB: 1, cores: 0 },
  questions: [passwordQuestion('snac', 'snac')],
  parseAdmin,
  images: { snac: { reference: 'fedi-setup/snac:2.96-1', build: 'snac', data: { parts: 3 } } },
  secrets: [
    {
      name: 'snac.seal',
      class: 'forever',
      about:
        'Ties this directory to the data volume. Without it the tool cannot tell that they belong together.',
      make: randomToken,
    },
  ],
  adminSecret: PASSWORD,
  front: 'snac_front',
  seals: () => [
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
      // Empty on purpose: the entry point then takes an earlier value out of server.json.
      ...(config.mail.mode === 'none'
        ? { SNAC_SMTP_URL: '', SNAC_SMTP_USERNAME: '', SNAC_SMTP_PASSWORD: '' }
        : {
            SNAC_SMTP_URL: smtpUrl(config.mail),
            SNAC_SMTP_USERNAME: config.mail.user ?? '',
            SNAC_SMTP_PASSWORD: config.mail.user === undefined ? '' : secret('mail.password'),
          }),
      ...(config.tls.mode === 'internal' ? { SNAC_CA_FILE: `${TRUST_FOLDER}/root.crt` } : {}),
    },
  }),

  variables: (_config, app) => ({ SNAC_DOMAIN: app.domain }),

  problems: (config) =>
    config.mail.mode === 'smtp' && config.mail.security === 'starttls' && config.mail.port !== 587
      ? [
          'snac uses STARTTLS on port 587 only; on others the password would go in the clear. Take port 587, or 465 with tls.',
        ]
      : [],

  shape: (compose, config) => {
    if (config.tls.mode === 'internal') {
      (service(compose, 'snac').volumes ??= []).push(`./trust:${TRUST_FOLDER}:ro`);
    }
    if (config.mail.mode === 'catcher') {
      joinNetwork(compose, 'snac', 'mail');
    }
  },

  steps: (_config, app): AppStep[] => [
    {
      id: 'snac.account',
      title: `Account ${app.admin}`,
      service: 'snac',
      check: { argv: ['test', '-s', `/data/user/${app.admin}/user.json`] },
      act: { argv: ['snac', 'adduser', '/data', app.admin] },
      capture: { pattern: /password is (\S+)/, secret: PASSWORD },
      hint: 'Look at `docker compose logs snac`.',
    },
    {
      // A run that was killed between the account and the store has lost the password: it gets a new one.
      id: 'snac.password',
      title: `Password of ${app.admin}`,
      service: 'snac',
      act: { argv: ['snac', 'resetpwd', '/data', app.admin] },
      capture: { pattern: /password for user \S+ is (\S+)/, secret: PASSWORD },
      hint: 'Look at `docker compose logs snac`.',
    },
    {
      id: 'snac.chosen',
      title: `Password of ${app.admin}, as chosen`,
      service: 'snac',
      act: (given) => ({ argv: ['set-password', app.admin], stdin: given.reveal() }),
      puts: { answer: 'apps.snac.password', as: PASSWORD },
      hint: 'Look at `docker compose logs snac`.',
    },
    {
      // Without one snac mails no notifications. One that the person set in the web interface stays.
      id: 'snac.email',
      title: 'An address for notifications by mail',
      service: 'snac',
      check: {
        argv: [
          'jq',
          '--exit-status',
          '.email | strings | select(. != "")',
          `/data/user/${app.admin}/user.json`,
        ],
      },
      act: { argv: ['set-email', app.admin, app.email] },
      hint: 'Look at `docker compose logs snac`.',
    },
  ],

  proofs: snacProofs,

  cli: {
    name: 'snac',
    service: 'snac',
    // Every command of snac takes the data directory first; it is always the same here.
    argv: ([command, ...words]) => ['snac', ...(command === undefined ? [] : [command, '/data']), ...words],
  },
};
