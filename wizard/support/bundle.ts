/**
 * The support file: what people who help need to know about a site, as one text. Only what is named here gets into it; secrets,
 * people and addresses are removed from all of it.
 */
import { readFile, readdir, stat } from 'node:fs/promises';
import { freemem, loadavg, release, totalmem, uptime } from 'node:os';
import { join } from 'node:path';
import { ALL_QUESTIONS } from '../answers/questions.ts';
import { parseEnvFile } from '../answers/envfile.ts';
import { readGenerations } from '../apply/generations.ts';
import { readManifest } from '../apply/files.ts';
import { startsOf } from '../apply/prepare.ts';
import { lastReceipt } from '../apply/receipt.ts';
import { readRecord } from '../backup-record.ts';
import { sizeText } from '../checks/check.ts';
import { thisHost } from '../checks/host.ts';
import { servicesOf } from '../checks/site.ts';
import type { Config } from '../config/config.ts';
import type { Container, Engine } from '../docker/engine.ts';
import { OWN } from '../layout.ts';
import { readLock } from '../plan/lock.ts';
import { messageOf } from '../problem.ts';
import { Store } from '../secrets/store.ts';
import { timeText } from '../time.ts';
import { shortLines, visible } from '../visible.ts';
import { hider } from './hide.ts';
import { answersIn, isPlain, knownOf } from './known.ts';

/** The first words of every support file. */
export const FIRST_LINE = 'Support file of fedi-setup';
/** Of each container. */
const LOG_LINES = 100;

/** Variables whose values help and tell nothing about people. */
const PLAIN_VARIABLES = new Set(
  `RAILS_ENV NODE_ENV APP_ENV APP_DEBUG LOG_LEVEL LOG_CHANNEL RAILS_LOG_LEVEL DEFAULT_LOCALE APP_LOCALE DB_PORT DB_POOL
  DB_SSLMODE DB_CHARSET DB_COLLATION DB_CONNECTION REDIS_PORT REDIS_DB REDIS_DATABASE REDIS_CLIENT REDIS_DRIVER REDIS_SCHEME
  CACHE_DRIVER CACHE_STORE QUEUE_DRIVER QUEUE_CONNECTION SESSION_DRIVER SESSION_LIFETIME SESSION_SECURE_COOKIE
  BROADCAST_DRIVER BROADCAST_CONNECTION SMTP_PORT SMTP_AUTH_METHOD SMTP_TLS SMTP_ENABLE_STARTTLS SMTP_OPENSSL_VERIFY_MODE
  SMTP_DELIVERY_METHOD MAIL_PORT MAIL_DRIVER MAIL_MAILER MAIL_ENCRYPTION MAIL_SCHEME MAIL_AUTO_TLS S3_ENABLED S3_PROTOCOL
  S3_PERMISSION S3_OPEN_TIMEOUT S3_READ_TIMEOUT S3_RETRY_LIMIT S3_FORCE_SINGLE_REQUEST AWS_USE_PATH_STYLE_ENDPOINT
  AWS_VISIBILITY FILESYSTEM_DRIVER FILESYSTEM_CLOUD PF_ENABLE_CLOUD SINGLE_USER_MODE MEMORY_LIMIT MAX_PHOTO_SIZE
  MAX_ALBUM_LENGTH PHP_POST_MAX_SIZE PHP_UPLOAD_MAX_FILE_SIZE OPEN_REGISTRATION ENFORCE_EMAIL_VERIFICATION ACTIVITY_PUB
  AP_INBOX AP_OUTBOX AP_REMOTE_FOLLOW AP_SHAREDINBOX NODEINFO WEBFINGER OAUTH_ENABLED STORIES_ENABLED HORIZON_MAX_PROCESSES
  HORIZON_FANOUT_MAX_PROCESSES HORIZON_MEDIA_MAX_PROCESSES HORIZON_BACKGROUND_MAX_PROCESSES HORIZON_BALANCE_STRATEGY
  WEB_CONCURRENCY MAX_THREADS SIDEKIQ_CONCURRENCY`.split(/\s+/),
);
/** Also of those, only numbers and single words. */
const PLAIN_VALUE = /^[\w.-]{0,20}$/;
/** Files of the site that have no secrets, as they were rendered. */
const RENDERED = /^(?:compose\.yaml|caddy\/(?:Caddyfile|(?:access|sites|tls)\/[\w-]+\.caddy))$/;

export interface BundleOptions {
  readonly folder: string;
  readonly config: Config;
  readonly engine: Engine;
  /** Of fedi-setup. */
  readonly version: string;
  readonly now: () => Date;
  /** Runs all checks and returns what `doctor` prints. */
  readonly doctor: () => Promise<readonly string[]>;
}

interface Part {
  readonly title: string;
  readonly lines: (site: BundleOptions) => Promise<readonly string[]>;
}

