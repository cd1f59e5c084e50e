/** Servers as their proofs see them, in memory: healthy, with the faults that a test sets. */
import { createHash } from 'node:crypto';
import { Duplex } from 'node:stream';
import { appOf } from '../../wizard/apps/index.ts';
import { configOf } from '../../wizard/answers/config.ts';
import type { Config } from '../../wizard/config/config.ts';
import type { Answers } from '../../wizard/config/question.ts';
import type { Command, Output } from '../../wizard/docker/engine.ts';
import type { Client, Reply, RequestOptions } from '../../wizard/prove/http.ts';
import type { Proof, ProofContext } from '../../wizard/prove/proof.ts';
import { Secret } from '../../wizard/secrets/secret.ts';

export const reply = (status: number, content: unknown = '', headers: Reply['headers'] = {}): Reply => {
  const body = Buffer.isBuffer(content)
    ? content
    : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  const text = (): string => body.toString();
  return { status, headers, body, text, json: () => JSON.parse(text()) as never };
};
export const output = (stdout: string, code = 0, stderr = ''): Output => ({ code, stdout, stderr });

export type Handler = (asked: { url: URL; options: RequestOptions }) => Reply;
/** `METHOD URL`, or `METHOD *END` → answer. */
export type Routes = Readonly<Record<string, Handler>>;
/** Undefined: not handled here. */
export type Inside = (service: string, command: Command) => Output | undefined;

export interface Broken {
  readonly routes?: Routes;
  readonly inside?: Inside;
  readonly answers?: Answers;
  readonly secrets?: Readonly<Record<string, string | undefined>>;
  /** The WebSocket sends another post, then nothing; absent: every post. */
  readonly live?: 'closed';
  readonly first?: boolean;
}

/** A site with all apps and every setting that adds a proof. */
const ANSWERS: Answers = {
  name: 'fedi',
  apps: 'snac,mastodon,pixelfed',
  'tls.mode': 'acme',
  'mail.mode': 'smtp',
  'mail.host': 'mail.x.org',
  'mail.port': 587,
  'mail.security': 'starttls',
  'mail.user': 'anna',
  bind: '192.0.2.7',
  ...Object.fromEntries(
    ['snac', 'mastodon', 'pixelfed'].flatMap((id) => [
      [`apps.${id}.domain`, `${id}.x.org`],
      [`apps.${id}.admin`, 'anna'],
      [`apps.${id}.email`, 'anna@x.org'],
    ]),
  ),
  ...Object.fromEntries(
    ['mastodon', 'pixelfed'].flatMap((id) => [
      [`apps.${id}.media`, 's3'],
      [`apps.${id}.s3.endpoint`, 'https://s3.x.org'],
      [`apps.${id}.s3.region`, 'eu'],
      [`apps.${id}.s3.bucket`, 'media'],
      [`apps.${id}.s3.access-key`, 'AKIA'],
      [`apps.${id}.s3.acl`, 'public-read'],
    ]),
  ),
  'apps.pixelfed.release': 'v0.14.4',
  'apps.pixelfed.title': 'Pix',
  'apps.pixelfed.banner': 'banner.jpg',
  'apps.pixelfed.avatar': 'avatar.jpg',
  'apps.pixelfed.database': 'external',
};
const SECRETS: Readonly<Record<string, string>> = {
  'snac.admin': 'password',
  'mastodon.admin': 'password',
  'pixelfed.admin': 'password',
  'apps.mastodon.s3.secret-key': 'key',
  'apps.pixelfed.s3.secret-key': 'key',
  'apps.pixelfed.database-url': 'mysql://u:p@db.x.org/pixelfed?ssl-mode=REQUIRED',
};

const PICTURE = Buffer.alloc(99, 'x');
const IMAGE = { 'content-type': 'image/png' };
const LOOKED = { addresses: ['192.0.2.7'] };

