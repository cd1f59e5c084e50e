/** Hostile or broken servers on loopback: each request ends in time, with a message, and reads no more than its limit. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dateAt } from '../../../wizard/prove/date.ts';
import { client } from '../../../wizard/prove/http.ts';
import type { Limits } from '../../../wizard/prove/http.ts';
import { firstMessage } from '../../../wizard/prove/websocket.ts';
import { certificate } from '../../support/certificate.ts';

const LIMITS: Limits = { idleMs: 20_000, wholeMs: 20_000, headerBytes: 8 * 1024, bodyBytes: 64 * 1024 };
/** One limit at a time, so that a busy machine does not change which one applies. */
const DRIPPING: Limits = { ...LIMITS, wholeMs: 500 };
const SILENT: Limits = { ...LIMITS, idleMs: 300 };
const HEAD = 'HTTP/1.1 200 OK\r\n';
const KIB = 'x'.repeat(1024);

/** What a server does with each connection after a request. */
type Behaviour = (socket: Socket) => void;

/** Writes as long as the client reads. */
const endless =
  (start: string | Buffer, piece: string): Behaviour =>
  (socket) => {
    socket.write(start);
    const more = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', more);
    more();
  };

const drip =
  (start: string, piece: string): Behaviour =>
  (socket) => {
    socket.write(start);
    const timer = setInterval(() => socket.write(piece), 20);
    socket.on('close', () => clearInterval(timer));
  };

// prettier-ignore
const HOSTILE: [what: string, behaviour: Behaviour, words: RegExp][] = [
  ['an endless body in chunks', endless(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`, `400\r\n${KIB}\r\n`), /its reply is larger than 65536 bytes/],
  ['an endless body without a length', endless(`${HEAD}\r\n`, KIB), /its reply is larger than 65536 bytes/],
  ['a slow body', drip(`${HEAD}Content-Length: 1000000\r\n\r\n`, 'x'), /no complete answer within 0\.5 s/],
  ['slow headers', drip(HEAD, 'X-A: b\r\n'), /no complete answer within 0\.5 s/],
  ['a header of 5 MB', (socket) => void socket.write(`${HEAD}X-A: ${'x'.repeat(5_000_000)}\r\n\r\n`), /Header overflow/],
  ['endless headers', endless(HEAD, `X-A: ${KIB}\r\n`), /Header overflow/],
  ['silence', () => undefined, /no answer within 0\.3 s/],
  ['silence within the body', (socket) => void socket.write(`${HEAD}Content-Length: 9\r\n\r\nx`), /no answer within 0\.3 s/],
  ['an end within the body', (socket) => socket.end(`${HEAD}Content-Length: 9\r\n\r\nx`), /aborted/],
  ['no HTTP at all', (socket) => void socket.write('220 mail.example.org ESMTP\r\n'), /Parse Error/],
];

const { key, cert } = certificate('localhost');
const open = new Set<Socket>();
const servers: Server[] = [];

async function serve(server: Server): Promise<number> {
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

let behaviour: Behaviour = () => undefined;
const asked: Behaviour = (socket) => {
  socket.on('error', () => undefined);
  socket.once('data', () => behaviour(socket));
};
let plain: number;
let secure: number;
beforeAll(async () => {
  plain = await serve(createServer(asked));
  secure = await serve(createTls({ key, cert }, asked).on('tlsClientError', () => undefined));
});
afterEach(() => {
  for (const socket of open) socket.destroy();
});
afterAll(() => {
  for (const server of servers) server.close();
});

const http = client('127.0.0.1', cert, undefined, LIMITS);

describe.each(['http', 'https'] as const)('by %s', (scheme) => {
  test.each(HOSTILE)('%s', async (what, hostile, words) => {
    behaviour = hostile;
    const url = `${scheme}://localhost:${scheme === 'http' ? plain : secure}/`;
    const limits = what.includes('slow') ? DRIPPING : what.startsWith('silence') ? SILENT : LIMITS;
    const message = await client(
      '127.0.0.1',
      cert,
      undefined,
      limits,
    )(url).catch((error: Error) => error.message);
    expect(message).toMatch(words);
    expect(message).toMatch(/^localhost:\d+: /);
  });
});