const PARTS: readonly Part[] = [
  { title: 'Versions', lines: versions },
  { title: 'This host', lines: host },
  { title: 'Answers', lines: answers },
  { title: 'What doctor found', lines: ({ doctor }) => doctor() },
  { title: 'Containers', lines: containers },
  { title: 'Images', lines: images },
  { title: 'Variables of the containers', lines: variables },
  { title: 'Last receipt', lines: receipt },
  { title: 'Times', lines: times },
  { title: 'compose.yaml and Caddy’s configuration', lines: rendered },
  { title: 'Last log lines', lines: logs },
];

/** Titles of its parts, for people. */
export const TITLES: readonly string[] = PARTS.map(({ title }) => title);

/** A part that fails says why, and the others are complete. */
export async function bundleText(options: BundleOptions): Promise<string> {
  const { folder, now } = options;
  const hide = hider(await knownOf(folder, await Store.open(folder)));
  const texts: string[] = [];
  for (const { title, lines } of PARTS) {
    const found = await lines(options).catch((error: unknown) => [`unknown: ${messageOf(error)}`]);
    // First hidden, then shortened: half of a secret is not found.
    const text = hide(found.join('\n'));
    texts.push(`== ${title} ==\n${shortLines(visible(text))}\n`);
  }
  const head = `${FIRST_LINE}, ${timeText(now())}

It is for the people who help you. Read it before you send it. fedi-setup removed what it knows to be secret, and what looks
like a password, a token, a person or a public address. It cannot recognise every form. Words in angle brackets stand for what
was removed: <mail.password> is the password of your mail server. The file has no posts, no accounts and no files of users.
`;
  return [head, ...texts].join('\n');
}

async function versions({ engine, config, version }: BundleOptions): Promise<string[]> {
  const info = await engine.info();
  return [
    `fedi-setup ${version}, Node.js ${process.versions.node}`,
    `Docker ${info.version}, Compose ${info.composeVersion}, ${info.architecture}${info.rootless ? ', rootless' : ''}${info.mapsUsers ? ', userns-remap' : ''}`,
    `${info.system}, kernel ${release()}`,
    `Apps: ${config.apps.map(({ id, size }) => `${id}${size === undefined ? '' : ` (${size})`}`).join(', ')}`,
    `Certificates: ${config.tls.mode}; mail: ${config.mail.mode}; backups: ${config.backup === undefined ? 'none' : config.backup.repositories.map(({ kind }) => kind).join(', ')}`,
  ];
}

async function host({ engine, folder }: BundleOptions): Promise<string[]> {
  const { cpus, memoryMiB, dataRoot } = await engine.info();
  const free = async (what: string, path: string): Promise<string> => {
    const space = await thisHost.space(path);
    return `${what}: ${space === undefined ? 'unknown' : `${sizeText(space.freeBytes)} free, ${space.freeInodes} of ${space.inodes} inodes free`}`;
  };
  const pressure = async (what: string): Promise<string> =>
    (await readFile(`/proc/pressure/${what}`, 'utf8').catch(() => 'unknown')).split('\n')[0] ?? '';
  return [
    `${cpus} cores, load ${loadavg()
      .map((one) => one.toFixed(1))
      .join(' ')}, up for ${Math.round(uptime() / 3600)} hours`,
    `memory ${sizeText(totalmem())} (engine: ${memoryMiB} MB), ${sizeText(freemem())} available, swap ${await thisHost.swapMiB()} MB`,
    await free('disk of the site directory', folder),
    await free('disk of Docker’s data', dataRoot),
    ...(await Promise.all(
      ['cpu', 'memory', 'io'].map(async (one) => `pressure ${one}: ${await pressure(one)}`),
    )),
  ];
}

async function answers({ folder }: BundleOptions): Promise<string[]> {
  const { running, saved } = await answersIn(folder);
  const shown = (values: typeof running): Map<string, string> =>
    new Map(
      ALL_QUESTIONS.flatMap((question) => {
        const value = values[question.key];
        if (value === undefined) return [];
        return [[question.key, isPlain(question, value) ? String(value) : '(set)'] as const];
      }),
    );
  const [now, next] = [shown(running), shown(saved)];
  const changed = [...new Set([...Object.keys(running), ...Object.keys(saved)])].filter(
    (key) => running[key] !== saved[key],
  );
  return [
    ...[...now].map(([key, value]) => `${key}: ${value}`),
    ...changed.map((key) => `changed in fedi.yaml, not applied: ${key}: ${next.get(key) ?? '(removed)'}`),
  ];
}

const limit = ({ rights }: Container): string => (rights.memory > 0 ? ` of ${sizeText(rights.memory)}` : '');

async function containers({ engine, config, folder }: BundleOptions): Promise<string[]> {
  const wanted = (await servicesOf(folder)) ?? new Map<string, boolean>();
  const found = await engine.containers(config.name);
  const lines = await Promise.all(
    found.map(async (one) => {
      if (!wanted.has(one.service)) return `${one.service}: not of fedi-setup; ${one.state}`;
      const memory =
        one.state === 'running' ? await engine.memoryOf(one.id).catch(() => undefined) : undefined;
      const used = memory === undefined ? '' : `, ${sizeText(memory)}${limit(one)}`;
      const end = one.state === 'running' ? '' : `, exit code ${one.exitCode}`;
      const faults = `${one.oomKilled ? ', out of memory' : ''}${one.restarts > 0 ? `, restarted ${one.restarts} times` : ''}`;
      const said = one.health === 'unhealthy' ? `: ${one.healthOutput.trim()}` : '';
      return `${one.service}: ${one.state}${one.health === undefined ? '' : ` (${one.health})`}, since ${one.startedAt.slice(0, 16)}${end}${used}${faults}${said}`;
    }),
  );
  const missing = [...wanted.keys()].filter((name) => !found.some(({ service }) => service === name));
  return [...lines.toSorted(), ...missing.map((name) => `${name}: no container`)];
}

