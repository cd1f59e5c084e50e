/**
 * What anyone on the internet can send to Caddy. A real Caddy with the rendered files of all apps, in front of a server that
 * echoes what reached it. Time limits are shortened in the rendered text; certificates are from Caddy's internal CA.
 */
import { execFileSync } from 'node:child_process';
import http2 from 'node:http2';
import https from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { attempt, needImages } from '../support/acme.ts';
import { render } from '../support/render.ts';
import { IMAGES, docker, wipe } from '../support/site.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

needImages('mastodon-streaming');
const NAME = 'test-front';
const ADDRESS = '127.0.0.49';
const SNAC = 'snac.example.org';
const WEB = 'web.example.org';
const HANDLES = 'social.example.org';
const PIX = 'pix.example.org';

/** Server of every app: answers with what it received. `/events` streams, `/slow` sends slowly, an upgrade echoes. */
const ECHO = `
const { createServer } = require('node:http');
const answer = (req, res) => {
  if (req.url.endsWith('/events')) {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    const timer = setInterval(() => res.write('data: x\\n\\n'), 200);
    res.on('close', () => clearInterval(timer));
    return;
  }
  let bytes = 0;
  req.on('data', (chunk) => (bytes += chunk.length));
  req.on('end', () => {
    if (req.url === '/own') res.setHeader('Strict-Transport-Security', 'max-age=63072000; includeSubDomains');
    res.setHeader('X-Powered-By', 'echo');
    res.setHeader('Server', 'echo');
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify({ bytes, headers: req.headers, raw: req.rawHeaders }));
  });
};
for (const port of [3000, 4000, 8001, 8080])
  createServer(answer).on('upgrade', (req, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n');
    socket.pipe(socket);
    socket.on('error', () => {});
  }).listen(port, '0.0.0.0');
`;

const SHORT: readonly [string, string][] = [
  [' 20m\n', ' 3s\n'],
  [' 2m\n', ' 3s\n'],
  [' 1m\n', ' 2s\n'],
  ['lb_try_duration 10s', 'lb_try_duration 500ms'],
];

beforeAll(async () => {
  wipe(NAME);
  const { files } = await render({
    apps: 'snac,mastodon,pixelfed',
    'tls.mode': 'acme',
    'mail.mode': 'none',
    'apps.snac.domain': SNAC,
    'apps.mastodon.domain': HANDLES,
    'apps.mastodon.web-domain': WEB,
    'apps.mastodon.size': '4gb',
    'apps.pixelfed.domain': PIX,
    'apps.pixelfed.size': '4gb',
    ...Object.fromEntries(
      ['snac', 'mastodon', 'pixelfed'].flatMap((app) => [
        [`apps.${app}.admin`, 'anna'],
        [`apps.${app}.email`, 'anna@example.org'],
      ]),
    ),
  });
  const folder = tempFolder();
  writeTree(folder, {
    ...Object.fromEntries(
      files
        .filter(({ path }) => path.startsWith('caddy/'))
        .map(({ path, text }) => [
          path.slice('caddy/'.length),
          SHORT.reduce((shorter, [long, short]) => shorter.replaceAll(long, short), String(text)),
        ]),
    ),
    'tls/global.caddy': 'local_certs\n',
  });
  const label = `--label=com.docker.compose.project=${NAME}`;
  docker('network', 'create', label, NAME);
  const aliases = ['snac', 'mastodon_web', 'mastodon_streaming', 'mastodon_uploads', 'pixelfed_web', 'pixelfed_uploads']; // prettier-ignore
  docker('run', '--detach', '--name', `${NAME}-echo`, label, '--network', NAME, ...aliases.map((alias) => `--network-alias=${alias}`), '--entrypoint', 'node', 'fedi-setup/mastodon-streaming:trixie', '-e', ECHO); // prettier-ignore
  const assets = ['packs/account-DSmD8tE6.js', 'packs/sw.js', 'packs/.vite/manifest.json'];
  writeTree(folder, Object.fromEntries(assets.map((path) => [`assets/${path}`, 'x'])));
  execFileSync('chmod', ['-R', 'a+rX', folder]);
  docker('run', '--detach', '--name', `${NAME}-caddy`, label, '--network', NAME, ...['80', '443', '443/udp'].map((port) => `--publish=${ADDRESS}:${port.split('/')[0]}:${port}`), '--volume', `${folder}:/etc/caddy:ro`, '--volume', `${folder}/assets:/srv/mastodon/assets:ro`, IMAGES.FEDI_IMAGES_CADDY, 'caddy', 'run', '--config', '/etc/caddy/Caddyfile', '--adapter', 'caddyfile'); // prettier-ignore
  // Each name has its own certificate, generated at the start.
  for (const host of [SNAC, WEB, HANDLES, PIX])
    await vi.waitFor(async () => expect((await ask(host, '/')).status).toBeLessThan(400), { timeout: 60_000, interval: 200 }); // prettier-ignore
});
afterAll(() => {
  attempt('rm', '--force', '--volumes', `${NAME}-caddy`, `${NAME}-echo`);
  wipe(NAME);
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** What the app's server received. */
  readonly got: { readonly bytes: number; readonly headers: IncomingHttpHeaders; readonly raw: string[] };
}

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** A body that is sent without its end. */
  readonly open?: Buffer;
  readonly body?: Buffer;
  /** Name in the TLS handshake. */
  readonly sni?: string;
}

