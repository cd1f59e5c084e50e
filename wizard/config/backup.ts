/** Where backups go, how often, and how long they are kept. */
import { normalize } from 'node:path';
import { parseFolder, parseLine, parseOuterHost, parseWhole } from './parse.ts';
import type { Parsed } from './parse.ts';
import type { Answers } from './question.ts';

/** A restic repository. */
export type Repository =
  | { readonly kind: 'local'; readonly text: string; readonly path: string }
  | {
      readonly kind: 'sftp';
      readonly text: string;
      readonly user: string;
      /** IPv6 without brackets. */
      readonly host: string;
      readonly port: number;
      /** Absolute, or relative to the home directory. */
      readonly path: string;
    }
  | {
      readonly kind: 's3';
      readonly text: string;
      readonly url: string;
      /** `host/bucket/path`: how keys name it. */
      readonly name: string;
    };

/** A text for each bucket, by its name; that of the empty name is for all others. */
export type ByBucket = Readonly<Record<string, string>>;

/** How many backups are kept: the last of each of the last days, weeks and months. */
export interface Retention {
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

export interface Backup {
  readonly repositories: readonly Repository[];
  readonly keep: Retention;
  /** Hours from one backup to the next. */
  readonly everyHours: number;
  /** Limit of the upload in KiB/s; absent: none. */
  readonly limitKiB?: number;
  /** Access keys; the secrets are in secrets.json. */
  readonly s3Keys: ByBucket;
  /** Commands of the host, for its shell: before the dumps, and after the last repository. */
  readonly before?: string;
  readonly after?: string;
  /** Directory for plain copies of the database dumps. */
  readonly dumps?: string;
  /** Backups contain a copy of the apps' buckets. */
  readonly copiesBuckets: boolean;
  /** URL that is requested after each complete backup by `maintain`. */
  readonly ping?: string;
}

const EXAMPLES = '/mnt/backup, sftp://user@host/path or s3:https://s3.example.org/bucket';

const no = (problem: string): Parsed<never> => ({ problem });

/** `sftp://user@host:port/path`, and `sftp:user@host:path` as restic writes it. */
function parseSftp(text: string): Parsed<Repository> {
  const [, user, host = '', port, path = ''] =
    /^sftp:\/\/([\w.+-]+)@(\[[\da-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?(\/.*)$/.exec(text) ??
    (/^sftp:([\w.+-]+)@([\w.-]+):(.+)$/.exec(text) ?? []).toSpliced(3, 0, '');
  if (user === undefined)
    return no('Not an SFTP address. Example: sftp://user@host.example.org:22/backups/fedi');
  const parsed = parseOuterHost(host);
  if ('problem' in parsed) return parsed;
  if (!/^[\w./~+-]+$/.test(path))
    return no('The path may contain only letters, digits and the characters . / ~ + - _');
  const relative = path.replace(/^\/?~\//, '');
  const number = Number(port || 22);
  if (number < 1 || number > 65535) return no('Its port must be between 1 and 65535.');
  const place = `${user}@${parsed.value.includes(':') ? `[${parsed.value}]` : parsed.value}${number === 22 ? '' : `:${number}`}`;
  const shown = relative.startsWith('/') ? relative : `/~/${relative}`;
  return {
    value: {
      kind: 'sftp',
      text: `sftp://${place}${shown}`,
      user,
      host: parsed.value,
      port: number,
      path: relative,
    },
  };
}

/** `s3:https://host/bucket/prefix`. Plain HTTP stays possible for a server in a private network. */
function parseS3(text: string): Parsed<Repository> {
  const address = text.replace(/^s3:/, '');
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return no('Not an S3 address. Example: s3:https://s3.example.org/bucket/fedi');
  if (url.username !== '' || url.password !== '')
    return no('The address contains a key. Give it as --backup-s3-key and --backup-s3-secret-file instead.');
  if (url.search !== '' || url.hash !== '')
    return no('The address must end with the bucket or a path in it.');
  const host = parseOuterHost(url.hostname);
  if ('problem' in host) return host;
  const path = url.pathname.replace(/\/+$/, '');
  if (!/^\/[a-z0-9][a-z0-9.-]+(\/[\w.+-]+)*$/.test(path))
    return no('The address must name a bucket after the host.');
  const clean = `${url.protocol}//${url.host}${path}`;
  return { value: { kind: 's3', text: `s3:${clean}`, url: clean, name: `${url.host}${path}` } };
}

/** A directory for backups. */
export function parseBackupFolder(text: string): Parsed<string> {
  const folder = parseFolder(text);
  return 'problem' in folder
    ? no(folder.problem.replace(/^Data cannot/, 'Backups cannot').replace(/: the app’s .*/, '.'))
    : folder;
}

/** One repository. Its `text` is the canonical spelling. */
export function parseRepository(text: string): Parsed<Repository> {
  const line = parseLine(text);
  if ('problem' in line) return line;
  if (line.value.startsWith('sftp:')) return parseSftp(line.value);
  if (line.value.startsWith('s3:')) return parseS3(line.value);
  if (line.value.startsWith('/')) {
    const folder = parseBackupFolder(line.value);
    if ('problem' in folder) return folder;
    return { value: { kind: 'local', text: folder.value, path: normalize(folder.value) } };
  }
  return no(`Not a place for backups. Examples: ${EXAMPLES}`);
}

const wordsOf = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

/** Several, separated by commas or spaces. */
export function parseRepositories(text: string): Parsed<string> {
  const all = wordsOf(text).map(parseRepository);
  if (all.length === 0) return no(`A value is required. Examples: ${EXAMPLES}`);
  const texts: string[] = [];
  for (const one of all) {
    if ('problem' in one) return one;
    if (texts.includes(one.value.text)) return no(`${one.value.text} is there twice.`);
    texts.push(one.value.text);
  }
  return { value: texts.join(',') };
}

/** `7/4/6`: days, weeks, months. */
export function parseRetention(text: string): Parsed<string> {
  const [, daily, weekly, monthly] = /^(\d{1,3})\/(\d{1,3})\/(\d{1,3})$/.exec(text.trim()) ?? [];
  if (daily === undefined) return no('Write three numbers: days/weeks/months, such as 7/4/6.');
  if (Number(daily) < 1) return no('Keep at least one day.');
  return { value: [daily, weekly, monthly].map(Number).join('/') };
}

export const parseHours = parseWhole(1, 168);
export const parseLimit = parseWhole(8, 10_000_000);

/** Whether backups are configured. */
export const hasBackup = (answers: Answers): boolean => answers['backup.to'] !== undefined;

/** Whether backups are configured, and an app has its media in a bucket. */
export const hasMediaBucket = (answers: Answers): boolean =>
  hasBackup(answers) &&
  Object.entries(answers).some(([key, value]) => /^apps\.\w+\.media$/.test(key) && value === 's3');

/** Whether one of the repositories is of a kind. */
export const hasRepository = (answers: Answers, kind: Repository['kind']): boolean =>
  backupOf(answers)?.repositories.some((one) => one.kind === kind) ?? false;

/** The answer `backup.s3-key`, as it was parsed. */
export const keysIn = (text: string): ByBucket =>
  Object.fromEntries(
    text.split(',').map((word) => {
      const [key = '', bucket = ''] = word.split('=').toReversed();
      return [bucket, key];
    }),
  );

/** What is for a bucket: its own, or that of all others. */
export const forBucket = <T>(all: Readonly<Record<string, T>>, bucket: string): T | undefined =>
  all[bucket] ?? all[''];

/** Names of the repositories in buckets. */
export const bucketsIn = (repositories: readonly Repository[]): string[] =>
  repositories.flatMap((one) => (one.kind === 's3' ? one.name : []));

/** @returns undefined: no backups are configured */
export function backupOf(answers: Answers): Backup | undefined {
  if (!hasBackup(answers)) return undefined;
  const [daily = 7, weekly = 4, monthly = 6] = String(answers['backup.keep'] ?? '7/4/6')
    .split('/')
    .map(Number);
  const text = (key: string): string | undefined =>
    answers[key] === undefined ? undefined : String(answers[key]);
  const [limit, keys, ping] = [answers['backup.limit'], text('backup.s3-key'), text('backup.ping')];
  const [before, after, dumps] = [text('backup.before'), text('backup.after'), text('backup.dumps')];
  return {
    repositories: wordsOf(String(answers['backup.to'])).flatMap((word) => {
      const parsed = parseRepository(word);
      return 'problem' in parsed ? [] : [parsed.value];
    }),
    keep: { daily, weekly, monthly },
    everyHours: Number(answers['backup.every'] ?? 24),
    s3Keys: keys === undefined ? {} : keysIn(keys),
    copiesBuckets: answers['backup.buckets'] === 'copy',
    ...(limit === undefined ? {} : { limitKiB: Number(limit) }),
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    ...(dumps === undefined ? {} : { dumps }),
    ...(ping === undefined ? {} : { ping }),
  };
}