async function images({ folder }: BundleOptions): Promise<string[]> {
  return Object.entries(await readLock(folder)).map(
    ([name, entry]) =>
      `${name}: ${entry.tag} ${'digest' in entry ? entry.digest : `${entry.id} (${entry.source})`}`,
  );
}

async function variables({ folder }: BundleOptions): Promise<string[]> {
  const names = (await readdir(join(folder, 'env'))).filter((name) => name.endsWith('.env')).toSorted();
  return Promise.all(
    names.map(async (file) => {
      const found = parseEnvFile(await readFile(join(folder, 'env', file), 'utf8'));
      const shown = found.map(({ name, value }) =>
        PLAIN_VARIABLES.has(name) && PLAIN_VALUE.test(value) ? `${name}=${value}` : name,
      );
      return `env/${file}: ${shown.join(' ')}`;
    }),
  );
}

async function receipt({ folder }: BundleOptions): Promise<string[]> {
  const last = await lastReceipt(folder);
  if (last === undefined) return ['none'];
  return [
    `${last.at}, generation ${last.generation}: ${last.proven ? 'proven' : 'not proven'}`,
    ...last.proofs.map(
      ({ app, id, ok, skipped, ms, seen }) =>
        `${ok ? '✔' : skipped === true ? '–' : '✖'} ${app} ${id}, ${ms} ms: ${seen}`,
    ),
  ];
}

async function times({ folder }: BundleOptions): Promise<string[]> {
  const { repositories, upgraded = {}, maintained, cleaned, drill } = await readRecord(folder);
  const generations = (await readGenerations(folder)).slice(-10);
  const starts = Object.entries(await startsOf(folder));
  const one = (what: string, at: string | undefined): string => `${what}: ${at ?? 'never'}`;
  return [
    ...generations.map(({ number, at }) => `generation ${number}: ${at.toISOString()}`),
    `seconds until healthy: ${starts.map(([name, seconds]) => `${name} ${seconds}`).join(', ') || 'unknown'}`,
    ...Object.entries(upgraded).map(
      ([app, { at, to, seconds }]) => `upgrade of ${app} to ${to}: ${at}, ${seconds} s in maintenance mode`,
    ),
    ...Object.values(repositories).map(({ last, verified, failed }, i) =>
      [
        `repository ${i + 1}: last backup ${last === undefined ? 'never' : `${last.at}, ${sizeText(last.bytes)}`}`,
        one('verified', verified),
        ...(failed === undefined ? [] : [`failed ${failed.at}`]),
      ].join('; '),
    ),
    one('maintain', maintained),
    one('cleanup', cleaned),
    one('drill', drill?.at),
  ];
}

/** As fedi-setup rendered them: what somebody changed by hand may contain anything, and is only named. */
async function rendered({ folder }: BundleOptions): Promise<string[]> {
  const { generation, files } = await readManifest(folder);
  const from = join(folder, OWN, 'generations', String(generation).padStart(4, '0'));
  const read = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
  const lines: string[] = [];
  for (const path of Object.keys(files).filter((one) => RENDERED.test(one))) {
    const text = await read(join(from, path));
    const isEdited = (await read(join(folder, path))) !== text;
    lines.push(
      `-- ${path}${isEdited ? ' (changed by hand since; this is what fedi-setup wrote)' : ''}`,
      text ?? 'unknown',
    );
  }
  const own = ['compose.override.yaml', ...(await customFiles(folder))];
  const there = await Promise.all(own.map(async (path) => [path, await stat(join(folder, path)).catch(() => undefined)] as const)); // prettier-ignore
  for (const [path, found] of there)
    if (found !== undefined) lines.push(`-- ${path}: ${found.size} bytes, not shown`);
  return lines;
}

const customFiles = async (folder: string): Promise<string[]> =>
  (await readdir(join(folder, 'caddy/custom')).catch(() => [])).map((name) => `caddy/custom/${name}`);

async function logs({ engine, config, folder }: BundleOptions): Promise<string[]> {
  const wanted = (await servicesOf(folder)) ?? new Map<string, boolean>();
  const ours = (await engine.containers(config.name)).filter(({ service }) => wanted.has(service));
  const texts = await Promise.all(
    ours
      .toSorted((a, b) => a.service.localeCompare(b.service))
      .map(async ({ id, service }) => {
        const text = await engine
          .logs(id, LOG_LINES)
          .catch((error: unknown) => `unknown: ${messageOf(error)}`);
        return `-- ${service}\n${text}\n`;
      }),
  );
  return texts;
}