const answerOf = (status: number, headers: IncomingHttpHeaders, text: string): Answer => ({
  status,
  headers,
  text,
  get got() {
    return JSON.parse(text) as Answer['got'];
  },
});

/** Uses HTTP/1.1. */
const ask = (
  host: string,
  path: string,
  { method, headers = {}, body, open, sni = host }: Ask = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = https.request(
      { host: ADDRESS, servername: sni, path, method: method ?? (body ?? open ? 'POST' : 'GET'), headers: { Host: host, ...headers }, rejectUnauthorized: false, agent: false, timeout: 15_000 }, // prettier-ignore
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(answerOf(response.statusCode ?? 0, response.headers, text)));
        response.on('error', reject);
        if (open !== undefined) response.on('end', () => request.destroy());
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', reject);
    if (open === undefined) request.end(body);
    else request.write(open);
  });

/** Uses HTTP/2; a body without a length. */
const ask2 = (host: string, path: string, body: Buffer, end = true): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const session = http2.connect(`https://${ADDRESS}`, { servername: host, rejectUnauthorized: false });
    session.on('error', reject);
    const stream = session.request({ ':method': 'POST', ':path': path, ':authority': host });
    let text = '';
    let status = 0;
    let headers: IncomingHttpHeaders = {};
    stream.on('response', (got) => {
      status = Number(got[':status']);
      headers = got as IncomingHttpHeaders;
    });
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    stream.on('end', () => {
      resolve(answerOf(status, headers, text));
      session.destroy();
    });
    stream.on('error', reject);
    if (end) stream.end(body);
    else stream.write(body);
  });

/** Sends this many endless bodies at once in one connection; returns how many are refused. */
async function refused(count: number, headers: http2.OutgoingHttpHeaders): Promise<number> {
  const session = http2.connect(`https://${ADDRESS}`, { servername: SNAC, rejectUnauthorized: false });
  const statuses = Array.from({ length: count }, () => {
    const stream = session.request({ ':method': 'POST', ':path': '/x', ':authority': SNAC, ...headers });
    stream.write('x');
    return new Promise<unknown>((resolve) => {
      stream
        .on('response', (got) => resolve(got[':status']))
        .on('error', resolve)
        .on('close', resolve);
    });
  });
  const settled = await Promise.all(statuses);
  session.destroy();
  return settled.filter((status) => status === 503).length;
}

/** Uses HTTP/3, for which Node has no client: curl in Caddy's container. */
const ask3 = (host: string, path: string, size: number): Answer => {
  const [status, ...text] = docker('exec', `${NAME}-caddy`, 'sh', '-c', `head -c ${size} /dev/zero | curl --silent --insecure --http3-only --request POST --upload-file - --write-out '\\n%{http_code} %{http_version}' --resolve ${host}:443:127.0.0.1 https://${host}${path}`).split('\n').toReversed(); // prettier-ignore
  expect(status).toMatch(/ 3$/);
  return answerOf(Number(status?.split(' ')[0]), {}, text.join('\n'));
};

const MB = 1_000_000;
const CHUNKED = { 'Transfer-Encoding': 'chunked' };
const BEARER = { Authorization: 'Bearer x' };

/** Requests that reach each app's reverse_proxy. */
const WAYS: readonly [string, string, string, Ask?][] = [
  ['snac', SNAC, '/'],
  ['snac, a short body', SNAC, '/inbox', { body: Buffer.from('a') }],
  ['snac, a long body', SNAC, '/inbox', { body: Buffer.alloc(2 * MB), headers: BEARER }],
  ['Mastodon', WEB, '/'],
  ['Mastodon’s streaming', WEB, '/api/v1/streaming/x'],
  ['Mastodon’s uploads', WEB, '/system/x.png'],
  ['Pixelfed', PIX, '/'],
  ['Pixelfed’s uploads', PIX, '/storage/m/x.png'],
];