/** @param app id */
function world(app: string, live: Broken['live']): { routes: Routes; inside: Inside; http: Client } {
  const base = `https://${app}.x.org`;
  const left = { text: '', deleted: false, revoked: false, token: '', uploads: new Map<string, Buffer>() };
  let socket: Duplex | undefined;
  const push = (text: string): void => {
    const payload = Buffer.from(text);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(payload.length);
    socket?.push(Buffer.concat([Buffer.from([0x81, 126]), length, payload]));
  };
  const software = app;
  const actor = `${base}/users/anna`;
  const posted: Handler = ({ options }) => {
    left.text = new URLSearchParams(String(options.body)).get('status') ?? '';
    push(live === undefined ? left.text : 'another post');
    if (live === 'closed') socket?.destroy();
    return reply(200, { id: '5', uri: `${base}/p/5`, url: `${base}/p/5` });
  };
  const gone: Handler = () =>
    reply(left.deleted ? 404 : 200, { content: left.text, attachment: [{ url: 'x' }] });
  const removed: Handler = () => {
    left.deleted = true;
    return reply(200, {});
  };
  const media = { id: '7', url: `https://s3.x.org/media/a.png`, preview_url: 'https://s3.x.org/media/b.png' };
  const routes: Routes = {
    [`GET ${base}/`]: () => reply(200, 'a page'),
    [`GET http://${app}.x.org/`]: () => reply(308, '', { location: `${base}/` }),
    [`GET ${base}/.well-known/webfinger`]: () =>
      reply(200, { links: [{ rel: 'self', type: 'application/activity+json', href: actor }] }),
    [`GET ${base}/.well-known/nodeinfo`]: () => reply(200, { links: [{ href: `${base}/nodeinfo/2.0` }] }),
    [`GET ${base}/nodeinfo/2.0`]: () => reply(200, { software: { name: software, version: '1' } }),
    [`GET ${actor}`]: () =>
      reply(200, { id: actor, inbox: `${actor}/inbox`, publicKey: { publicKeyPem: 'PUBLIC KEY' } }),
    [`GET ${base}/i/actor`]: () =>
      reply(200, { id: `${base}/i/actor`, type: 'Application', publicKey: { publicKeyPem: 'PUBLIC KEY' } }),
    [`POST ${base}/api/v1/apps`]: () => reply(200, { client_id: 'c', client_secret: 's' }),
    [`POST ${base}/oauth/x-snac-login`]: () => reply(200, 'code'),
    [`POST ${base}/oauth/token`]: () => reply(200, { access_token: 'token' }),
    [`POST ${base}/oauth/revoke`]: () => {
      left.revoked = true;
      return reply(200, {});
    },
    [`GET ${base}/api/v1/accounts/verify_credentials`]: () =>
      left.revoked ? reply(401) : reply(200, { acct: 'anna', role: { name: 'Owner' } }),
    [`POST ${base}/api/v1/media`]: ({ options }) => {
      const whole = options.body as Buffer;
      const start = whole.indexOf('\r\n\r\n') + 4;
      left.uploads.set('a.png', whole.subarray(start, whole.lastIndexOf('\r\n--')));
      return reply(200, { id: '7', url: `${base}/anna/s/a.png` });
    },
    [`GET ${base}/anna/s/a.png`]: () => reply(200, left.uploads.get('a.png')),
    [`POST ${base}/api/v2/media`]: () => reply(202, { id: '7' }),
    [`GET ${base}/api/v1/media/7`]: () => reply(200, media),
    'GET https://s3.x.org/media/a.png': () => reply(200, PICTURE, IMAGE),
    'GET https://s3.x.org/media/b.png': () => reply(200, PICTURE, IMAGE),
    [`GET ${base}/about`]: () => reply(200, 'x', { 'content-security-policy': 'img-src https://s3.x.org' }),
    [`POST ${base}/api/v1/statuses`]: posted,
    [`GET ${base}/p/5`]: gone,
    [`GET ${base}/api/v1/statuses/5`]: gone,
    [`DELETE ${base}/api/v1/statuses/5`]: removed,
    [`GET ${base}/api/v2/instance`]: () => reply(200, { domain: `${app}.x.org`, version: '4' }),
    [`GET ${base}/api/v1/instance`]: () =>
      reply(200, { uri: `${app}.x.org`, title: 'Pix', version: '1', thumbnail: `${base}/banner.jpg` }),
    [`GET ${base}/banner.jpg`]: () => reply(200, PICTURE, IMAGE),
    [`GET ${base}/storage/avatars/default.jpg`]: () => reply(200, PICTURE, IMAGE),
    'PUT *.txt': ({ url, options }) => {
      left.uploads.set(url.pathname, Buffer.from(options.body ?? ''));
      return reply(200, '', { etag: '"1"' });
    },
    'HEAD *.txt': ({ url }) =>
      reply(200, '', { 'content-length': String(left.uploads.get(url.pathname)?.length) }),
    'GET *.txt': ({ url }) =>
      reply(200, left.uploads.get(url.pathname), {
        'access-control-allow-origin': '*',
        'content-type': 'text/plain',
      }),
    'DELETE *.txt': () => reply(204),
    'POST *.bin': ({ url }) =>
      reply(200, url.searchParams.has('uploads') ? '<UploadId>7</UploadId>' : '<ETag>"3"</ETag>'),
    'PUT *.bin': ({ url, options }) => {
      const parts = [left.uploads.get(url.pathname) ?? '', options.body ?? ''].map((part) =>
        Buffer.from(part),
      );
      left.uploads.set(url.pathname, Buffer.concat(parts));
      return reply(200, '', { etag: '"2"' });
    },
    'GET *.bin': ({ url }) => reply(200, left.uploads.get(url.pathname)),
    'DELETE *.bin': () => reply(204),
    'GET https://s3.x.org/media/': () => reply(403),
  };
  const token = `h.${Buffer.from('{"jti":"1"}').toString('base64url')}.s`;
  const inside: Inside = (service, { argv, stdin = '' }) => {
    const line = argv.join(' ');
    if (line.startsWith('getent')) return output('192.0.2.7 STREAM x\n');
    if (line.startsWith('curl')) return output('0.1');
    if (line.startsWith('sh -c jq')) return output('', 0, '< 250 2.0.0 queued\n');
    if (line.startsWith('sh -c cat'))
      return output(`${createHash('sha256').update(PICTURE).digest('hex')}  -\n`);
    if (line.startsWith('rm ')) return output('');
    if (line.includes('horizon:status')) return output('Horizon is running.');
    if (service.startsWith('mastodon'))
      return output(
        stdin.includes('AccessToken')
          ? '{"token":"token","client":{"client_id":"c"}}\n'
          : '{"accepted":"250 ok"}\n',
      );
    if (stdin.includes('createToken')) return output(`{"token":"${token}"}`);
    if (stdin.includes('dns_get_record'))
      return output(
        JSON.stringify(
          Object.fromEntries(['snac', 'mastodon', 'pixelfed'].map((id) => [`${id}.x.org`, LOOKED])),
        ),
      );
    if (stdin.includes('Ssl_cipher')) return output('TLS_AES_256_GCM_SHA384');
    if (stdin.includes('last_snapshot_at')) return output(String(Math.floor(Date.now() / 1000) - 60));
    if (stdin.includes("$app['mailer']")) return output('{"accepted":"<id>"}');
    if (stdin.includes('revoked = true')) {
      left.revoked = true;
      return output('1');
    }
    return stdin.includes('selectOne') ? output(left.deleted ? '0' : '1') : undefined;
  };
  const open = (async () => {
    socket = new Duplex({ read: () => undefined, write: (_, __, done) => done() });
    return { socket, head: Buffer.alloc(0) };
  }) as Client['socket'];
  return { routes, inside, http: Object.assign((() => undefined) as unknown as Client, { socket: open }) };
}

