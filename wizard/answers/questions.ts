/** Every question there is, in the order it is asked. Prompts, flags, variables, fedi.yaml, schema and env.example are made from this table. */
import { domainToUnicode } from 'node:url';
import { APP_IDS, appOf, shareOf } from '../apps/index.ts';
import { folderKey, referenceOf } from '../apps/app.ts';
import type { ImageSpec } from '../apps/app.ts';
import { splitRoot } from '../secrets/openssl.ts';
import * as parse from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import { partsOf } from '../config/suffix.ts';
import { domainForEver } from '../config/later.ts';
import type { Answers, Question } from '../config/question.ts';

/** `snac` or `mastodon,snac` → sorted in our order, each once. */
function parseApps(text: string): Parsed<string> {
  const words = text
    .split(',')
    .map((word) => word.trim().toLowerCase())
    .filter((word) => word !== '');
  if (words.length === 0) return { problem: `Name at least one of ${APP_IDS.join(', ')}.` };
  for (const word of words) {
    const parsed = parse.parseChoice(APP_IDS)(word);
    if ('problem' in parsed) return { problem: `${word}: ${parsed.problem}` };
  }
  return { value: APP_IDS.filter((id) => words.includes(id)).join(',') };
}

const APPS_QUESTION: Question = {
  key: 'apps',
  topic: 'apps',
  message: 'Which server',
  help: `What to set up, one or several of: ${APP_IDS.join(', ')}. Each gets its own domain.`,
  choices: APP_IDS.map((id) => ({ value: id, name: `${appOf(id).name}: ${appOf(id).about}` })),
  other: 'Several of them: names with a comma between',
  parse: parseApps,
  initial: () => APP_IDS[0],
};

/** What a domain means, once it is known. */
function aboutDomain(domain: string): string[] {
  const unicode = domainToUnicode(domain);
  const idn = unicode === domain ? '' : ` Other servers write it ${domain}.`;
  const { suffix, registered } = partsOf(domain);
  const below = registered === domain && suffix !== undefined;
  return [
    `Handles: @you@${unicode}, for ever.${idn}`,
    ...(below
      ? [
          `${unicode} is a whole domain: its front page will be this server’s, and browsers may insist on HTTPS for every name below it (HSTS). For a website of your own there take a name below it here, such as social.${unicode}.`,
        ]
      : []),
  ];
}

function appQuestions(id: string): Question[] {
  const app = appOf(id);
  const key = (name: string): string => `apps.${id}.${name}`;
  return [
    {
      key: key('domain'),
      topic: 'domain',
      message: `Domain of ${app.name}`,
      help: 'Every handle here ends in it: @you@social.example.org. It is for ever: other servers know accounts by it.',
      more: 'Register it first, and lead it here: an A record with this host’s IPv4 address, and an AAAA record if it has IPv6. A name below a domain of yours (social.example.org) leaves the domain itself free for a website. Letters such as ü are fine.',
      parse: parse.parseSiteDomain,
      notes: (answers) => aboutDomain(String(answers[key('domain')])),
      later: domainForEver,
    },
    {
      key: key('admin'),
      topic: 'admin',
      message: `Your user name on ${app.name}`,
      help: 'The first account, which owns the server: the name before the @. Its password is made for you and shown once.',
      more: 'It cannot be renamed later. You log in with it in the browser and in apps; more accounts come afterwards, in the web interface.',
      parse: app.parseAdmin,
      notes: (answers) => app.aboutAdmin?.(String(answers[key('admin')])) ?? [],
    },
    {
      key: key('email'),
      topic: 'admin',
      message: 'Your e-mail address',
      help: 'Where the server reaches its owner; it is shown as the contact.',
      more: 'It can change later. Take one that works without this server.',
      parse: parse.parseEmail,
    },
    ...app.questions.map((question) => {
      const { byHost } = question;
      return byHost === undefined
        ? question
        : { ...question, initial: (answers: Answers) => byHost(shareOf(id, answers)) };
    }),
    ...(app.folders ?? []).map((folder): Question => ({
      key: folderKey(id, folder),
      topic: 'more',
      message: `Directory for ${folder.what} of ${app.name}`,
      help: 'Left out, Docker keeps it. An absolute path, such as a disk of its own; it cannot change later by itself.',
      parse: parse.parseFolder,
      optional: true,
      ...(folder.when ? { when: folder.when } : {}),
    })),
  ];
}