const SPOOFED = [
  'Forwarded', 'X-Forwarded-Port', 'X-Forwarded-Prefix', 'X-Forwarded-Ssl', 'X-Forwarded-Scheme', 'X-Forwarded-Server',
  'X-Real-IP', 'True-Client-IP', 'Client-IP', 'X-Client-IP', 'X-Cluster-Client-IP', 'Fastly-Client-IP', 'CF-Connecting-IP',
  'Remote-Addr', 'X-Remote-Addr', 'Proxy', 'X-Original-URL', 'X-Rewrite-URL', 'X-Original-Host', 'X-Host', 'Front-End-Https',
  'X-Sendfile-Type', 'X-Accel-Mapping', 'X_Forwarded_For', 'X_Real_IP', 'X.Forwarded.For', 'Client_IP',
]; // prettier-ignore

describe('request headers', () => {
  test.each(WAYS)('%s gets none that only a proxy may set', async (_, host, path, how = {}) => {
    const headers = { ...how.headers, ...Object.fromEntries(SPOOFED.map((name) => [name, '6.6.6.6'])), 'X-Forwarded-For': '6.6.6.6', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'http', 'X-Harmless': 'stays' }; // prettier-ignore
    const { status, got } = await ask(host, path, { ...how, headers });
    expect(status).toBe(200);
    const names = got.raw.filter((_name, i) => i % 2 === 0).map((name) => name.toLowerCase());
    expect(SPOOFED.filter((name) => names.includes(name.toLowerCase()))).toEqual([]);
    expect(got.headers).toMatchObject({ host, 'x-forwarded-host': host, 'x-forwarded-proto': 'https', 'x-harmless': 'stays' }); // prettier-ignore
    expect(got.headers['x-forwarded-for']).toMatch(/^(?!6\.6)[\d.]+$/);
  });
});

describe('response headers', () => {
  test.each<[string, string, string, number]>([
    ...WAYS.map(([name, host, path]): [string, string, string, number] => [name, host, path, 200]),
    ['a redirection', HANDLES, '/x', 302],
    ['an error page', WEB, '/health', 404],
    ['an error page of uploads', PIX, '/storage/m/.x', 404],
    ['a script that Pixelfed does not start', PIX, '/x.php', 404],
    ['a file of Mastodon', WEB, '/packs/account-DSmD8tE6.js', 200],
  ])('%s', async (_, host, path, status) => {
    const answer = await ask(host, path);
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({
      'strict-transport-security': 'max-age=31536000',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
    });
    expect(answer.headers).not.toHaveProperty('server');
    expect(answer.headers).not.toHaveProperty('x-powered-by');
  });

  test('HTTPS headers of the app stay', async () => {
    expect((await ask(WEB, '/own')).headers['strict-transport-security']).toBe(
      'max-age=63072000; includeSubDomains',
    );
  });

  test.each([
    ['account-DSmD8tE6.js', /immutable/],
    ['sw.js', /must-revalidate/],
    ['.vite/manifest.json', /must-revalidate/],
  ])('/packs/%s is cached as long as its name allows', async (name, words) => {
    expect((await ask(WEB, `/packs/${name}`)).headers['cache-control']).toMatch(words);
  });

  test('a file that is missing is 404 and not cached; Rails is asked for source maps only', async () => {
    for (const path of ['/packs/account-XXXXXXXX.js', '/packs/x.js', '/packs/', '/emoji/x.svg']) {
      const { status, headers } = await ask(WEB, path);
      expect([path, status, headers['cache-control']]).toEqual([path, 404, undefined]);
    }
    expect((await ask(WEB, '/packs/account-DSmD8tE6.js.map')).status).toBe(200);
  });
});

test('an unknown host name gets no page of a site and no redirect to HTTPS', async () => {
  expect((await ask('other.example', '/', { sni: SNAC })).status).toBe(421);
  const status = async (host: string): Promise<number> => {
    const code = execFileSync('curl', ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}', '--header', `Host: ${host}`, `http://${ADDRESS}/`], { encoding: 'utf8' }); // prettier-ignore
    return Number(code);
  };
  expect([await status('other.example'), await status(SNAC)]).toEqual([421, 308]);
});