export const configWith = (answers: Answers = {}): Config => configOf({ ...ANSWERS, ...answers });

/** The proofs of an app on a site that is healthy except for `broken`. */
export function proofsOf(app: string, broken: Broken = {}): Proof[] {
  const config = configWith(broken.answers);
  const healthy = world(app, broken.live);
  const routes: Routes = { ...healthy.routes, ...broken.routes };
  const http = (async (url: string, options: RequestOptions = {}) => {
    const at = new URL(url);
    const method = options.method ?? 'GET';
    const handler =
      routes[`${method} ${at.origin}${at.pathname}`] ??
      Object.entries(routes).find(
        ([pattern]) =>
          pattern.startsWith(`${method} *`) && at.pathname.endsWith(pattern.slice(method.length + 2)),
      )?.[1];
    return handler === undefined ? reply(404, `${method} ${url}`) : handler({ url: at, options });
  }) as Client;
  const context: ProofContext = {
    config,
    http: Object.assign(http, { socket: healthy.http.socket }),
    secret: (name) => {
      const value = { ...SECRETS, ...broken.secrets }[name];
      return value === undefined ? undefined : new Secret(value);
    },
    first: broken.first ?? false,
    mail: true,
    inside: async (service, command) =>
      broken.inside?.(service, command) ??
      healthy.inside(service, command) ??
      output('', 1, 'nobody answers'),
    recentLogs: async () => '',
  };
  const found = config.apps.find(({ id }) => id === app);
  if (found === undefined) throw new Error(`there is no ${app}`);
  return [...appOf(app).proofs(context, found)];
}

/** Runs them in order, as `prove` does: id → error; successful ones are left out. */
export async function failures(proofs: readonly Proof[]): Promise<Readonly<Record<string, string>>> {
  const failed: Record<string, string> = {};
  for (const proof of proofs) {
    try {
      await proof.run();
    } catch (error) {
      failed[proof.id] = error instanceof Error ? error.message : String(error);
    }
  }
  return failed;
}