const isMail = (answers: Answers): boolean => answers['mail.mode'] === 'smtp';

const MAIL_QUESTIONS: readonly Question[] = [
  {
    key: 'mail.mode',
    topic: 'mail',
    message: 'Outgoing mail',
    help: 'How notifications leave. `none` is fine to begin with; `catcher` keeps every mail in a container, for trying out.',
    more: 'Without mail nobody can set a new password by themselves, nor confirm an address when they sign up. Most hosts may not deliver to others on port 25, so a provider’s server (SMTP) is what works; it can be set later too, and a mail is sent to prove it.',
    choices: [
      { value: 'none', name: 'No mail yet' },
      { value: 'smtp', name: 'Through a mail provider (SMTP)' },
      { value: 'catcher', name: 'Into a catcher on this host, for trying out' },
    ],
    parse: parse.parseChoice(['none', 'smtp', 'catcher']),
    initial: () => 'none',
  },
  {
    key: 'mail.host',
    topic: 'mail',
    message: 'Mail server',
    help: 'Host name of the provider’s SMTP server.',
    parse: parse.parseOuterHost,
    when: isMail,
  },
  {
    key: 'mail.port',
    topic: 'mail',
    message: 'Port',
    help: 'Default 465, the encrypted one; 587 begins in the clear and switches over (STARTTLS).',
    parse: parse.parsePort,
    initial: () => 465,
    when: isMail,
  },
  {
    key: 'mail.security',
    topic: 'mail',
    message: 'Encryption',
    help: 'Follows from the port: 465 is `tls`, 25 is `none`, all others `starttls`.',
    choices: [
      { value: 'tls', name: 'TLS from the first byte' },
      { value: 'starttls', name: 'STARTTLS, and no mail without it' },
      { value: 'none', name: 'None' },
    ],
    parse: parse.parseChoice(['tls', 'starttls', 'none']),
    follows: 'mail.port',
    initial: (answers) =>
      answers['mail.port'] === 465 ? 'tls' : answers['mail.port'] === 25 ? 'none' : 'starttls',
    when: isMail,
  },
  {
    key: 'mail.user',
    topic: 'mail',
    message: 'User name at the mail server',
    help: 'Left out for a server that takes mail without log-in.',
    parse: parse.parseLine,
    optional: true,
    when: isMail,
  },
  {
    key: 'mail.password',
    topic: 'mail',
    message: 'Password at the mail server',
    help: 'Kept in secrets.json, readable by you only.',
    parse: parse.parsePassword,
    secret: true,
    optional: true,
    when: (answers) => isMail(answers) && answers['mail.user'] !== undefined,
  },
  {
    key: 'mail.from',
    topic: 'mail',
    message: 'Sender of the mails',
    help: 'Default: notifications@ and your domain. Most providers want an address they know.',
    parse: parse.parseEmail,
    initial: (answers) => {
      const domain = answers[`apps.${String(answers['apps']).split(',')[0]}.domain`];
      return domain === undefined ? undefined : `notifications@${String(domain)}`;
    },
    when: isMail,
  },
];

