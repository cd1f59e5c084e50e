/** External databases and Redis servers: their questions, and the parser of their URLs. */
import { isLoopback, oneOf, parseFileName, parsePassword } from '../../config/parse.ts';
import type { Parsed } from '../../config/parse.ts';
import type { AppOptions } from '../../config/config.ts';
import { flagOf, variableOf } from '../../config/question.ts';
import type { Answers, Question } from '../../config/question.ts';
import { EXIT, Problem } from '../../problem.ts';
import { Secret } from '../../secrets/secret.ts';
import type { EnvGroup } from '../../stack/env.ts';
import { OWN_CAS, TRUST_FOLDER } from '../app.ts';
import type { Trial } from '../app.ts';

/** A kind of external server: its names and its URLs. */
export interface ServerKind {
  /** In keys: `apps.ID.KEY` and `apps.ID.KEY-url`. */
  readonly key: string;
  readonly name: string;
  /** URL schemes, each with its default port. */
  readonly schemes: Readonly<Record<string, number>>;
  readonly example: string;
  /** Pattern of the path: the name of a database; for Redis an optional database number. */
  readonly path: RegExp;
  /** Choices that run in a container; the first is the default. Absent: `local`. */
  readonly local?: NonNullable<Question['choices']>;
  /** Its certificate can be verified against a CA of the administrator's. */
  readonly hasCa?: true;
  /** Why the app cannot use this server; a sentence. */
  readonly refuse?: (server: Server) => string | undefined;
  /** Allowed query parameters of the URL and their values; absent: none. */
  readonly options?: (server: Server) => Readonly<Record<string, readonly string[]>>;
}

/** TLS modes of libpq; only the last two verify the certificate. */
export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** The public CAs, in Debian images. */
export const PUBLIC_CAS = '/etc/ssl/certs/ca-certificates.crt';

/** Path in a container of the CA certificates that verify an external database. */
export const databaseRoots = ({ databaseCa, hasOwnCas }: AppOptions): string =>
  databaseCa !== undefined
    ? `${TRUST_FOLDER}/custom/${databaseCa}`
    : hasOwnCas === true
      ? OWN_CAS
      : PUBLIC_CAS;

/** Variables by which OpenSSL verifies an external Redis: a file besides the certificates of the image. */
export const redisRoots = ({ hasOwnCas }: AppOptions): EnvGroup =>
  hasOwnCas === true ? { SSL_CERT_FILE: OWN_CAS } : {};

export const REDIS: ServerKind = {
  key: 'redis',
  name: 'Redis or Valkey',
  schemes: { redis: 6379, rediss: 6379 },
  example: 'rediss://default:PASSWORD@redis.example.org:6379/0',
  path: /^\d{0,2}$/,
};

/** Name of a database. compose.yaml records it (`x-data`), so its text must not change. */
export const databaseAt = ({ host, port, name }: Server): string => `the database ${name} at ${host}:${port}`;

/** Database number in a Redis URL. */
export const numberOf = ({ name }: Partial<Server>): number => Number(name || 0);

/** Name of a Redis database. compose.yaml records it (`x-data`), so its text must not change. */
export const numberAt = ({ host, port }: Server, number: number): string =>
  `number ${number} of the Redis at ${host}:${port}`;

/** The Redis key that holds the ownership marker. */
export const FINGERPRINT_KEY = 'fedi-setup';

/** What to do when the server cannot be reached. */
export const SERVER_HINT =
  'Check address, user and password. Containers reach this host by its IP address (`ip -4 address`), not by localhost.';

export interface Server {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: Secret;
  /** The path without its slash. */
  readonly name: string;
  readonly options: URLSearchParams;
}

/** Parses a URL; undefined: not one of this kind. */
function partsOf({ schemes }: ServerKind, text: string): Server | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url?.protocol.slice(0, -1) ?? '';
  const port = schemes[scheme];
  if (url === undefined || port === undefined || url.hostname === '') return undefined;
  try {
    return {
      scheme,
      host: url.hostname.toLowerCase().replace(/^\[|\]$/g, ''),
      port: Number(url.port || port),
      user: decodeURIComponent(url.username),
      password: new Secret(decodeURIComponent(url.password)),
      name: decodeURIComponent(url.pathname.slice(1)),
      options: url.searchParams,
    };
  } catch {
    return undefined; // a stray % sign
  }
}

