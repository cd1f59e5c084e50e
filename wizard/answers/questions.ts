/** All questions, in the order they are asked. Prompts, flags, variables, fedi.yaml, its schema and env.example come from this table. */
import { domainToUnicode } from 'node:url';
import { APP_IDS, appOf, appsIn, shareOf } from '../apps/index.ts';
import { folderKey, referenceOf } from '../apps/app.ts';
import type { FixedImage } from '../apps/app.ts';
import { STATUS_PATH } from '../layout.ts';
import { splitRoot } from '../secrets/openssl.ts';
import * as parse from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import { partsOf } from '../config/suffix.ts';
import { PRIVATE_RANGES, TLS_MODES, appliesTls, isBehindProxy } from '../ingress/tls.ts';
import { COMPONENTS } from '../components/index.ts';
import * as backup from '../config/backup.ts';
import {
  ownersIn,
  parseKeys,
  parseKeysOf,
  parseSecrets,
  secretLines,
  secretName,
} from '../config/backup-keys.ts';
import { OWN_CAS_KEY } from '../config/config.ts';
import { MAIL_AUTHS, MAIL_MODES, hasServer, mailIn, providerIn } from '../config/mail.ts';
import { MAIL_PROVIDERS, OTHER_PROVIDER } from '../config/mail-providers.ts';
import { GRAFANA_PORT, MONITORING_MODES, isFullyMonitored, monitoringOf } from '../config/monitoring.ts';
import { immutableDomain } from '../config/on-change.ts';
import type { Answers, Question } from '../config/question.ts';

/** `snac` or `mastodon,snac` → in the order of APP_IDS, without duplicates. */
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
  message: 'Apps to install',
  help: `One or more of: ${APP_IDS.join(', ')}. Each needs its own domain.`,
  choices: APP_IDS.map((id) => ({ value: id, name: `${appOf(id).name}: ${appOf(id).about}` })),
  several: true,
  parse: parseApps,
  initial: () => APP_IDS[0],
};

