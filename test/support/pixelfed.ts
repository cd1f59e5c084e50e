/**
 * Pixelfed on the engine without the wizard: compose/pixelfed.yaml as it stands, with the official image where it is
 * loaded and the stand-in of test/images/ where not.
 */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { client } from '../../wizard/prove/http.ts';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { PIXELFED_IMAGE, isOfficial } from './pixelfed-images.ts';
import { docker, wipe } from './site.ts';

export const RULES = ['Be kind', 'No "$"'];
export const DOMAIN = 'contract.fedi.test';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Stack {
  /** Which image this is: `official` or `stand-in`. */
  readonly kind: string;
  readonly image: string;
  /** Brings up all services and waits until each is well. */
  up(...services: string[]): void;
  /** A command in the running container of a service. */
  exec(service: string, argv: readonly string[], stdin?: string): Ended;
  /** A command in a container of its own, as the entry point takes it, without network unless it is named. */
  alone(argv: readonly string[], env?: Readonly<Record<string, string>>, network?: string): Ended;
  /** A query in the database; what it prints, columns apart by tabs. */
  sql(query: string): string;
  inspect(): {
    User: string;
    WorkingDir: string;
    Entrypoint: string[];
    Cmd: string[];
    Env: string[];
    ExposedPorts: object;
    Healthcheck?: { Test: string[] };
  };
  /** A request to web as the proxy passes it on: our host name, HTTPS in front. */
  web(path: string, options?: RequestOptions): Promise<Reply>;
  /** `docker` itself. */
  host(argv: readonly string[]): Ended;
  container(service: string): string;
  /** Network of the database. */
  readonly data: string;
  remove(): void;
}

export function pixelfedStack(project = 'test-contract-pixelfed'): Stack {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-contract-'));
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const oneLine = (pem: string): string => `"${pem.trim().replaceAll('\n', String.raw`\\n`)}"`;
  const app: Readonly<Record<string, string>> = {
    APP_NAME: 'Contract',
    APP_ENV: 'production',
    APP_KEY: `base64:${randomBytes(32).toString('base64')}`,
    APP_URL: `https://${DOMAIN}`,
    APP_DOMAIN: DOMAIN,
    ADMIN_DOMAIN: DOMAIN,
    SESSION_DOMAIN: DOMAIN,
    SESSION_DRIVER: 'redis',
    TRUST_PROXIES: '*',
    LOG_CHANNEL: 'stderr',
    ENABLE_CONFIG_CACHE: 'false',
    DB_CONNECTION: 'mysql',
    DB_HOST: 'pixelfed_db',
    DB_PORT: '3306',
    DB_DATABASE: 'pixelfed',
    DB_USERNAME: 'pixelfed',
    DB_PASSWORD: 'of-the-database',
    REDIS_CLIENT: 'phpredis',
    REDIS_HOST: 'pixelfed_valkey',
    REDIS_PASSWORD: 'of-valkey',
    REDIS_PREFIX: 'pixelfed-',
    CACHE_PREFIX: 'pixelfed-cache',
    HORIZON_PREFIX: 'pixelfed-horizon:',
    CACHE_STORE: 'redis',
    CACHE_DRIVER: 'redis',
    QUEUE_CONNECTION: 'redis',
    QUEUE_DRIVER: 'redis',
    ACTIVITY_PUB: 'true',
    OAUTH_ENABLED: 'true',
    OAUTH_PAT_ENABLED: 'true',
    MAIL_MAILER: 'log',
    MAIL_DRIVER: 'log',
    MAX_PHOTO_SIZE: '1024',
    MAX_ALBUM_LENGTH: '2',
    PHP_UPLOAD_MAX_FILE_SIZE: '2M',
    PHP_POST_MAX_SIZE: '3M',
  };
  mkdirSync(join(folder, 'env'));
  const write = (name: string, values: Readonly<Record<string, string>>): void =>
    writeFileSync(
      join(folder, 'env', name),
      Object.entries(values)
        .map(([variable, value]) => `${variable}=${value}\n`)
        .join(''),
    );
  write('pixelfed.env', {
    ...app,
    PASSPORT_PRIVATE_KEY: oneLine(privateKey),
    PASSPORT_PUBLIC_KEY: oneLine(publicKey),
    PF_RULES: `'${JSON.stringify(RULES)}'`,
  });
  write('pixelfed-gate.env', app);
  write('pixelfed-valkey.env', { VALKEY_PASSWORD: 'of-valkey' });
  write('pixelfed-db.env', {
    MARIADB_DATABASE: 'pixelfed',
    MARIADB_USER: 'pixelfed',
    MARIADB_PASSWORD: 'of-the-database',
    MARIADB_ROOT_PASSWORD: 'of-root',
  });

  const host = (argv: readonly string[], input = ''): Ended => {
    const { status, stdout, stderr, error } = spawnSync('docker', argv, {
      encoding: 'utf8',
      input,
      maxBuffer: 64 * 1024 * 1024,
      env: {
        ...process.env,
        PROJECT: project,
        IMAGE_PIXELFED: PIXELFED_IMAGE,
        IMAGE_MARIADB: 'fedi-setup/mariadb:trixie',
        IMAGE_VALKEY: 'fedi-setup/valkey:trixie',
      },
    });
    if (error) throw error;
    return { code: status ?? -1, stdout, stderr };
  };
  const compose = (...argv: string[]): Ended =>
    host(['compose', '--project-directory', folder, '-f', resolve('compose/pixelfed.yaml'), ...argv]);
  const container = (service: string): string => `${project}-${service}-1`;
  const exec = (service: string, argv: readonly string[], stdin?: string): Ended =>
    host(['exec', '--interactive', container(service), ...argv], stdin);
  let address: string | undefined;

  wipe(project);
  return {
    kind: isOfficial ? 'official' : 'stand-in',
    image: PIXELFED_IMAGE,
    up: (...services) => {
      const { code, stderr } = compose('up', '--detach', '--wait', '--pull', 'never', ...services);
      if (code !== 0) throw new Error(`${stderr}\n${compose('logs', '--tail', '20').stdout}`);
    },
    exec,
    alone: (argv, env = app, network = 'none') =>
      host([
        'run',
        '--rm',
        '--network',
        network,
        ...Object.entries(env).flatMap(([variable, value]) => ['--env', `${variable}=${value}`]),
        PIXELFED_IMAGE,
        ...argv,
      ]),
    sql: (query) => {
      const { code, stdout, stderr } = exec(
        'pixelfed_db',
        ['sh', '-c', 'MYSQL_PWD=of-the-database exec mariadb -h 127.0.0.1 -u pixelfed -NB pixelfed'],
        query,
      );
      if (code !== 0) throw new Error(stderr);
      return stdout.trim();
    },
    inspect: () =>
      JSON.parse(docker('image', 'inspect', '--format', '{{json .Config}}', PIXELFED_IMAGE)) as ReturnType<
        Stack['inspect']
      >,
    web: (path, options = {}) => {
      address ??= docker(
        'inspect',
        '--format',
        `{{(index .NetworkSettings.Networks "${project}_pixelfed_front").IPAddress}}`,
        container('pixelfed_web'),
      );
      return client(address, undefined)(`http://${DOMAIN}:8080${path}`, {
        ...options,
        headers: { Host: DOMAIN, 'X-Forwarded-Proto': 'https', ...options.headers },
      });
    },
    host,
    container,
    data: `${project}_pixelfed_data`,
    remove: () => {
      wipe(project);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