function parseServer(kind: ServerKind, text: string): Parsed<string> {
  const { name, path, example } = kind;
  // Before anything is quoted: what follows a raw @ or / would be taken for the host.
  const [, login = ''] = /^[a-z][a-z0-9+.-]*:\/\/(.*)@/is.exec(text.trim()) ?? [];
  if (/[@/?#]/.test(login))
    return {
      problem: 'User name or password contains @, /, ? or #. Write %40, %2F, %3F or %23 instead.',
    };
  if (text.includes('#')) return { problem: 'The URL contains #. In a password, write %23 instead.' };
  const server = partsOf(kind, text.trim());
  if (server === undefined) return { problem: `Not an address of ${name}. Example: ${example}` };
  if (isLoopback(server.host))
    return {
      problem: `In a container ${server.host} is the container itself. Use a name or address of this host.`,
    };
  if (!path.test(server.name))
    return {
      problem: `The URL has no ${kind.key === REDIS.key ? 'valid database number' : 'database name'}. Example: ${example}`,
    };
  const password = parsePassword(server.password.reveal());
  if ('problem' in password) return { problem: `Its password: ${password.problem} Example: ${example}` };
  const problem = optionProblem(server, kind.options?.(server) ?? {}) ?? kind.refuse?.(server);
  if (problem !== undefined) return { problem };
  return { value: text.trim() };
}

/** Rejects options that would be ignored silently. */
function optionProblem(
  server: Server,
  known: Readonly<Record<string, readonly string[]>>,
): string | undefined {
  const wrong = [...server.options].find(([name, value]) => !known[name]?.includes(value));
  if (wrong === undefined) {
    const names = [...server.options.keys()];
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    return twice === undefined ? undefined : `The URL has the option ${twice} twice.`;
  }
  const [name = ''] = wrong;
  const [option, words = []] = Object.entries(known)[0] ?? [];
  if (option === undefined) return `Unknown option ${name}: this URL takes no options after a ?.`;
  return `${name === option ? '' : `Unknown option ${name}. `}The only option is ${option}, one of ${words.join(', ')}.`;
}

/** Why an external database takes no writes; a sentence. */
export function writesProblem(isReplica: boolean, isReadOnly: boolean): string | undefined {
  if (isReplica) return READ_ONLY_REPLICA;
  return isReadOnly ? 'it is read-only (read_only or default_transaction_read_only is on).' : undefined;
}

const READ_ONLY_REPLICA = 'it is a read-only replica. Give the address of the primary server.';

/** A warning about a setting of a database that loses data in a crash. @param setting empty: none */
export const unsafeNote = (setting: string): string | undefined =>
  setting === ''
    ? undefined
    : `its setting ${setting} is unsafe: a crash of that server can lose or damage data`;

/** What a Redis reports in its connection check. */
export interface RedisInfo {
  readonly version?: string | undefined;
  /** Eviction policy and memory limit; absent: not reported. */
  readonly policy?: string | undefined;
  readonly maxmemory?: string | number | undefined;
  /** `master` or `slave`. */
  readonly role?: string | undefined;
  /** Whether it writes its data to disk; true also if unknown. */
  readonly saves?: boolean | undefined;
}

/** Whether a Redis may evict keys. Without a memory limit it never does. */
const evicts = ({ policy, maxmemory }: RedisInfo): boolean =>
  policy !== undefined && policy !== 'noeviction' && Number(maxmemory ?? 1) !== 0;

/** Why a Redis cannot be used for queues; a sentence. */
export function redisProblem(info: RedisInfo, oldest: number): string | undefined {
  if (!(Number(info.version?.split('.')[0]) >= oldest))
    return `it is older than ${oldest}.0 (${info.version || 'unknown version'}).`;
  if (info.role === 'slave') return READ_ONLY_REPLICA;
  if (evicts(info) && !info.policy?.startsWith('volatile-'))
    return `it evicts any key when its memory is full (maxmemory-policy ${info.policy}), including queues. Set maxmemory-policy noeviction there.`;
  return undefined;
}

/** A warning where only keys with an expiry are evicted (queues have none, so they stay), or where nothing is saved. */
export const redisNote = (info: RedisInfo): string | undefined =>
  evicts(info) && info.policy?.startsWith('volatile-')
    ? `when its memory is full it evicts keys that expire (${info.policy}); noeviction is better`
    : info.saves === false
      ? 'it writes nothing to disk: when it restarts, queued jobs and home timelines are lost. Set appendonly yes there'
      : undefined;

/** Connection check of a Redis. @param app name of the app and of its image; `argv` prints a RedisInfo as JSON */
export const redisTrial = (
  app: { readonly id: string; readonly name: string },
  command: Pick<Trial, 'argv' | 'env'>,
  oldest: number,
): Trial => ({
  id: `${app.id}.redis`,
  title: `Your Redis for ${app.name}`,
  image: app.id,
  ...command,
  problem: (stdout) => redisProblem(JSON.parse(stdout) as RedisInfo, oldest),
  note: (stdout) => redisNote(JSON.parse(stdout) as RedisInfo),
  hint: SERVER_HINT,
});

const modeKey = (app: string, { key }: ServerKind): string => `apps.${app}.${key}`;

/** The URL contains a password, so it is a secret; whether a server is external is a normal answer. */
export function serverQuestions(app: string, kind: ServerKind): Question[] {
  const local = kind.local ?? [{ value: 'local', name: 'In a container' }];
  const values = local.map(({ value }) => value);
  return [
    {
      key: modeKey(app, kind),
      topic: 'more',
      message: `${kind.name} for ${app}`,
      help: `Default ${values.map((value) => `\`${value}\``).join(', or ')}: in a container. \`external\`: a server that you run elsewhere.`,
      ...oneOf([...local, { value: 'external', name: 'An external server' }]),
      initial: () => values[0],
    },
    {
      key: `${modeKey(app, kind)}-url`,
      topic: 'more',
      message: `Address of your ${kind.name}`,
      help: `A URL with user and password: ${kind.example}. It is tested before anything is written.`,
      parse: (text) => parseServer(kind, text),
      secret: true,
      // A stored URL need not be given again; serverOf reports a missing one.
      optional: true,
      when: (answers) => isExternal(answers, app, kind),
    },
    ...(kind.hasCa === undefined
      ? []
      : [
          {
            key: `${modeKey(app, kind)}-ca`,
            topic: 'more' as const,
            message: `CA certificate of your ${kind.name}`,
            help: 'Name of a PEM file that you put into trust/custom, for a server whose certificate a private CA issued. Default: the public CAs.',
            parse: parseFileName,
            optional: true as const,
            when: (answers: Answers) => isExternal(answers, app, kind),
          },
        ]),
  ];
}

export const isExternal = (answers: Answers, app: string, kind: ServerKind): boolean =>
  answers[modeKey(app, kind)] === 'external';

/** The external server of an app. Throws a Problem when its URL was never given. */
export function serverOf(app: string, kind: ServerKind, secret: (name: string) => Secret): Server {
  const row = serverQuestions(app, kind).find(({ secret: isSecret }) => isSecret) as Question;
  let address: Secret;
  try {
    address = secret(row.key);
  } catch (error) {
    throw new Problem(EXIT.USAGE, `The address of your ${kind.name} is missing.`, {
      means: 'Nothing was changed.',
      next: `Give --${flagOf(row)} FILE (or -), or ${variableOf(row)}.`,
      cause: error,
    });
  }
  const server = partsOf(kind, address.reveal());
  if (server === undefined) throw new Error(`the stored address of ${kind.name} is invalid`);
  return server;
}
