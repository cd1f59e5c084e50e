/** SMTP (RFC 5321) as a client, over any stream. What a server sends is limited in time and size. */
import { createHmac } from 'node:crypto';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, rootCertificates } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { AuthMethod } from '../config/mail.ts';
import { messageOf } from '../problem.ts';
import { quoted } from '../visible.ts';

/** An answer of the server; `lines` without the code. */
export interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

/** Longest line and longest answer that are accepted: eight times what the RFC allows, and more than any server needs. */
const MOST_BYTES = 4096;
const MOST_LINES = 100;

/** silent: no whole answer in time. closed: the connection ended. garbage: no SMTP. endless: no end of an answer. */
export type Fault = 'silent' | 'closed' | 'garbage' | 'endless';

/** The server does not speak SMTP as it should. `seen`: what it sent, as one line without control characters. */
export class Broken extends Error {
  readonly fault: Fault;
  readonly seen: string;
  constructor(fault: Fault, seen: string) {
    super(`${fault}: ${seen}`);
    this.fault = fault;
    this.seen = seen;
  }
}

/** `550 5.7.1 Sender rejected`. */
export const replyText = ({ code, lines }: Reply): string => quoted(`${code} ${lines.join(' ')}`);

export class Smtp {
  readonly #stream: Duplex;
  readonly #replyMs: number;
  #bytes = Buffer.alloc(0);
  #isClosed = false;
  #wake: () => void = () => undefined;
  readonly #onData = (chunk: Buffer): void => {
    // A server that never stops sending must not fill the memory.
    if (this.#bytes.length < MOST_LINES * MOST_BYTES) this.#bytes = Buffer.concat([this.#bytes, chunk]);
    this.#wake();
  };
  readonly #onEnd = (): void => {
    this.#isClosed = true;
    this.#wake();
  };

  /** @param replyMs time for each answer */
  constructor(stream: Duplex, replyMs: number) {
    this.#stream = stream;
    this.#replyMs = replyMs;
    stream.on('data', this.#onData);
    for (const event of ['end', 'close', 'error']) stream.on(event, this.#onEnd);
  }

  /** The next answer. Throws {@link Broken}. */
  async reply(): Promise<Reply> {
    const deadline = Date.now() + this.#replyMs;
    const lines: string[] = [];
    for (;;) {
      const line = await this.#line(deadline, lines);
      const [, code, more, text = ''] = /^(\d{3})(?:([ -])(.*))?$/s.exec(line) ?? [];
      if (code === undefined) throw new Broken('garbage', quoted([...lines, line].join(' ')));
      lines.push(text);
      if (more !== '-') return { code: Number(code), lines };
      if (lines.length >= MOST_LINES) throw new Broken('endless', quoted(lines.join(' ')));
    }
  }

  /** Sends a line, and returns its answer. */
  command(line: string): Promise<Reply> {
    this.#stream.write(`${line}\r\n`);
    return this.reply();
  }

  /** Ends the session; an answer does not matter. */
  async quit(): Promise<void> {
    if (!this.#isClosed) await this.command('QUIT').catch(() => undefined);
  }

  /** The stream for another user of it. It must not have sent more than was read. */
  release(): Duplex {
    this.#stream.off('data', this.#onData);
    this.#stream.pause();
    if (this.#bytes.length > 0) throw new Broken('garbage', quoted(this.#bytes.toString('utf8')));
    return this.#stream;
  }

  async #line(deadline: number, before: readonly string[]): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf('\n');
      if (end > MOST_BYTES || (end === -1 && this.#bytes.length > MOST_BYTES))
        throw new Broken('endless', quoted(this.#bytes.toString('utf8')));
      if (end !== -1) {
        const line = this.#bytes.subarray(0, end).toString('utf8').replace(/\r$/, '');
        this.#bytes = this.#bytes.subarray(end + 1);
        return line;
      }
      const late = Date.now() >= deadline;
      if (this.#isClosed || late)
        throw new Broken(
          this.#isClosed ? 'closed' : 'silent',
          quoted([...before, this.#bytes.toString('utf8')].join(' ')),
        );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadline - Date.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** What the handshake showed. */
export interface Secured {
  readonly stream: TLSSocket;
  /** `TLSv1.3`. */
  readonly version: string;
  /** Why the certificate is not trusted; undefined: it is. */
  readonly distrust: string | undefined;
  /** Names in the certificate, as it has them. */
  readonly names: string;
  readonly issuer: string;
  /** As OpenSSL prints dates. */
  readonly validTo: string;
}

/** TLS over a stream. Accepts every certificate and says whether it is trusted. Throws what OpenSSL says, or {@link Broken}. */
export function secure(
  stream: Duplex,
  host: string,
  roots: readonly string[],
  replyMs: number,
): Promise<Secured> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      socket: stream,
      host,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      // Those of Node, also if a variable adds others to them on this host.
      ca: [...rootCertificates, ...roots],
      rejectUnauthorized: false,
    });
    const timer = setTimeout(() => {
      reject(new Broken('silent', ''));
      socket.destroy();
    }, replyMs);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      const { subjectaltname = '', subject, issuer, valid_to: validTo = '' } = socket.getPeerCertificate();
      const wrong: unknown = socket.authorizationError;
      const code =
        typeof wrong === 'object' && wrong !== null && 'code' in wrong ? String(wrong.code) : undefined;
      resolve({
        stream: socket,
        version: socket.getProtocol() ?? 'TLS',
        distrust: socket.authorized ? undefined : (code ?? messageOf(wrong)),
        names: quoted(subjectaltname.replaceAll(/(DNS|IP Address):/g, '') || String(subject?.CN ?? 'none')),
        issuer: quoted(String(issuer?.CN ?? issuer?.O ?? 'an unknown CA')),
        validTo: quoted(validTo),
      });
    });
    const broken = (error: unknown): void => {
      clearTimeout(timer);
      reject(error instanceof Error ? error : new Broken('closed', ''));
    };
    socket.once('error', broken);
    socket.once('close', broken);
  });
}

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/** Logs in with one method (RFC 4616, RFC 2195). Resolves to the server's last answer: 235 if it accepted the password. */
export async function logIn(smtp: Smtp, method: AuthMethod, user: string, password: string): Promise<Reply> {
  if (method === 'PLAIN') return smtp.command(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`);
  const first = await smtp.command(`AUTH ${method}`);
  if (first.code !== 334) return first;
  if (method === 'CRAM-MD5') {
    const challenge = Buffer.from(first.lines[0] ?? '', 'base64');
    const digest = createHmac('md5', password).update(challenge).digest('hex');
    return smtp.command(base64(`${user} ${digest}`));
  }
  const second = await smtp.command(base64(user));
  return second.code === 334 ? smtp.command(base64(password)) : second;
}
