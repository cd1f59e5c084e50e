/** A database or Redis that somebody else runs: the rows that ask for it, and its address in parts. */
import { parseChoice, parsePassword } from '../config/parse.ts';
import type { Parsed } from '../config/parse.ts';
import { flagOf, variableOf } from '../config/question.ts';
import type { Answers, Question } from '../config/question.ts';
import { EXIT, Problem } from '../problem.ts';
import { Secret } from '../secrets/secret.ts';

/** A kind of server: its name for people and for keys, and which addresses lead to one. */
export interface ServerKind {
  /** In keys: `apps.ID.KEY` and `apps.ID.KEY-url`. */
  readonly key: string;
  readonly name: string;
  /** Schemes of its addresses, each with its usual port. */
  readonly schemes: Readonly<Record<string, number>>;
  readonly example: string;
  /** What the path has to be: the name of a database, or (Redis) a number that may be left out. */
  readonly path: RegExp;
  /** What there is instead, in a container of its own; the first is the default. Absent: `local`. */
  readonly local?: NonNullable<Question['choices']>;
  /** What may stand after the `?` of an address, and with which values; absent: nothing. */
  readonly options?: (server: Server) => Readonly<Record<string, readonly string[]>>;
}

/** How libpq goes by TLS; only the last two check the certificate. */
export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** The public CAs, in the images of Debian that the apps have. */
export const PUBLIC_CAS = '/etc/ssl/certs/ca-certificates.crt';

export const REDIS: ServerKind = {
  key: 'redis',
  name: 'Redis or Valkey',
  schemes: { redis: 6379, rediss: 6379 },
  example: 'rediss://default:PASSWORD@redis.example.org:6379/0',
  path: /^\d{0,2}$/,
};

/** Which of its numbers an address of Redis names. */
export const numberOf = ({ name }: Partial<Server>): number => Number(name || 0);

/** One number of a Redis elsewhere, for people. */
export const numberAt = ({ host, port }: Server, number: number): string =>
  `number ${number} of the Redis at ${host}:${port}`;

/** The key that holds the seal in a number of a Redis elsewhere. */
export const SEAL_KEY = 'fedi-setup';

/** What to do when one is not reached. */
export const SERVER_HINT =
  'Check address, user and password. Containers reach this host by an address of its own (`ip -4 address`), not by localhost.';

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

/** An address in parts; undefined: it is none of this kind. */
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
  const server = partsOf(kind, text.trim());
  if (server === undefined) return { problem: `Not an address of ${name}. Example: ${example}` };
  if (['localhost', '127.0.0.1', '::1'].includes(server.host))
    return {
      problem: `To a container ${server.host} is the container itself. Give a name or address of this host.`,
    };
  if (!path.test(server.name))
    return { problem: `It lacks what stands behind the host. Example: ${example}` };
  const password = parsePassword(server.password.reveal());
  if ('problem' in password) return { problem: `Its password: ${password.problem} Example: ${example}` };
  const problem = optionProblem(server, kind.options?.(server) ?? {});
  if (problem !== undefined) return { problem };
  return { value: text.trim() };
}

/** An option that nobody reads would be dropped without a word. */
function optionProblem(
  server: Server,
  known: Readonly<Record<string, readonly string[]>>,
): string | undefined {
  const wrong = [...server.options].find(([name, value]) => !known[name]?.includes(value));
  if (wrong === undefined) return undefined;
  const [name = ''] = wrong;
  const [option, words = []] = Object.entries(known)[0] ?? [];
  if (option === undefined) return `Its option ${name} is not known here: nothing can stand after a ?.`;
  return `${name === option ? 'Its' : `Its option ${name} is not known here, and its`} ${option} has to be one of ${words.join(', ')}: after the ? only ${option} can stand.`;
}

/** What a Redis says of itself when it is tried. */
export interface RedisInfo {
  readonly version?: string | undefined;
  /** What it removes when its memory is full, and how much memory that is; absent where it does not say. */
  readonly policy?: string | undefined;
  readonly maxmemory?: string | number | undefined;
}

/** Whether a Redis may remove keys when its memory is full. Without a limit it never is. */
const evicts = ({ policy, maxmemory }: RedisInfo): boolean =>
  policy !== undefined && policy !== 'noeviction' && Number(maxmemory ?? 1) !== 0;

/** What is wrong with a Redis for queues, in a sentence. */
export function redisProblem(info: RedisInfo, oldest: number): string | undefined {
  if (!(Number(info.version?.split('.')[0]) >= oldest))
    return `it is older than ${oldest}.0 (${info.version || 'it does not say'}).`;
  if (evicts(info) && !info.policy?.startsWith('volatile-'))
    return `it removes any key when its memory is full (maxmemory-policy ${info.policy}), and queues with them. Set maxmemory-policy noeviction there.`;
  return undefined;
}

/** Queues have no time to live, so they stay; the rest is worth knowing. */
export const redisNote = (info: RedisInfo): string | undefined =>
  evicts(info) && info.policy?.startsWith('volatile-')
    ? `when its memory is full it removes keys that expire (${info.policy}); noeviction is better`
    : undefined;

const modeKey = (app: string, { key }: ServerKind): string => `apps.${app}.${key}`;

/** The address holds a password, so it is a secret; that there is one is an answer. */
export function serverQuestions(app: string, kind: ServerKind): Question[] {
  const local = kind.local ?? [{ value: 'local', name: 'In a container of its own' }];
  const values = local.map(({ value }) => value);
  return [
    {
      key: modeKey(app, kind),
      topic: 'more',
      message: `${kind.name} for ${app}`,
      help: `Default ${values.map((value) => `\`${value}\``).join(', or ')}: a container of its own. \`external\`: one that you run elsewhere.`,
      choices: [...local, { value: 'external', name: 'One that I run elsewhere' }],
      parse: parseChoice([...values, 'external']),
      initial: () => values[0],
    },
    {
      key: `${modeKey(app, kind)}-url`,
      topic: 'more',
      message: `Address of your ${kind.name}`,
      help: `As a URL with user and password: ${kind.example}. It is tried before anything is written.`,
      parse: (text) => parseServer(kind, text),
      secret: true,
      // What is in the store already need not be given again; serverOf says when there is none.
      optional: true,
      when: (answers) => isExternal(answers, app, kind),
    },
  ];
}

export const isExternal = (answers: Answers, app: string, kind: ServerKind): boolean =>
  answers[modeKey(app, kind)] === 'external';

/** The server of an app in parts; only where it is external. In words when nobody ever gave the address. */
export function serverOf(app: string, kind: ServerKind, secret: (name: string) => Secret): Server {
  const row = serverQuestions(app, kind).at(-1) as Question;
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
  if (server === undefined) throw new Error(`the stored address of ${kind.name} is none`);
  return server;
}
