/** HTTPS client with its own name resolution and CA certificates: the receipt uses the site's names, whatever DNS says. */
import { lookup as dns } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { request as plainRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { rootCertificates } from 'node:tls';
import { codeOf, messageOf } from '../problem.ts';
import { clockHint, isAboutTime } from './date.ts';
import { handshake } from './websocket.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  /** Body as UTF-8. */
  text(): string;
  /** Body as JSON; otherwise throws an error that quotes the first characters. */
  json<T>(): T;
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Maximum body size of the reply in bytes; absent: {@link LIMITS}. */
  readonly most?: number;
}

export interface Client {
  /** One request; does not follow redirects. Rejects when there is no reply. */
  (url: string, options?: RequestOptions): Promise<Reply>;
  /** Opens a WebSocket; rejects with the status when the server does not upgrade. */
  socket(url: string, headers: Readonly<Record<string, string>>): Promise<{ socket: Duplex; head: Buffer }>;
}

/** Limits of time and memory for a reply. */
export interface Limits {
  /** Longest pause between two bytes. */
  readonly idleMs: number;
  /** From the DNS look-up to the last byte. */
  readonly wholeMs: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
}

const MIB = 1024 ** 2;
export const LIMITS: Limits = {
  idleMs: 20_000,
  wholeMs: 60_000,
  headerBytes: 64 * 1024,
  bodyBytes: 4 * MIB,
};

/** `most` for pictures that are read back. */
export const PICTURE_BYTES = 64 * MIB;

const inMiB = (bytes: number): string => (bytes < MIB ? `${bytes} bytes` : `${Math.floor(bytes / MIB)} MiB`);

/**
 * @param address to connect to, whatever the URL's host is; undefined: DNS
 * @param ca PEM of the only trusted CA certificate; undefined: the system's
 * @param names hosts that `address` and `ca` apply to; absent: all. Other hosts are resolved by DNS, with `address` as
 * the fallback, and public CAs are trusted for them too
 * @param limits of each reply
 * @param headers of each request to one of `names`
 * @param also PEM of CA certificates that are trusted for other hosts, besides the public ones
 */
export function client(
  address: string | undefined,
  ca: string | undefined,
  names?: readonly string[],
  limits: Limits = LIMITS,
  headers: Readonly<Record<string, string>> = {},
  also?: string,
): Client {
  const isOwn = (url: string): boolean => names === undefined || names.includes(new URL(url).hostname);
  const always = (url: string): Record<string, string> => ({
    'User-Agent': 'fedi-setup',
    ...(isOwn(url) ? headers : {}),
  });
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
  const secure = (
    url: string,
  ): { lookup?: LookupFunction; ca?: string | string[]; rejectUnauthorized: true } => {
    const added = [ca ?? [], also ?? []].flat();
    const roots = isOwn(url) ? ca : added.length === 0 ? undefined : [...added, ...rootCertificates];
    return {
      // Set explicitly, since NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
      rejectUnauthorized: true,
      ...(lookup === undefined ? {} : { lookup }),
      ...(roots === undefined ? {} : { ca: roots }),
    };
  };
  /** Options of every request; no agent, so that no proxy from the environment is used. */
  const common = (url: string) => ({
    agent: false as const,
    timeout: limits.idleMs,
    maxHeaderSize: limits.headerBytes,
    ...secure(url),
  });
  const send = (url: string, options: RequestOptions = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const most = options.most ?? limits.bodyBytes;
      const request = url.startsWith('http://') ? plainRequest : tlsRequest;
      const sent = request(
        url,
        {
          method: options.method ?? 'GET',
          headers: {
            ...always(url),
            ...(options.body === undefined
              ? {}
              : { 'Content-Length': String(Buffer.byteLength(options.body)) }),
            ...options.headers,
          },
          ...common(url),
        },
        (message) => {
          const chunks: Buffer[] = [];
          let length = 0;
          message.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length > most) stop(`its reply is larger than ${inMiB(most)}`);
            else chunks.push(chunk);
          });
          message.on('error', failed);
          message.on('end', () => resolve(replyOf(message, Buffer.concat(chunks))));
        },
      );
      const { stop, failed } = bounded(sent, limits, (error) => {
        const words = `${new URL(url).host}: ${messageOf(error)}`;
        const because = (hint: string): void => reject(new Error(`${words}${hint}`, { cause: error }));
        if (isAboutTime(codeOf(error)))
          void clockHint(url, lookup === undefined ? {} : { lookup }).then(because);
        else because('');
      });
      sent.end(options.body);
    });
  const socket: Client['socket'] = (url, more) =>
    new Promise((resolve, reject) => {
      const { headers: asked, accept } = handshake();
      const secured = url.replace(/^wss:/, 'https:');
      const sent = tlsRequest(secured, {
        headers: { ...always(secured), ...asked, ...more },
        ...common(secured),
      });
      const { stop, done } = bounded(sent, limits, reject);
      sent.on('upgrade', (message, stream, head) => {
        done();
        if (message.headers['sec-websocket-accept'] === accept) resolve({ socket: stream, head });
        else {
          stream.destroy();
          reject(new Error('the server answered the upgrade incorrectly'));
        }
      });
      sent.on('response', (message) =>
        stop(`answered ${message.statusCode ?? 0} instead of opening a WebSocket`),
      );
      sent.end();
    });
  return Object.assign(send, { socket });
}

/** Aborts a request that takes too long, and reports the time-out instead of the broken socket. */
function bounded(
  sent: ClientRequest,
  { idleMs, wholeMs }: Limits,
  reject: (error: unknown) => void,
): {
  /** Aborts the request. */
  readonly stop: (cause: string) => void;
  readonly failed: (error: unknown) => void;
  /** Cancels the deadline. */
  readonly done: () => void;
} {
  let cause: Error | undefined;
  const failed = (error: unknown): void => reject(cause ?? error);
  const stop = (words: string): void => {
    cause ??= new Error(words);
    sent.destroy(cause);
    reject(cause);
  };
  const deadline = AbortSignal.timeout(wholeMs);
  const late = (): void => stop(`no complete answer within ${wholeMs / 1000} s`);
  deadline.addEventListener('abort', late);
  const done = (): void => deadline.removeEventListener('abort', late);
  sent.on('timeout', () => stop(`no answer within ${idleMs / 1000} s`));
  sent.on('error', failed);
  sent.on('close', done);
  return { stop, failed, done };
}

function replyOf({ statusCode, headers }: IncomingMessage, body: Buffer): Reply {
  const text = (): string => body.toString('utf8');
  return {
    status: statusCode ?? 0,
    headers,
    body,
    text,
    json: <T>() => {
      try {
        return JSON.parse(text()) as T;
      } catch {
        throw new Error(`not JSON but "${text().slice(0, 60)}"`);
      }
    },
  };
}

/** Throws unless the reply has this status. */
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
