/**
 * Mastodon on the engine without the wizard: compose/mastodon.yaml unchanged, with the official images if they are
 * loaded, else the stand-ins of test/images/.
 */
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { handshake } from '../../wizard/prove/websocket.ts';
import { isOfficial } from './mastodon-images.ts';
import { docker } from './site.ts';
import { DOMAIN, stackOf } from './stack.ts';
import type { Ended, Stack, Variables } from './stack.ts';

const VERSION = 'v4.6.5';
const OFFICIAL = {
  web: `ghcr.io/mastodon/mastodon:${VERSION}`,
  streaming: `ghcr.io/mastodon/mastodon-streaming:${VERSION}`,
};
const STAND_IN = { web: 'fedi-setup/mastodon:trixie', streaming: 'fedi-setup/mastodon-streaming:trixie' };

/** Mail to this domain is accepted without a look-up. */
export const MAIL_DOMAIN = 'fedi.test';

export interface Inspected {
  readonly User: string;
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly Env: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
}

export interface MastodonStack extends Pick<Stack, 'exec' | 'host' | 'remove'> {
  /** Kind of the images: `official` or `stand-in`. */
  readonly kind: string;
  readonly images: typeof OFFICIAL;
  /** Starts all services and waits until each is healthy. */
  up(): void;
  /** A command in a separate container without network, with the site's environment and these variables. */
  alone(argv: readonly string[], env?: Variables, image?: string): Ended;
  /** The same on the network of the database. */
  beside(argv: readonly string[], env?: Variables): Ended;
  /** Output of a query in the database. */
  sql(query: string): string;
  inspect(image: string): Inspected;
  /** A request to web as the proxy forwards it: our host name, over HTTPS. */
  web(path: string, options?: RequestOptions): Promise<Reply>;
  /** A request to streaming, or an upgrade to a WebSocket there: the status, and the open socket. */
  streaming(path: string): Promise<Reply>;
  socket(
    path: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ status: number; socket?: Duplex; head?: Buffer }>;
  /** Mails in the catcher, newest first. */
  mails(): { To: { Address: string }[]; Subject: string }[];
}

export function mastodonStack(project = 'test-contract-mastodon'): MastodonStack {
  const images = isOfficial ? OFFICIAL : STAND_IN;
  const key = (): string => randomBytes(16).toString('hex');
  const both = {
    DB_HOST: 'mastodon_db',
    DB_PORT: '5432',
    DB_NAME: 'mastodon',
    DB_USER: 'mastodon',
    DB_PASS: 'of-the-database',
    REDIS_HOST: 'mastodon_valkey',
    REDIS_PORT: '6379',
    REDIS_PASSWORD: 'of-valkey',
  };
  const rails: Variables = {
    ...both,
    LOCAL_DOMAIN: DOMAIN,
    SECRET_KEY_BASE: randomBytes(64).toString('hex'),
    ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: key(),
    ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY: key(),
    ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT: key(),
    EMAIL_DOMAIN_ALLOWLIST: MAIL_DOMAIN,
    SMTP_SERVER: 'mail',
    SMTP_PORT: '1025',
    SMTP_AUTH_METHOD: 'none',
    SMTP_ENABLE_STARTTLS: 'never',
    SMTP_FROM_ADDRESS: `notifications@${DOMAIN}`,
  };
  const stack = stackOf(
    'mastodon',
    project,
    {
      mastodon: rails,
      'mastodon-gate': rails,
      'mastodon-streaming': both,
      'mastodon-valkey': { VALKEY_PASSWORD: both.REDIS_PASSWORD },
      'mastodon-db': {
        POSTGRES_USER: both.DB_USER,
        POSTGRES_DB: both.DB_NAME,
        POSTGRES_PASSWORD: both.DB_PASS,
        POSTGRES_HOST_AUTH_METHOD: 'scram-sha-256',
        POSTGRES_INITDB_ARGS: '--data-checksums --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8',
        PGDATA: '/var/lib/postgresql/data/pgdata',
      },
    },
    {
      IMAGE_MASTODON: images.web,
      IMAGE_MASTODON_STREAMING: images.streaming,
      IMAGE_POSTGRES: 'fedi-setup/postgres:trixie',
      IMAGE_VALKEY: 'fedi-setup/valkey:trixie',
      IMAGE_CADDY: 'fedi-setup/caddy:trixie',
      WEB_CONCURRENCY: '1',
    },
    'services: { mail: { image: "fedi-setup/mail:trixie", networks: { mastodon_front: {} } } }\n',
  );
  const { exec } = stack;

  return {
    kind: isOfficial ? 'official' : 'stand-in',
    images,
    up: () => stack.up(),
    exec,
    host: stack.host,
    remove: stack.remove,
    alone: (argv, env = rails, image = images.web) => stack.run(image, argv, env),
    beside: (argv, env = {}) => stack.run(images.web, argv, { ...rails, ...env }, `${project}_mastodon_data`),
    sql: (query) => {
      const { code, stdout, stderr } = exec('mastodon_db', [
        'psql',
        '-h',
        '127.0.0.1',
        '-U',
        both.DB_USER,
        '-d',
        both.DB_NAME,
        '-tAc',
        query,
      ]);
      if (code !== 0) throw new Error(stderr);
      return stdout.trim();
    },
    inspect: (image) =>
      JSON.parse(docker('image', 'inspect', '--format', '{{json .Config}}', image)) as Inspected,
    web: (path, options) => stack.web('mastodon_web', 3000, path, options),
    streaming: (path) => stack.web('mastodon_streaming', 4000, path),
    socket: (path, headers) =>
      new Promise((opened, failed) => {
        const sent = request({
          host: stack.address('mastodon_streaming'),
          port: 4000,
          path,
          headers: { ...handshake().headers, ...headers },
        });
        sent.on('upgrade', (message, socket, head) =>
          opened({ status: message.statusCode ?? 0, socket, head }),
        );
        sent.on('response', (message) => {
          message.resume();
          opened({ status: message.statusCode ?? 0 });
        });
        sent.on('error', failed);
        sent.end();
      }),
    mails: () => {
      const { stdout } = exec('mail', [
        '/usr/bin/python3',
        '-c',
        'import urllib.request as u; print(u.urlopen("http://127.0.0.1:8025/api/v1/messages").read().decode())',
      ]);
      return (JSON.parse(stdout) as { messages: { To: { Address: string }[]; Subject: string }[] }).messages;
    },
  };
}
