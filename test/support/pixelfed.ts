/**
 * Pixelfed on the engine without the wizard: compose/pixelfed.yaml unchanged, with the official image if it is
 * loaded, else the stand-in of test/images/.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Reply, RequestOptions } from '../../wizard/prove/http.ts';
import { PIXELFED_IMAGE, isOfficial } from './pixelfed-images.ts';
import { docker } from './site.ts';
import { DOMAIN, stackOf } from './stack.ts';
import type { Ended, Stack, Variables } from './stack.ts';

export const RULES = ['Be kind', 'No "$"'];
/** A name with only a private address. */
export const INNER = 'inner.fedi.test';

export interface PixelfedStack extends Pick<Stack, 'up' | 'exec' | 'host' | 'container' | 'remove'> {
  /** Kind of the image: `official` or `stand-in`. */
  readonly kind: string;
  readonly image: string;
  /** A command in a separate container, run by the entry point, without network unless one is named. */
  alone(argv: readonly string[], env?: Variables, network?: string): Ended;
  /** Output of a query in the database, columns separated by tabs. */
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
  /** A request to web as the proxy forwards it: our host name, over HTTPS. */
  web(path: string, options?: RequestOptions): Promise<Reply>;
  /** Network of the database. */
  readonly data: string;
}

export function pixelfedStack(project = 'test-contract-pixelfed'): PixelfedStack {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const oneLine = (pem: string): string => `"${pem.trim().replaceAll('\n', String.raw`\\n`)}"`;
  const app: Variables = {
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
  const stack = stackOf(
    'pixelfed',
    project,
    {
      pixelfed: {
        ...app,
        PASSPORT_PRIVATE_KEY: oneLine(privateKey),
        PASSPORT_PUBLIC_KEY: oneLine(publicKey),
        PF_RULES: `'${JSON.stringify(RULES)}'`,
      },
      'pixelfed-gate': app,
      'pixelfed-valkey': { VALKEY_PASSWORD: 'of-valkey' },
      'pixelfed-db': {
        MARIADB_DATABASE: 'pixelfed',
        MARIADB_USER: 'pixelfed',
        MARIADB_PASSWORD: 'of-the-database',
        MARIADB_ROOT_PASSWORD: 'of-root',
      },
    },
    {
      IMAGE_PIXELFED: PIXELFED_IMAGE,
      IMAGE_MARIADB: 'fedi-setup/mariadb:trixie',
      IMAGE_VALKEY: 'fedi-setup/valkey:trixie',
      IMAGE_CADDY: 'fedi-setup/caddy:trixie',
    },
    // Docker checks these two so rarely that it takes half a minute to notice.
    `services:
  pixelfed_web: { networks: { pixelfed_front: { aliases: [${INNER}] } } }
  pixelfed_horizon: { healthcheck: { interval: 2s } }
  pixelfed_scheduler: { healthcheck: { interval: 2s } }
`,
  );
  const { up, exec, host, container, remove } = stack;

  return {
    kind: isOfficial ? 'official' : 'stand-in',
    image: PIXELFED_IMAGE,
    up,
    exec,
    host,
    container,
    remove,
    alone: (argv, env = app, network = 'none') => stack.run(PIXELFED_IMAGE, argv, env, network),
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
        PixelfedStack['inspect']
      >,
    web: (path, options) => stack.web('pixelfed_web', 8080, path, options),
    data: `${project}_pixelfed_data`,
  };
}
