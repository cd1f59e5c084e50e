/** HTTPS with our own look-up and trust: the receipt asks the server by its name, wherever that name points today. */
import { lookup as dns } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { messageOf } from '../problem.ts';
import { handshake } from './websocket.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Body as UTF-8. */
  text(): string;
  /** Body as JSON; throws with the first characters of what it was. */
  json<T>(): T;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Client {
  /** One request; redirects are not followed. Rejects when no answer came. */
  (url: string, options?: RequestOptions): Promise<Reply>;
  /** Opens a WebSocket; rejects with the status when the server does not upgrade. */
  socket(url: string, headers: Readonly<Record<string, string>>): Promise<{ socket: Duplex; head: Buffer }>;
}

/** A busy host may need most of it for one page. */
const TIMEOUT_MS = 60_000;

/**
 * @param address where to connect whatever the URL's host is; undefined: by DNS, as everybody does.
 * @param ca PEM of the only root to trust; undefined: the system's.
 * @param names hosts that `address` and `ca` are for; others are found by DNS, at `address` only where the DNS knows none,
 * and public roots count for them too. Absent: all hosts.
 */
export function client(
  address: string | undefined,
  ca: string | undefined,
  names?: readonly string[],
): Client {
  const lookup: LookupFunction | undefined =
    address === undefined
      ? undefined
      : (host, options, done) => {
          const here = (): void =>
            options.all
              ? done(null, [{ address, family: isIP(address) }])
              : done(null, address, isIP(address));
          if (names === undefined || names.includes(host)) here();
          else dns(host, options, (error, ...found) => (error ? here() : done(null, ...found)));
        };
  const trust = (url: string): { lookup?: LookupFunction; ca?: string | string[] } => {
    const own = names === undefined || names.includes(new URL(url).hostname);
    return {
      ...(lookup === undefined ? {} : { lookup }),
      ...(ca === undefined ? {} : { ca: own ? ca : [ca, ...rootCertificates] }),
    };
  };
  const send = (url: string, options: RequestOptions = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const request = url.startsWith('http://') ? plainRequest : tlsRequest;
      const sent = request(
        url,
        {
          method: options.method ?? 'GET',
          headers: {
            'User-Agent': 'fedi-setup',
            ...(options.body === undefined
              ? {}
              : { 'Content-Length': String(Buffer.byteLength(options.body)) }),
            ...options.headers,
          },
          agent: false,
          timeout: TIMEOUT_MS,
          ...trust(url),
        },
        (message) => {
          const chunks: Buffer[] = [];
          message.on('data', (chunk: Buffer) => chunks.push(chunk));
          message.on('error', reject);
          message.on('end', () => {
            const body = Buffer.concat(chunks);
            resolve({
              status: message.statusCode ?? 0,
              headers: message.headers,
              body,
              text: () => body.toString('utf8'),
              json: <T>() => {
                try {
                  return JSON.parse(body.toString('utf8')) as T;
                } catch {
                  throw new Error(`not JSON but "${body.toString('utf8').slice(0, 60)}"`);
                }
              },
            });
          });
        },
      );
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      sent.on('error', (error) =>
        reject(new Error(`${new URL(url).host}: ${messageOf(error)}`, { cause: error })),
      );
      sent.end(options.body);
    });
  const socket: Client['socket'] = (url, headers) =>
    new Promise((resolve, reject) => {
      const { headers: asked, accept } = handshake();
      const sent = tlsRequest(url.replace(/^wss:/, 'https:'), {
        headers: { 'User-Agent': 'fedi-setup', ...asked, ...headers },
        agent: false,
        timeout: TIMEOUT_MS,
        ...trust(url),
      });
      sent.on('upgrade', (message, stream, head) => {
        if (message.headers['sec-websocket-accept'] === accept) resolve({ socket: stream, head });
        else reject(new Error('the upgrade was answered wrongly'));
      });
      sent.on('response', (message) => {
        message.resume();
        reject(new Error(`answered ${message.statusCode ?? 0} instead of opening a WebSocket`));
      });
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      sent.on('error', reject);
      sent.end();
    });
  return Object.assign(send, { socket });
}

/** Throws unless the status is the wanted one. */
export function expectStatus(reply: Reply, status: number, what: string): void {
  if (reply.status !== status) {
    throw new Error(
      `${what} answered ${reply.status} instead of ${status}: ${reply.text().slice(0, 100).replaceAll(/\s+/g, ' ')}`,
    );
  }
}

/** A multipart body with one file. */
export function multipartFile(
  field: string,
  name: string,
  type: string,
  content: Buffer,
): { headers: Record<string, string>; body: Buffer } {
  const boundary = `fedi-setup-${process.pid}-${Date.now()}`;
  return {
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n`,
      ),
      content,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  };
}