/** Notes shown after a domain was entered. */
function aboutDomain(domain: string): string[] {
  const unicode = domainToUnicode(domain);
  const idn = unicode === domain ? '' : ` Other servers show it as ${domain}.`;
  const { suffix, registered } = partsOf(domain);
  const below = registered === domain && suffix !== undefined;
  return [
    `Handles: @you@${unicode} (permanent).${idn}`,
    ...(below
      ? [
          `This server will provide the front page of ${unicode}, and browsers may require HTTPS for all its subdomains (HSTS). To keep ${unicode} for a website, use a subdomain here, such as social.${unicode}.`,
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
      help: 'Every handle ends in it: @you@social.example.org. It cannot be changed later: other servers identify accounts by it.',
      more: 'Register it first and point it at this host: an A record with its IPv4 address, and an AAAA record if the site listens on IPv6 too (--bind ::). A subdomain (social.example.org) leaves your domain free for a website. Letters such as ü are allowed.',
      parse: parse.parseSiteDomain,
      notes: (answers) => aboutDomain(String(answers[key('domain')])),
      onChange: immutableDomain,
    },
    {
      key: key('admin'),
      topic: 'admin',
      message: `Your user name on ${app.name}`,
      help: 'The part of your handle before the @. This account owns the server. Its password is generated and shown once.',
      more: 'It cannot be renamed later. You use it to log in, in the browser and in apps. You can add more accounts afterwards.',
      parse: app.parseAdmin,
      notes: (answers) => app.aboutAdmin?.(String(answers[key('admin')])) ?? [],
    },
    {
      key: key('email'),
      topic: 'admin',
      message: 'Your e-mail address',
      help: 'For messages from the server to its owner; shown publicly as the contact.',
      more: 'You can change it later. Use an address that does not depend on this server.',
      parse: parse.parseEmail,
    },
    ...app.questions.map((question) => {
      const { byHost } = question;
      return byHost === undefined
        ? question
        : { ...question, initial: (answers: Answers) => byHost(shareOf(id, appsIn(answers))) };
    }),
    {
      key: key('access-log'),
      topic: 'more',
      message: `Access log of ${app.name}`,
      help: 'Default `off`. `short`: Caddy logs requests to a file, with shortened addresses of visitors. `full`: with whole addresses, which fail2ban and CrowdSec need.',
      more: 'At most 60 MB and 7 days, in the volume caddy_logs. It has no headers and no query strings. docs/guides/access-log.md has filters. Whole addresses are personal data: your privacy policy should name them.',
      ...parse.oneOf([
        { value: 'off', name: 'None' },
        { value: 'short', name: 'With shortened addresses' },
        { value: 'full', name: 'With whole addresses' },
      ]),
      initial: () => 'off',
      onChange: (before, after) =>
        before === undefined || before === 'off' || after === before || after === 'full'
          ? undefined
          : {
              leaves: `What was logged before stays in the volume caddy_logs; \`docker compose exec caddy sh -c 'rm /logs/${id}*'\` removes it.`,
            },
    },
    ...(app.folders ?? []).map((folder): Question => ({
      key: folderKey(id, folder),
      topic: 'more',
      message: `Directory for ${folder.what} of ${app.name}`,
      help: 'An absolute path, for example on a separate disk. Default: a Docker volume. fedi-setup cannot move the data later.',
      parse: parse.parseFolder,
      optional: true,
      ...(folder.when ? { when: (answers: Answers) => folder.when?.(app.options(answers)) ?? true } : {}),
    })),
  ];
}

const MAIL_QUESTIONS: readonly Question[] = [
  {
    key: 'mail.mode',
    topic: 'mail',
    message: 'Outgoing mail',
    help: 'How the server sends e-mail. `none` is fine to start with; `catcher` keeps all mail in a container, for testing.',
    more: 'Without mail, users cannot reset their passwords or confirm their address when they sign up. Most hosting providers block port 25, so use the SMTP server of a mail provider. You can set it later; a test mail proves that it works.',
    ...parse.oneOf(MAIL_MODES.map(({ id, title }) => ({ value: id, name: title }))),
    initial: () => MAIL_MODES[0]?.id,
  },
  {
    key: 'mail.provider',
    topic: 'mail',
    message: 'Mail provider',
    help: 'Sets the defaults of server, port and encryption. Leave it out for a server that is not listed.',
    ...parse.oneOf([
      { value: OTHER_PROVIDER, name: 'Another one, by its SMTP server' },
      ...MAIL_PROVIDERS.map(({ id, name }) => ({ value: id, name })),
    ]),
    optional: true,
    when: hasServer,
    isShown: (answers) => providerIn(answers) !== undefined,
    notes: (answers) => [providerIn(answers)?.hint ?? []].flat(),
  },
  {
    key: 'mail.host',
    topic: 'mail',
    message: 'Mail server',
    help: 'Host name of the provider’s SMTP server. Default: that of `mail.provider`.',
    parse: parse.parseOuterHost,
    derivedFrom: ['mail.provider'],
    initial: (answers) => providerIn(answers)?.host,
    isKnown: (answers) => providerIn(answers)?.hostVaries === undefined && providerIn(answers) !== undefined,
    when: hasServer,
  },
  {
    key: 'mail.port',
    topic: 'mail',
    message: 'Port',
    help: 'Default: that of `mail.provider`, or 465. 465 uses TLS, 587 STARTTLS.',
    parse: parse.parsePort,
    derivedFrom: ['mail.provider'],
    initial: (answers) => providerIn(answers)?.port ?? 465,
    isKnown: (answers) => providerIn(answers) !== undefined,
    when: hasServer,
  },
  {
    key: 'mail.security',
    topic: 'mail',
    message: 'Encryption',
    help: 'The default depends on the port: `tls` for 465, `none` for 25, `starttls` for all others.',
    ...parse.oneOf([
      { value: 'tls', name: 'TLS' },
      { value: 'starttls', name: 'STARTTLS (required)' },
      { value: 'none', name: 'None' },
    ]),
    derivedFrom: ['mail.port', 'mail.provider'],
    initial: (answers) =>
      answers['mail.port'] === 465 ? 'tls' : answers['mail.port'] === 25 ? 'none' : 'starttls',
    isKnown: (answers) => providerIn(answers) !== undefined,
    when: hasServer,
  },
  {
    key: 'mail.user',
    topic: 'mail',
    message: 'User name for the mail server',
    help: 'Leave empty if the server needs no log-in.',
    derivedFrom: ['mail.provider'],
    initial: (answers) => providerIn(answers)?.user,
    isKnown: (answers) => providerIn(answers)?.user !== undefined,
    parse: parse.parseLine,
    optional: true,
    when: hasServer,
  },
  {
    key: 'mail.password',
    topic: 'mail',
    message: 'Password for the mail server',
    help: 'Stored in secrets.json, which only you can read.',
    parse: parse.parsePassword,
    secret: true,
    optional: true,
    when: (answers) => hasServer(answers) && answers['mail.user'] !== undefined,
  },
  {
    key: 'mail.from',
    topic: 'mail',
    message: 'Sender address',
    help: 'Default: notifications@ and your domain. Most providers require an address registered with them.',
    more: 'A display name may come first: My Server <notifications@example.org>. Some apps always use their own sender.',
    parse: parse.parseSender,
    initial: (answers) => {
      const domain = answers[`apps.${String(answers['apps']).split(',')[0]}.domain`];
      return domain === undefined ? undefined : `notifications@${String(domain)}`;
    },
    when: hasServer,
  },
  {
    key: 'mail.auth',
    topic: 'more',
    message: 'Log-in method of the mail server',
    help: 'Default `plain`. `login`: for servers that offer only AUTH LOGIN, such as older Exchange. Apps that negotiate the method ignore this.',
    ...parse.oneOf([
      { value: 'plain', name: 'AUTH PLAIN' },
      { value: 'login', name: 'AUTH LOGIN' },
    ]),
    initial: () => MAIL_AUTHS[0],
    when: (answers) => hasServer(answers) && answers['mail.user'] !== undefined,
  },
];

const { hasBackup, hasRepository } = backup;

/** Names of the buckets for backups. */
const bucketsOf = (answers: Answers): string[] =>
  backup.bucketsIn(backup.backupOf(answers)?.repositories ?? []);

const BACKUP_QUESTIONS: readonly Question[] = [
  {
    key: 'backup.to',
    topic: 'backup',
    message: 'Back up to',
    help: 'A directory (best on another disk), sftp://user@host/path or s3:https://host/bucket; several, separated by commas. Leave empty for no backups.',
    more: 'Backups are encrypted with a password that is generated here. `fedi-setup backup sheet FILE` writes the password to a file, which you need to restore the backups: keep that file on another machine. A backup on the same disk does not survive the disk. One place on this host and one elsewhere is best.',
    parse: backup.parseRepositories,
    optional: true,
  },
  {
    key: 'backup.s3-key',
    topic: 'backup',
    message: 'Access key of the bucket for backups',
    help: 'It may read, write, list and delete in that bucket.',
    more: 'Buckets with different keys: HOST/BUCKET=KEY for each, separated by commas, with the address of the bucket in `backup.to` without s3:https://. One KEY alone is for all others.',
    parse: parseKeys,
    given: (answers) => {
      const buckets = bucketsOf(answers);
      return {
        parse: (text) => parseKeysOf(text, buckets),
        ...(buckets.length < 2
          ? {}
          : {
              help: `It may read, write, list and delete in its bucket. One key for all buckets, or one for each: ${buckets.map((name) => `${name}=KEY`).join(',')}`,
            }),
      };
    },
    when: (answers) => hasRepository(answers, 's3'),
    applies: 'only if `backup.to` has a bucket',
  },
  {
    key: 'backup.s3-secret',
    topic: 'backup',
    message: 'Secret key of the bucket for backups',
    help: 'Stored in secrets.json, which only you can read.',
    more: 'Buckets with their own keys have a line each: HOST/BUCKET=SECRET. A line with a SECRET alone is for all others.',
    parse: parse.parsePassword,
    given: (answers) => {
      const keys = backup.keysIn(String(answers['backup.s3-key'] ?? ''));
      if (ownersIn(keys).length === 0) return {};
      return {
        help: 'Stored in secrets.json, which only you can read. Leave it empty if it is there already.',
        parse: (text) => {
          const parsed = parseSecrets(text, keys);
          return 'problem' in parsed ? parsed : { value: secretLines(parsed.value) };
        },
        parts: Object.keys(keys).map((name) => ({
          message: `Secret key of ${name || 'all other buckets'}`,
          name: secretName(name),
          prefix: name === '' ? '' : `${name}=`,
        })),
      };
    },
    secret: true,
    // A stored one need not be given again; a missing one is reported before anything is written.
    optional: true,
    when: (answers) => hasRepository(answers, 's3'),
    applies: 'only if `backup.to` has a bucket',
  },
  {
    key: 'backup.every',
    topic: 'more',
    message: 'Hours between backups',
    help: 'Default 24. After a loss, what was written since the last backup is gone.',
    parse: backup.parseHours,
    initial: () => 24,
    when: hasBackup,
  },
  {
    key: 'backup.keep',
    topic: 'more',
    message: 'Backups to keep',
    help: 'Days/weeks/months. Default 7/4/6: one of each of the last 7 days, 4 weeks and 6 months that have backups.',
    parse: backup.parseRetention,
    initial: () => '7/4/6',
    when: hasBackup,
  },
  {
    key: 'backup.limit',
    topic: 'more',
    message: 'Upload limit of backups',
    help: 'In KiB per second. Default: none.',
    parse: backup.parseLimit,
    optional: true,
    when: hasBackup,
  },
  {
    key: 'backup.buckets',
    topic: 'more',
    message: 'Media in a bucket',
    help: 'Default `leave`: backups only name the bucket. `copy`: they contain its files. A copy of the bucket then stays on this host, in a Docker volume as large as the bucket.',
    more: 'Only new files are downloaded. `fedi-setup restore --upload-media` uploads the files of a backup to the bucket again.',
    ...parse.oneOf([
      { value: 'leave', name: 'Not in the backups' },
      { value: 'copy', name: 'In the backups' },
    ]),
    initial: () => 'leave',
    when: backup.hasMediaBucket,
    applies: 'only if `backup.to` is set and an app has its media in a bucket',
  },
  {
    key: 'backup.dumps',
    topic: 'more',
    message: 'Directory for plain dumps',
    help: 'Each backup also copies the dumps of the databases there; the last 10 are kept. They are not encrypted. Default: none.',
    more: 'They open without restic: `pg_restore` and `mariadb` read them. Media and secrets are not in them, so they do not replace backups.',
    parse: backup.parseBackupFolder,
    optional: true,
    when: hasBackup,
  },
  {
    key: 'backup.before',
    topic: 'more',
    message: 'Command before a backup',
    help: 'A line for the shell of this host, run in the site directory by the user who makes the backup: a snapshot of a file system, for example. If it fails, no backup is made.',
    parse: parse.parseLine,
    optional: true,
    when: hasBackup,
  },
  {
    key: 'backup.after',
    topic: 'more',
    message: 'Command after a backup',
    help: 'The same, after it. The variable FEDI_BACKUP is `complete` or `failed`. If the command fails, the backup stays, and `backup` exits 1.',
    parse: parse.parseLine,
    optional: true,
    when: hasBackup,
  },
  {
    key: 'backup.ping',
    topic: 'more',
    message: 'URL to request after a backup',
    help: 'An https:// address of a monitoring service that warns you when the requests stop. Requested by `fedi-setup maintain` after a complete backup.',
    parse: parse.parseHttps,
    optional: true,
    when: hasBackup,
  },
];

const UPGRADES_QUESTION: Question = {
  key: 'upgrades',
  topic: 'more',
  message: 'New patch releases, and newer builds of images',
  help: 'Default `notify`: `fedi-setup maintain` mails once about each. `patch`: it installs them, with a backup before and an undo if that fails. `off`: neither.',
  ...parse.oneOf([
    { value: 'notify', name: 'Mail about them' },
    { value: 'patch', name: 'Install them' },
    { value: 'off', name: 'Do not look for them' },
  ]),
  initial: () => 'notify',
};

const CLEANUP_QUESTION: Question = {
  key: 'cleanup.every',
  topic: 'more',
  message: 'Days between clean-ups',
  help: 'How often `fedi-setup maintain` removes old caches and images. Default 7; 0: never.',
  parse: parse.parseWhole(0, 365),
  initial: () => 7,
};

const STATUS_QUESTIONS: readonly Question[] = [
  {
    key: 'status.page',
    topic: 'more',
    message: 'Public status page',
    help: `Default \`off\`. \`on\`: ${STATUS_PATH} on each domain shows everybody whether the apps work and worked in the last 90 days, even while they are down.`,
    more: 'One page for all apps of the site. `fedi-setup maintain install` also starts the check every 5 minutes that keeps it up to date.',
    ...parse.oneOf([
      { value: 'off', name: 'No' },
      { value: 'on', name: 'Yes' },
    ]),
    initial: () => 'off',
  },
  {
    key: 'status.notice',
    topic: 'more',
    message: 'Announcement on the status page',
    help: 'One line, such as the time of planned maintenance. Default: none.',
    more: 'The next check takes it from fedi.yaml: a change needs no `fedi-setup apply`.',
    parse: parse.parseLine,
    optional: true,
    when: (answers) => answers['status.page'] === 'on',
  },
];

const CACHE_QUESTION: Question = {
  key: 'cache',
  topic: 'more',
  message: 'Cache for public pages',
  help: 'Default `on`: requests without a log-in are answered with copies of what an app marks as public. `off`: the app answers every request.',
  more: 'The app decides how long a copy may be shown: seconds for pages, minutes for posts. Responses that depend on a log-in are never kept.',
  ...parse.oneOf([
    { value: 'on', name: 'On' },
    { value: 'off', name: 'Off' },
  ]),
  initial: () => 'on',
  when: (answers) => appsIn(answers).some(({ id }) => appOf(id).nginx !== undefined),
  applies: `only with ${APP_IDS.map(appOf)
    .filter(({ nginx }) => nginx !== undefined)
    .map(({ name }) => name)
    .join(' or ')}`,
};

const MONITORING_QUESTIONS: readonly Question[] = [
  {
    key: 'monitoring.mode',
    topic: 'more',
    message: 'Monitoring',
    help: 'Default `off`. `exporters`: metrics for your own Prometheus; about 100 MB of memory. `full`: Prometheus, alerts by mail and Grafana too; up to 600 MB.',
    more: 'None of it is reachable from outside: Grafana listens on the loopback address of this host, and exporters only on a Docker network. Without it, `fedi-setup status` and the mails of `fedi-setup maintain` still report problems.',
    ...parse.oneOf(MONITORING_MODES),
    initial: () => MONITORING_MODES[0].value,
    notes: (answers) =>
      isFullyMonitored(answers) && mailIn(answers)?.server === undefined
        ? ['There is no outgoing mail, so alerts are shown in Grafana only.']
        : [],
  },
  {
    key: 'monitoring.port',
    topic: 'more',
    message: 'Port of Grafana',
    help: `Default ${GRAFANA_PORT}, on the loopback address of this host. From another computer, open it over SSH.`,
    parse: parse.parsePort,
    initial: () => GRAFANA_PORT,
    when: isFullyMonitored,
  },
];

const TLS_QUESTIONS: readonly Question[] = [
  {
    key: 'tls.mode',
    topic: 'tls',
    message: 'Certificates',
    help: 'Default `acme`: Caddy gets them from Let’s Encrypt. `internal`: a CA on this host issues them, for testing.',
    more: 'Let’s Encrypt needs the domain to point to this host, and ports 80 and 443 to be reachable from outside. Other servers do not trust a CA generated here, so nobody there can follow you.',
    ...parse.oneOf(TLS_MODES.map(({ id, title }) => ({ value: id, name: title }))),
    initial: () => TLS_MODES[0]?.id,
  },
  {
    key: 'tls.email',
    topic: 'tls',
    message: 'E-mail for certificates',
    help: 'Contact address for the certificate authority. Default: the first admin’s.',
    parse: parse.parseEmail,
    initial: (answers) => answers[`apps.${String(answers['apps']).split(',')[0]}.email`],
    when: (answers) => appliesTls('tls.email', answers),
  },
  {
    key: 'tls.directory',
    topic: 'tls',
    message: 'ACME directory',
    help: 'URL of the CA’s directory, such as https://ca.example.org/acme/directory.',
    parse: parse.parseHttps,
    when: (answers) => appliesTls('tls.directory', answers),
  },
  {
    key: 'tls.directory-root',
    topic: 'tls',
    message: 'CA certificate of that directory',
    help: 'Name of a PEM file that you put into caddy/custom. Default: the system’s CA certificates.',
    parse: parse.parseFileName,
    optional: true,
    when: (answers) => appliesTls('tls.directory-root', answers),
  },
  {
    key: 'tls.port',
    topic: 'tls',
    message: 'Port for your proxy',
    help: 'Default 8080. Your proxy sends its requests there, as plain HTTP. front/ has snippets for nginx and Caddy.',
    parse: parse.parsePort,
    initial: () => 8080,
    when: (answers) => appliesTls('tls.port', answers),
  },
  {
    key: 'tls.proxies',
    topic: 'tls',
    message: 'Address of your proxy',
    help: 'Default: any private address. The site trusts the client address it sends, so close that port to everyone else.',
    parse: parse.parseNetwork,
    initial: () => PRIVATE_RANGES,
    when: (answers) => appliesTls('tls.proxies', answers),
  },
  {
    key: 'tls.root',
    topic: 'tls',
    message: 'Your own internal CA',
    help: 'A PEM file with a CA certificate and its key. Default: a new CA is generated.',
    parse: (text) => {
      const root = splitRoot(text);
      return 'problem' in root ? { problem: root.problem } : { value: `${root.certificate}${root.key}` };
    },
    file: true,
    secret: true,
    optional: true,
    when: (answers) => appliesTls('tls.root', answers),
  },
];

/** Images that belong to no app. */
export const SITE_IMAGES: Readonly<Record<string, FixedImage>> & {
  readonly caddy: FixedImage;
  readonly restic: FixedImage;
  readonly rclone: FixedImage;
} = {
  caddy: { reference: 'docker.io/library/caddy:2.11.4' },
  restic: { reference: 'docker.io/restic/restic:0.18.0' },
  rclone: { reference: 'docker.io/rclone/rclone:1.73.2' },
  ...(Object.assign({}, ...COMPONENTS.map(({ images }) => images)) as Record<string, FixedImage>),
};

function imageQuestion(
  name: string,
  reference: (answers: Answers) => string,
  isShown?: (answers: Answers) => boolean,
): Question {
  return {
    key: `images.${name}`,
    topic: 'more',
    message: `Image of ${name}`,
    help: 'Default: the image this was tested with. Set it to use a mirror, or an image that is already on the host.',
    parse: parse.parseImage,
    initial: reference,
    ...(isShown === undefined ? {} : { isShown }),
  };
}

const MORE_QUESTIONS: readonly Question[] = [
  {
    key: 'name',
    topic: 'more',
    message: 'Name of the Compose project',
    help: 'Default: fedi. All volume and container names start with it. It cannot be changed later.',
    parse: parse.parseName,
    initial: () => 'fedi',
    onChange: (before, after) => ({
      refused: `This site is named ${String(before)}; the answers now say ${String(after)}. Volume names start with it, so the data would not be found under another name.`,
    }),
  },
  {
    key: 'bind',
    topic: 'more',
    message: 'Address to listen on',
    help: 'Default 0.0.0.0: all IPv4 addresses of this host; behind your own proxy 127.0.0.1. `::` includes IPv6.',
    parse: parse.parseBind,
    initial: (answers) => (isBehindProxy(answers) ? '127.0.0.1' : '0.0.0.0'),
  },
  {
    key: OWN_CAS_KEY,
    topic: 'more',
    message: 'CA certificates of your own servers',
    help: 'Name of a PEM file that you put into trust/custom. It is trusted besides the public CAs, for mail, databases, Redis, buckets and the ACME directory. Default: none.',
    more: 'For servers whose certificates a private CA issued. One file may have several certificates. The narrower options, for one database or for the ACME directory, count before it.',
    parse: parse.parseFileName,
    optional: true,
  },
  imageQuestion('caddy', () => SITE_IMAGES.caddy.reference),
  imageQuestion('restic', () => SITE_IMAGES.restic.reference, hasBackup),
  imageQuestion(
    'rclone',
    () => SITE_IMAGES.rclone.reference,
    (answers) => answers['backup.buckets'] === 'copy',
  ),
  ...COMPONENTS.flatMap(({ images, isWanted }) =>
    Object.entries(images).map(([name, { reference }]) =>
      imageQuestion(
        name,
        () => reference,
        (answers) => {
          const mail = mailIn(answers);
          return mail !== undefined && isWanted({ mail, monitoring: monitoringOf(answers) });
        },
      ),
    ),
  ),
];

/** The questions for a site with these apps, in the order they are asked. */
export function questionsFor(apps: readonly string[]): Question[] {
  return [
    APPS_QUESTION,
    ...apps.flatMap(appQuestions),
    ...MAIL_QUESTIONS,
    ...BACKUP_QUESTIONS,
    CLEANUP_QUESTION,
    CACHE_QUESTION,
    UPGRADES_QUESTION,
    ...STATUS_QUESTIONS,
    ...MONITORING_QUESTIONS,
    ...TLS_QUESTIONS,
    ...MORE_QUESTIONS,
    ...imageQuestions(apps),
  ];
}

/** Two apps may use the same image; it is asked once, and shown if one of them uses it. */
function imageQuestions(apps: readonly string[]): Question[] {
  const uses = new Map<string, Pick<Question, 'initial' | 'isShown'>[]>();
  for (const { images, options } of apps.map(appOf))
    for (const [name, spec] of Object.entries(images))
      uses.set(name, [
        ...(uses.get(name) ?? []),
        {
          initial: (answers) => referenceOf(spec, options(answers)),
          isShown: (answers) => spec.when?.(options(answers)) ?? true,
        },
      ]);
  return [...uses].map(([name, all]) =>
    imageQuestion(
      name,
      (answers) => String(all.at(-1)?.initial?.(answers)),
      (answers) => all.some(({ isShown }) => isShown?.(answers) === true),
    ),
  );
}

/** All questions of all apps: the source of flags, variables, schema and env.example. */
export const ALL_QUESTIONS: readonly Question[] = questionsFor(APP_IDS);

/** The question of an app by the last part of its key. */
export function appQuestion(app: string, name: string): Question {
  const found = ALL_QUESTIONS.find(({ key }) => key === `apps.${app}.${name}`);
  if (found === undefined) throw new Error(`${app} has no question ${name}`);
  return found;
}
