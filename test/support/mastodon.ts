/**
 * Mastodon on the engine without the wizard: compose/mastodon.yaml as it stands, with the official images where they are
 * loaded and the stand-ins of test/images/ where not.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { client } from '../../wizard/prove/http.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { handshake } from '../../wizard/prove/websocket.ts';
import { isOfficial } from './mastodon-images.ts';
import { docker, wipe } from './site.ts';

const VERSION = 'v4.6.5';
const OFFICIAL = {
  web: `ghcr.io/mastodon/mastodon:${VERSION}`,
  streaming: `ghcr.io/mastodon/mastodon-streaming:${VERSION}`,
};
const STAND_IN = { web: 'fedi-setup/mastodon:trixie', streaming: 'fedi-setup/mastodon-streaming:trixie' };

export const DOMAIN = 'contract.fedi.test';
/** Mail to this domain is let through without a look-up. */
export const MAIL_DOMAIN = 'fedi.test';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Inspected {
  readonly User: string;
  readonly WorkingDir: string;
  readonly Entrypoint: readonly string[] | null;
  readonly Cmd: readonly string[] | null;
  readonly Env: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, unknown>>;
}

export interface Stack {
  /** Which images these are: `official` or `stand-in`. */
  readonly kind: string;
  readonly images: typeof OFFICIAL;
  /** Brings up all services and waits until each is well. */
  up(): void;
  /** A command in the running container of a service. */
  exec(service: string, argv: readonly string[], stdin?: string): Ended;
  /** A command in a container of its own without network, with the site's environment and what is added here. */
  alone(argv: readonly string[], env?: Readonly<Record<string, string>>, image?: string): Ended;
  /** The same on the network of the database. */
  beside(argv: readonly string[], env?: Readonly<Record<string, string>>): Ended;
  /** `docker` itself. */
  host(argv: readonly string[]): Ended;
  /** A query in the database; what it prints. */
  sql(query: string): string;
  inspect(image: string): Inspected;
  /** A request to web as the proxy passes it on: our host name, HTTPS in front. */
  web(path: string, options?: RequestOptions): Promise<Reply>;
  /** A request to streaming, or an upgrade to a WebSocket there: the status, and the socket when it was opened. */
  streaming(path: string): Promise<Reply>;
  socket(
    path: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ status: number; socket?: Duplex; head?: Buffer }>;
  /** Mails that the catcher holds, newest first. */
  mails(): { To: { Address: string }[]; Subject: string }[];
  remove(): void;
}

export function mastodonStack(project = 'test-contract-mastodon'): Stack {
  const images = isOfficial ? OFFICIAL : STAND_IN;
  const folder = mkdtempSync(join(tmpdir(), 'fedi-contract-'));
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
  const rails: Readonly<Record<string, string>> = {
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
  mkdirSync(join(folder, 'env'));
  const write = (name: string, values: Readonly<Record<string, string>>): void =>
    writeFileSync(
      join(folder, 'env', name),
      Object.entries(values)
        .map(([variable, value]) => `${variable}=${value}\n`)
        .join(''),
    );
  write('mastodon.env', rails);
  write('mastodon-gate.env', rails);
  write('mastodon-streaming.env', both);
  write('mastodon-valkey.env', { VALKEY_PASSWORD: both.REDIS_PASSWORD });
  write('mastodon-db.env', {
    POSTGRES_USER: both.DB_USER,
    POSTGRES_DB: both.DB_NAME,
    POSTGRES_PASSWORD: both.DB_PASS,
    POSTGRES_HOST_AUTH_METHOD: 'scram-sha-256',
    POSTGRES_INITDB_ARGS: '--data-checksums --locale-provider=builtin --locale=C.UTF-8 --encoding=UTF8',
    PGDATA: '/var/lib/postgresql/data/pgdata',
  });
  const catcher = join(folder, 'mail.yaml');
  writeFileSync(
    catcher,
    'services: { mail: { image: "fedi-setup/mail:trixie", networks: { mastodon_front: {} } } }\n',
  );

  const ended = (argv: readonly string[], input?: string): Ended => {
    const { status, stdout, stderr, error } = spawnSync('docker', argv, {
      encoding: 'utf8',
      input: input ?? '',
      maxBuffer: 64 * 1024 * 1024,
      env: {
        ...process.env,
        PROJECT: project,
        IMAGE_MASTODON: images.web,
        IMAGE_MASTODON_STREAMING: images.streaming,
        IMAGE_POSTGRES: 'fedi-setup/postgres:trixie',
        IMAGE_VALKEY: 'fedi-setup/valkey:trixie',
        WEB_CONCURRENCY: '1',
      },
    });
    if (error) throw error;
    return { code: status ?? -1, stdout, stderr };
  };
  const compose = (...argv: string[]): Ended =>
    ended([
      'compose',
      '--project-directory',
      folder,
      '-f',
      resolve('compose/mastodon.yaml'),
      '-f',
      catcher,
      ...argv,
    ]);
  const flags = (env: Readonly<Record<string, string>>): string[] =>
    Object.entries(env).flatMap(([variable, value]) => ['--env', `${variable}=${value}`]);
  const alone = (
    network: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    image: string,
  ): Ended => ended(['run', '--rm', '--network', network, ...flags(env), image, ...argv]);
  const exec = (service: string, argv: readonly string[], stdin?: string): Ended =>
    ended(['exec', '--interactive', `${project}-${service}-1`, ...argv], stdin);

  const addresses = new Map<string, string>();
  const address = (service: string): string => {
    const known = addresses.get(service);
    if (known !== undefined) return known;
    const found = docker(
      'inspect',
      '--format',
      `{{(index .NetworkSettings.Networks "${project}_mastodon_front").IPAddress}}`,
      `${project}-${service}-1`,
    );
    addresses.set(service, found);
    return found;
  };

  wipe(project);
  return {
    kind: isOfficial ? 'official' : 'stand-in',
    images,
    up: () => {
      const { code, stderr } = compose('up', '--detach', '--wait', '--pull', 'never');
      if (code !== 0) throw new Error(`${stderr}\n${compose('logs', '--tail', '20').stdout}`);
    },
    exec,
    host: (argv) => ended(argv),
    alone: (argv, env = rails, image = images.web) => alone('none', argv, env, image),
    beside: (argv, env = {}) => alone(`${project}_mastodon_data`, argv, { ...rails, ...env }, images.web),
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
    web: (path, options = {}) =>
      client(address('mastodon_web'), undefined)(`http://${DOMAIN}:3000${path}`, {
        ...options,
        headers: { Host: DOMAIN, 'X-Forwarded-Proto': 'https', ...options.headers },
      }),
    streaming: (path) => client(address('mastodon_streaming'), undefined)(`http://${DOMAIN}:4000${path}`),
    socket: (path, headers) =>
      new Promise((opened, failed) => {
        const sent = request({
          host: address('mastodon_streaming'),
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
    remove: () => {
      wipe(project);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