describe('request bodies for snac, which needs a Content-Length', () => {
  test('HTTP/1.1 in chunks, HTTP/2 and HTTP/3 without a length: each arrives with a length', async () => {
    const body = Buffer.alloc(300_000);
    const answers = [
      await ask(SNAC, '/inbox', { body, headers: CHUNKED }),
      await ask2(SNAC, '/inbox', body),
      ask3(SNAC, '/inbox', body.length),
    ];
    for (const { status, got } of answers) {
      expect([status, got.bytes, got.headers['content-length']]).toEqual([200, body.length, '300000']);
      expect(got.headers).not.toHaveProperty('transfer-encoding');
    }
  });

  test('without a length: one megabyte at most', async () => {
    const body = Buffer.alloc(1.5 * MB);
    // The client may still be sending when it is refused.
    expect((await ask2(SNAC, '/inbox', body)).status).toBe(413);
    expect((await ask(SNAC, '/inbox', { open: body, headers: CHUNKED })).status).toBe(413);
  });

  test('longer ones from users only, complete', async () => {
    const body = Buffer.alloc(10 * MB);
    const answer = await ask(SNAC, '/api/v2/media', { body, headers: { ...BEARER, 'Content-Length': `${body.length}` } }); // prettier-ignore
    expect([answer.status, answer.got.bytes, answer.got.headers['content-length']]).toEqual([200, 10 * MB, `${10 * MB}`]); // prettier-ignore
    const anonymous = await ask(SNAC, '/inbox', { open: Buffer.alloc(9), headers: { 'Content-Length': `${2 * MB}` } }); // prettier-ignore
    expect(anonymous.status).toBe(413);
  });

  test('few at a time, so that they exhaust neither memory nor threads', async () => {
    // On a busy host the first bodies may time out before the last requests arrive, which then are accepted.
    await vi.waitFor(
      async () => {
        const long = await refused(5, { authorization: 'Bearer x', 'content-length': 2 * MB });
        expect([long, await refused(40, {})]).toEqual([3, 8]);
      },
      { timeout: 60_000 },
    );
    expect((await ask(SNAC, '/x', { body: Buffer.from('a') })).status).toBe(200);
  });
});

test.each([
  ['snac', SNAC, 50 * MB],
  ['Mastodon', WEB, 100 * MB],
  ['Pixelfed', PIX, 62 * 1024 ** 2],
])('%s: a length above the limit is refused before the body arrives', async (_, host, most) => {
  const answer = await ask(host, '/x', { open: Buffer.alloc(1), headers: { ...BEARER, 'Content-Length': `${most + 1}` } }); // prettier-ignore
  expect(answer.status).toBe(413);
});

/** A connection with HTTP/1.1; resolves with what arrived until it ended. */
const raw = (host: string, head: string, onSocket?: (socket: TLSSocket) => void): Promise<string> =>
  new Promise((resolve) => {
    let text = '';
    const socket = connect({ host: ADDRESS, port: 443, servername: host, rejectUnauthorized: false }, () => {
      socket.write(`${head}\r\nHost: ${host}\r\n\r\n`);
      onSocket?.(socket);
    });
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.setTimeout(15_000, () => socket.destroy());
    socket.on('close', () => resolve(text)).on('error', () => undefined);
  });

describe('time', () => {
  test.concurrent.each([
    ['snac', SNAC, 'POST /x HTTP/1.1\r\nContent-Length: 1000'],
    ['snac, chunked', SNAC, 'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked'],
    ['snac, an upload', SNAC, 'POST /x HTTP/1.1\r\nAuthorization: Bearer x\r\nContent-Length: 2000000'],
    ['Mastodon', WEB, 'POST /x HTTP/1.1\r\nContent-Length: 1000'],
    ['Mastodon, a GET', WEB, 'GET /x HTTP/1.1\r\nContent-Length: 1000'],
    ['Pixelfed, chunked', PIX, 'POST /x HTTP/1.1\r\nTransfer-Encoding: chunked'],
  ])('%s: a slow body does not keep the connection open', async (_, host, head) => {
    const drip = (socket: TLSSocket): void => {
      const timer = setInterval(() => socket.write(head.includes('chunked') ? '1\r\nx\r\n' : 'x'), 200);
      socket.on('close', () => clearInterval(timer));
    };
    const start = Date.now();
    expect(await raw(host, head, drip)).not.toContain('"bytes"');
    expect(Date.now() - start).toBeLessThan(12_000);
  });

  test('the same with HTTP/2', async () => {
    for (const host of [SNAC, WEB]) {
      const ended = await ask2(host, '/x', Buffer.from('x'), false).then(({ status }) => status, () => 'reset'); // prettier-ignore
      expect([502, 504, 'reset']).toContain(ended);
    }
  });

  test('an event stream and a WebSocket are not affected', async () => {
    const events = raw(WEB, 'GET /api/v1/streaming/events HTTP/1.1', (socket) => {
      let count = 0;
      // 200 ms each.
      socket.on(
        'data',
        (chunk: string) => (count += chunk.split('data: x').length - 1) > 25 && socket.destroy(),
      );
    });
    const socket = raw(
      WEB,
      'GET /api/v1/streaming/x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket',
      (one) => {
        const timer = setInterval(() => one.write('.'), 200);
        let dots = 0;
        one.on(
          'data',
          (chunk: string) => (dots += chunk.startsWith('.') ? chunk.length : 0) > 25 && one.destroy(),
        );
        one.on('close', () => clearInterval(timer));
      },
    );
    expect((await events).split('data: x').length).toBeGreaterThan(25);
    expect(await socket).toMatch(/^HTTP\/1\.1 101 [\s\S]*\.{25}/);
  });
});
