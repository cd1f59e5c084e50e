/** A mail server on this host that answers as a script says, and the way to it without a container. */
import { createHmac } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket, createSecureContext } from 'node:tls';
import type { SmtpServer } from '../../wizard/config/mail.ts';
import type { MailUser } from '../../wizard/mail/session.ts';
import type { Way } from '../../wizard/mail/way.ts';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** How a scripted server behaves; each default is that of a good one. */
export interface Behaviour {
  readonly greeting?: string | ((socket: Socket) => void);
  /** Lines of the answer to EHLO; after TLS without STARTTLS. */
  readonly offers?: readonly string[];
  /** By the first words of a command, such as `MAIL FROM`. */
  readonly answers?: Readonly<Record<string, string>>;
  /** TLS from the first byte. */
  readonly tls?: true;
  readonly certificate?: Certificate;
  readonly password?: string;
}

export interface Server {
  readonly port: number;
  /** Commands that it got, without the content of log-ins. */
  readonly got: string[];
  close(): void;
}

const USER = 'anna@fedi.test';

export async function smtpServer(behaviour: Behaviour): Promise<Server> {
  const { answers = {}, password = 'secret', certificate } = behaviour;
  const got: string[] = [];
  const sockets = new Set<Socket>();
  const context = certificate === undefined ? undefined : createSecureContext({ ...certificate });
  const offers = behaviour.offers ?? ['PIPELINING', 'STARTTLS', 'AUTH PLAIN LOGIN', '8BITMIME'];

  const serve = (socket: Socket, isSecure: boolean): void => {
    socket.on('error', () => undefined);
    const say = (text: string): void => void socket.write(`${text}\r\n`);
    let rest = '';
    let expected: ((line: string) => string) | undefined;
    let isData = false;
    const judge = (user: string, given: string): string =>
      user === USER && given === password ? '235 2.7.0 ok' : '535 5.7.8 authentication failed';
    const plain = (text: string): string => {
      const [, user = '', given = ''] = Buffer.from(text, 'base64').toString().split('\0');
      return judge(user, given);
    };
    const answer = (line: string): string | undefined => {
      if (isData) {
        got.push(line);
        if (line !== '.') return undefined;
        isData = false;
        return answers['.'] ?? '250 2.0.0 queued';
      }
      if (expected !== undefined) {
        const judged = expected;
        expected = undefined;
        return judged(line);
      }
      got.push(line.replace(/^(AUTH \S+).*/, '$1'));
      const scripted = Object.entries(answers).find(([start]) => line.startsWith(start));
      if (scripted !== undefined && scripted[0] !== '.') return scripted[1];
      const [verb = '', method = '', initial] = line.split(' ');
      if (verb === 'EHLO')
        return ['mail.fedi.test', ...offers.filter((one) => !isSecure || one !== 'STARTTLS')]
          .map((one, i, all) => `250${i === all.length - 1 ? ' ' : '-'}${one}`)
          .join('\r\n');
      if (verb === 'AUTH' && method === 'PLAIN') return plain(initial ?? '');
      if (verb === 'AUTH' && method === 'LOGIN') {
        expected = (user) => {
          expected = (given) =>
            judge(Buffer.from(user, 'base64').toString(), Buffer.from(given, 'base64').toString());
          return '334 UGFzc3dvcmQ6';
        };
        return '334 VXNlcm5hbWU6';
      }
      if (verb === 'AUTH' && method === 'CRAM-MD5') {
        const challenge = '<1896.697170952@mail.fedi.test>';
        expected = (text) => {
          const digest = createHmac('md5', password).update(challenge).digest('hex');
          const is = Buffer.from(text, 'base64').toString() === `${USER} ${digest}`;
          return is ? '235 2.7.0 ok' : '535 5.7.8 authentication failed';
        };
        return `334 ${Buffer.from(challenge).toString('base64')}`;
      }
      if (verb === 'DATA') {
        isData = true;
        return '354 go';
      }
      if (verb === 'QUIT') {
        socket.end('221 bye\r\n');
        return undefined;
      }
      return '250 2.1.0 ok';
    };
    const onData = (chunk: Buffer): void => {
      rest += chunk.toString();
      const lines = rest.split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === 'STARTTLS' && context !== undefined && answers['STARTTLS'] === undefined) {
          got.push(line);
          say('220 go');
          socket.off('data', onData);
          serve(new TLSSocket(socket, { isServer: true, secureContext: context }), true);
          return;
        }
        const text = answer(line);
        if (text !== undefined) say(text);
      }
    };
    socket.on('data', onData);
  };

  const server = createServer((raw) => {
    sockets.add(raw);
    raw.on('error', () => undefined);
    const socket =
      behaviour.tls && context !== undefined
        ? new TLSSocket(raw, { isServer: true, secureContext: context })
        : raw;
    serve(socket, behaviour.tls === true);
    const { greeting = '220 mail.fedi.test ESMTP' } = behaviour;
    if (typeof greeting === 'function') greeting(socket);
    else socket.write(`${greeting}\r\n`);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    got,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** From this process. Names under `fedi.test` are 127.0.0.1. */
export const directly: Way = {
  reach: async (host, ports) => {
    const addresses = host.endsWith('fedi.test') ? ['127.0.0.1'] : [];
    const tried = await Promise.all(
      ports.map(
        (port) =>
          new Promise<{ port: number; isOpen: boolean; address: string; cause: string }>((resolve) => {
            const socket = connect(port, '127.0.0.1');
            socket.once('connect', () => {
              socket.destroy();
              resolve({ port, isOpen: true, address: '127.0.0.1', cause: '' });
            });
            socket.once('error', () =>
              resolve({ port, isOpen: false, address: '', cause: 'Connection refused' }),
            );
          }),
      ),
    );
    return { addresses, ports: tried };
  },
  open: async (address, port) => {
    const stream = connect(port, address);
    return { stream, close: async () => void stream.destroy() };
  },
  lookUp: async () => ({ a: [], aaaa: [] }),
};

export const settings = (more: Partial<SmtpServer> = {}): SmtpServer => ({
  host: 'mail.fedi.test',
  port: 587,
  security: 'starttls',
  user: USER,
  auth: 'plain',
  isCatcher: false,
  ...more,
});

export const mailUser = (more: Partial<MailUser> = {}): MailUser => ({
  name: 'Mastodon',
  domain: 'social.fedi.test',
  sender: 'notifications@fedi.test',
  to: 'anna@example.org',
  methods: ['PLAIN'],
  ...more,
});