const TLS_QUESTIONS: readonly Question[] = [
  {
    key: 'tls.mode',
    topic: 'tls',
    message: 'Certificates',
    help: 'Default `acme`: Caddy gets real ones from Let’s Encrypt by itself. `internal`: from a root made here, for trying out.',
    more: 'For real ones the domain has to lead to this host, and ports 80 and 443 have to be reachable from outside. With a root made here nobody else can follow you: other servers do not know it.',
    choices: [
      { value: 'acme', name: 'Real ones, from Let’s Encrypt or ZeroSSL, renewed by Caddy' },
      { value: 'internal', name: 'From a root made here: browsers do not know it' },
      { value: 'proxy', name: 'None here: my own proxy in front of this has them' },
      { value: 'directory', name: 'From another ACME directory, of my own CA' },
    ],
    parse: parse.parseChoice(['acme', 'internal', 'proxy', 'directory']),
    initial: () => 'acme',
  },
  {
    key: 'tls.email',
    topic: 'tls',
    message: 'E-mail for certificates',
    help: 'Default: the first admin’s. It is told when a certificate is about to run out.',
    parse: parse.parseEmail,
    initial: (answers) => answers[`apps.${String(answers['apps']).split(',')[0]}.email`],
    when: (answers) => answers['tls.mode'] === 'acme' || answers['tls.mode'] === 'directory',
  },
  {
    key: 'tls.directory',
    topic: 'tls',
    message: 'ACME directory',
    help: 'Address of the directory, such as https://ca.example.org/acme/directory.',
    parse: parse.parseHttps,
    when: (answers) => answers['tls.mode'] === 'directory',
  },
  {
    key: 'tls.directory-root',
    topic: 'tls',
    message: 'Root certificate of that directory',
    help: 'Name of a PEM file that you put into caddy/custom. Left out, the system’s certificates count.',
    parse: parse.parseFileName,
    optional: true,
    when: (answers) => answers['tls.mode'] === 'directory',
  },
  {
    key: 'tls.port',
    topic: 'tls',
    message: 'Port for your proxy',
    help: 'Default 8080: where your proxy passes requests to, in plain HTTP. front/ has a snippet for nginx and Caddy.',
    parse: parse.parsePort,
    initial: () => 8080,
    when: (answers) => answers['tls.mode'] === 'proxy',
  },
  {
    key: 'tls.proxies',
    topic: 'tls',
    message: 'Address of your proxy',
    help: 'Default: any private one. Its word about who the client is counts, so nobody else may reach that port.',
    parse: parse.parseNetwork,
    initial: () => 'private_ranges',
    when: (answers) => answers['tls.mode'] === 'proxy',
  },
  {
    key: 'tls.root',
    topic: 'tls',
    message: 'Your own internal CA',
    help: 'A PEM file with a CA certificate and its key, for hosts that trust one already. Left out, one is made.',
    parse: (text) => {
      const root = splitRoot(text);
      return 'problem' in root ? { problem: root.problem } : { value: `${root.certificate}${root.key}` };
    },
    file: true,
    secret: true,
    optional: true,
    when: (answers) => answers['tls.mode'] === 'internal',
  },
];

/** Images of the site itself; apps bring their own. */
export const SITE_IMAGES = {
  caddy: { reference: 'docker.io/library/caddy:2.11.4' },
  mail: { reference: 'docker.io/axllent/mailpit:v1.30.5' },
} as const;

function imageQuestion(name: string, spec: ImageSpec): Question {
  return {
    key: `images.${name}`,
    topic: 'more',
    message: `Image of ${name}`,
    help: 'Left out, the one this was tested with. For a mirror of your own, or an image that is on the host already.',
    parse: parse.parseImage,
    initial: (answers) => referenceOf(spec, answers),
  };
}

const MORE_QUESTIONS: readonly Question[] = [
  {
    key: 'name',
    topic: 'more',
    message: 'Name of the Compose project',
    help: 'Default: fedi. In front of every volume and container name; it cannot change later.',
    parse: parse.parseName,
    initial: () => 'fedi',
    later: (before, after) => ({
      refused: `This site is named ${String(before)}; the answers now say ${String(after)}. The name is in front of every volume: with another one the data would not be found.`,
    }),
  },
  {
    key: 'bind',
    topic: 'more',
    message: 'Address to listen on',
    help: 'Default 0.0.0.0, every IPv4 address of this host; `::` is every address, IPv6 too; behind a proxy of your own 127.0.0.1. On ports 80 and 443.',
    parse: parse.parseBind,
    initial: (answers) => (answers['tls.mode'] === 'proxy' ? '127.0.0.1' : '0.0.0.0'),
  },
  ...Object.entries(SITE_IMAGES).map(([name, spec]) => imageQuestion(name, spec)),
];

/** All rows that a site with these apps has, in the order they are asked. */
export function questionsFor(apps: readonly string[]): Question[] {
  return [
    APPS_QUESTION,
    ...apps.flatMap(appQuestions),
    ...MAIL_QUESTIONS,
    ...TLS_QUESTIONS,
    ...MORE_QUESTIONS,
    // Apps may run the same image under one name.
    ...Object.entries(
      Object.assign({}, ...apps.map((id) => appOf(id).images)) as Record<string, ImageSpec>,
    ).map(([name, spec]) => imageQuestion(name, spec)),
  ];
}

/** Every row of every app: what flags, variables, schema and env.example are made from. */
export const ALL_QUESTIONS: readonly Question[] = questionsFor(APP_IDS);