test('reads no more than the limit: the rest stays in the pipe', async () => {
  const written = new Promise<number>((resolve) => {
    behaviour = (socket) => {
      socket.on('close', () => resolve(socket.bytesWritten));
      endless(`${HEAD}\r\n`, KIB)(socket);
    };
  });
  await expect(http(`http://localhost:${plain}/`)).rejects.toThrow('larger');
  // The kernel's buffers of two sockets.
  expect(await written).toBeLessThan(16 * 1024 ** 2);
});

test('reads a larger answer if allowed, up to that limit', async () => {
  const size = 100 * 1024;
  behaviour = (socket) => socket.end(`${HEAD}Content-Length: ${size}\r\n\r\n${'x'.repeat(size)}`);
  const url = `http://localhost:${plain}/`;
  expect((await http(url, { most: size })).body.length).toBe(size);
  await expect(http(url, { most: size - 1 })).rejects.toThrow('larger');
});

describe('an untrusted certificate', () => {
  const strict = client('127.0.0.1', undefined, undefined, LIMITS);
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  afterAll(() => {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
  });
  test.each(['0', '1'])('is refused with NODE_TLS_REJECT_UNAUTHORIZED=%s', async (value) => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = value;
    behaviour = (socket) => socket.end(`${HEAD}Content-Length: 2\r\n\r\nok`);
    await expect(strict(`https://localhost:${secure}/`)).rejects.toThrow(/self-signed/);
    await expect(strict.socket(`wss://localhost:${secure}/`, {})).rejects.toThrow(/self-signed/);
    expect((await http(`https://localhost:${secure}/`)).text()).toBe('ok');
    await expect(http(`https://other.example.org:${secure}/`)).rejects.toThrow(/does not match/);
  });
});

describe('a WebSocket', () => {
  const ask = (limits: Limits) =>
    client('127.0.0.1', cert, undefined, limits).socket(`wss://localhost:${secure}/`, {});
  test.each<[string, Behaviour, RegExp]>([
    [
      'an endless page instead',
      endless('HTTP/1.1 404 Not Found\r\n\r\n', KIB),
      /answered 404 instead of opening/,
    ],
    ['slow headers', drip('HTTP/1.1 101 Switching Protocols\r\n', 'X: y\r\n'), /no complete answer/],
    [
      'an upgrade for another request',
      (socket) =>
        void socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
        ),
      /answered the upgrade incorrectly/,
    ],
  ])('%s', async (what, hostile, words) => {
    behaviour = hostile;
    await expect(ask(what.includes('slow') ? DRIPPING : LIMITS)).rejects.toThrow(words);
  });

  test('an endless message', async () => {
    const port = await serve(
      // A text frame of 2^53 bytes.
      createServer(endless(Buffer.from([0x81, 127, 0, 0x20, 0, 0, 0, 0, 0, 0]), KIB)),
    );
    const socket = connect(port, '127.0.0.1');
    await expect(firstMessage(socket, Buffer.alloc(0), () => true, 5000, 64 * 1024)).rejects.toThrow(
      'a message is larger than 65536 bytes',
    );
    expect(socket.bytesRead).toBeLessThan(1024 ** 2);
  });
});

describe('the date of a reply', () => {
  const ask = (wholeMs = 20_000) => dateAt(`https://localhost:${secure}/`, wholeMs);
  test.each<[string, Behaviour]>([
    ['slow headers', drip(HEAD, 'X-A: b\r\n')],
    ['silence', () => undefined],
  ])('%s', async (_, what) => {
    behaviour = what;
    await expect(ask(300)).rejects.toThrow('no answer within 0.3 s');
  });
  test('does not read an endless body', async () => {
    behaviour = endless(`${HEAD}Date: Sat, 01 Jan 2028 00:00:00 GMT\r\n\r\n`, KIB);
    expect((await ask()).getUTCFullYear()).toBe(2028);
  });
  test('a header of 5 MB', async () => {
    behaviour = (socket) => void socket.write(`${HEAD}X-A: ${'x'.repeat(5_000_000)}\r\n\r\n`);
    await expect(ask()).rejects.toThrow(/Header overflow/);
  });
});
