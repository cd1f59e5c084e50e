/** One SMTP session of the ladder: greeting, TLS, what the server offers; then log-in, sender, recipient and mail. */
import type { Duplex } from 'node:stream';
import type { AuthMethod, Mailer, SmtpServer } from '../config/mail.ts';
import { messageOf } from '../problem.ts';
import { PRIVATE_CA } from '../trust.ts';
import { quoted } from '../visible.ts';
import { broken, fail, refused } from './rung.ts';
import type { RungId, Verdict, Stopped } from './rung.ts';
import { Broken, Smtp, logIn, replyText, secure } from './smtp.ts';
import type { Reply, Secured } from './smtp.ts';
import type { Connection } from './way.ts';

/** One app that sends mail through the server. */
export interface MailUser extends Mailer {
  /** Name of the app. */
  readonly name: string;
  /** Its domain, for EHLO. */
  readonly domain: string;
  readonly to: string;
}

export interface SessionInput {
  readonly server: SmtpServer;
  readonly password: string | undefined;
  /** Further CA certificates, PEM. */
  readonly roots: readonly string[];
  readonly replyMs: number;
  readonly connect: () => Promise<Connection>;
}

/** Extension → its parameters, in capitals. */
export type Offers = ReadonlyMap<string, readonly string[]>;
export type Add = (verdict: Verdict) => void;

export const pass = (add: Add, id: RungId, seen: string): void => add({ id, state: 'passed', seen });

/** Sends a command; a broken answer fails the rung. */
const ask = (smtp: Smtp, id: RungId, line: string): Promise<Reply> =>
  smtp.command(line).catch((error: unknown) => {
    throw broken(id, error);
  });

/** @param name of this client, for EHLO */
export async function openSession(
  input: SessionInput,
  name: string,
  add: Add,
): Promise<{ readonly smtp: Smtp; readonly offers: Offers }> {
  const { server, replyMs } = input;
  const { stream } = await input.connect();
  const first = new Smtp(server.security === 'tls' ? await encrypt(input, stream, add) : stream, replyMs);
  const greeting = await first.reply().catch(async (error: unknown) => {
    throw await noGreeting(input, error);
  });
  if (greeting.code !== 220)
    throw refused(
      'greeting',
      greeting,
      'the server accepts no mail from here',
      'It may not accept the address of this host, or it may be on a block list. Ask your mail provider.',
    );
  pass(add, 'greeting', replyText(greeting));
  if (server.security !== 'starttls') return { smtp: first, offers: await greet(first, name, add) };
  if (!(await greet(first, name)).has('STARTTLS'))
    throw fail(
      'tls',
      `it offers no STARTTLS on port ${server.port}, so the password would be sent unencrypted`,
      'Use --mail-port 465 --mail-security tls. A relay in your own network may need --mail-security none.',
    );
  const ready = await ask(first, 'tls', 'STARTTLS');
  if (ready.code !== 220)
    throw refused('tls', ready, 'it did not start TLS', 'Use --mail-port 465 --mail-security tls.');
  const smtp = new Smtp(await encrypt(input, released(first), add), replyMs);
  return { smtp, offers: await greet(smtp, name, add) };
}

function released(smtp: Smtp): Duplex {
  try {
    return smtp.release();
  } catch (error) {
    throw broken('tls', error);
  }
}

async function greet(smtp: Smtp, name: string, add?: Add): Promise<Offers> {
  const reply = await ask(smtp, 'extensions', `EHLO ${name}`);
  if (reply.code !== 250)
    throw refused(
      'extensions',
      reply,
      `it does not accept ${name} as the name of a client`,
      'Ask your mail provider whether it accepts mail from servers.',
    );
  const offers = new Map(
    reply.lines.slice(1).map((line) => {
      const [word = '', ...rest] = quoted(line, 500).toUpperCase().split(/[ =]/);
      return [word, rest] as const;
    }),
  );
  if (add !== undefined) pass(add, 'extensions', quoted([...offers.keys()].join(', ')) || 'no extensions');
  return offers;
}

async function encrypt({ server, roots, replyMs }: SessionInput, stream: Duplex, add: Add): Promise<Duplex> {
  const secured = await secure(stream, server.host, roots, replyMs).catch((error: unknown) => {
    throw noTls(server, error);
  });
  pass(add, 'tls', secured.version);
  if (secured.distrust !== undefined) throw distrusted(server, secured.distrust, secured);
  pass(add, 'certificate', `for ${secured.names}, by ${secured.issuer}, valid until ${secured.validTo}`);
  return secured.stream;
}

function noTls({ port, security }: SmtpServer, error: unknown): Stopped {
  const text = quoted(messageOf(error));
  if (security === 'tls' && /wrong version number|packet length|unknown protocol|http request/i.test(text))
    return fail(
      'tls',
      `port ${port} starts unencrypted`,
      port === 465
        ? 'Set --mail-security starttls, usually with --mail-port 587.'
        : 'Set --mail-security starttls, or use --mail-port 465 --mail-security tls.',
    );
  if (error instanceof Broken || /ECONNRESET|EPIPE|disconnected|socket hang up|premature/i.test(text))
    return fail(
      'tls',
      `port ${port} accepted the connection, but not TLS`,
      security === 'tls'
        ? 'Try --mail-port 587 --mail-security starttls. A firewall that inspects mail has the same effect.'
        : 'Try --mail-port 465 --mail-security tls. A firewall that inspects mail has the same effect.',
    );
  return fail(
    'tls',
    `no encrypted connection: ${text}`,
    'The server has no TLS version or cipher that the apps accept. Ask its operator to update it, or use another server.',
  );
}

/** Codes of OpenSSL and Node → what they mean, and what to do. */
function distrusted({ host }: SmtpServer, code: string, { names, issuer, validTo }: Secured): Stopped {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return fail(
      'certificate',
      `it belongs to ${names}, not to ${host}`,
      `Use the name in your provider’s instructions as --mail-host, not an alias or an address.`,
    );
  if (code === 'CERT_HAS_EXPIRED')
    return fail(
      'certificate',
      `it expired: it was valid until ${validTo}`,
      'Its owner must renew it. If the clock of this host is wrong, set it.',
    );
  if (code === 'CERT_NOT_YET_VALID')
    return fail('certificate', 'it is not valid yet', 'Set the clock of this host.');
  return fail(
    'certificate',
    `its issuer, ${issuer}, is not a CA that the apps trust (${code})`,
    `A mail provider has a certificate of a public CA: compare --mail-host with its instructions. ${PRIVATE_CA}`,
  );
}

/** Without a greeting, the server may wait for a TLS handshake. */
async function noGreeting(input: SessionInput, error: unknown): Promise<Stopped> {
  const { server, replyMs } = input;
  const mayWait =
    error instanceof Broken && error.seen === '' && (error.fault === 'silent' || error.fault === 'closed');
  if (!mayWait || server.security === 'tls') return broken('greeting', error);
  const { stream } = await input.connect();
  const speaksTls = await secure(stream, server.host, [], replyMs).then(
    (secured) => {
      secured.stream.destroy();
      return true;
    },
    () => false,
  );
  return speaksTls
    ? fail('greeting', `port ${server.port} expects TLS from the first byte`, 'Set --mail-security tls.')
    : broken('greeting', error);
}

/** Methods that a server offers and this client can try. */
const KNOWN: readonly string[] = ['PLAIN', 'LOGIN', 'CRAM-MD5'] satisfies readonly AuthMethod[];
/** Methods that take a token instead of a password. */
const TOKENS = ['XOAUTH2', 'OAUTHBEARER', 'XOAUTH'];

/**
 * The methods that an app will try, in its order. Throws if there are none.
 * @returns also the one that the app would prefer but that cannot be tried here
 */
export function methodsFor(
  { name, methods, triesAll }: Pick<MailUser, 'name' | 'methods' | 'triesAll'>,
  offers: Offers,
  { port, security }: SmtpServer,
): { readonly methods: readonly AuthMethod[]; readonly untried: string | undefined } {
  const offered = offers.get('AUTH') ?? [];
  if (offered.length === 0)
    throw fail(
      'login',
      `it offers no log-in on port ${port}${security === 'none' ? ' without encryption' : ''}`,
      security === 'none'
        ? 'Use --mail-port 587 --mail-security starttls, or --mail-port 465 --mail-security tls. If it needs no log-in, remove mail.user.'
        : 'Use port 465 or 587. If the server needs no log-in, remove mail.user.',
    );
  const usable = methods.filter((method) => offered.includes(method));
  const known = usable.filter((method): method is AuthMethod => KNOWN.includes(method));
  if (known.length > 0) {
    const untried = usable[0] === known[0] ? undefined : usable[0];
    return { methods: triesAll === true ? known : known.slice(0, 1), untried };
  }
  const all = offered.join(', ');
  if (offered.every((method) => TOKENS.includes(method)))
    throw fail(
      'login',
      `it accepts no passwords, only tokens (OAuth): ${all}`,
      'Ask your provider for an app password or for SMTP AUTH, or use another mail server.',
    );
  const other = KNOWN.find((method) => offered.includes(method))?.toLowerCase();
  throw fail(
    'login',
    `it offers ${all}, but ${name} supports only ${methods.join(', ')}; the password was not sent`,
    other === 'plain' || other === 'login'
      ? `Use --mail-auth ${other}.`
      : 'Ask your provider to enable one of them, or use another mail server.',
  );
}

/** Logs in with the first method that the server accepts. Resolves to it. */
export async function logInWith(
  smtp: Smtp,
  methods: readonly AuthMethod[],
  { server: { user = '', security }, password = '' }: SessionInput,
): Promise<AuthMethod> {
  let reply: Reply = { code: 535, lines: ['no method'] };
  for (const method of methods) {
    reply = await logIn(smtp, method, user, password).catch((error: unknown) => {
      throw broken('login', error);
    });
    if (reply.code === 235) return method;
  }
  const text = replyText(reply);
  if (/5\.7\.139|SmtpClientAuthentication|find an authenticator|disabled/i.test(text))
    throw refused(
      'login',
      reply,
      `it accepts no password for ${user}: log-in over SMTP is disabled for this account`,
      'Enable SMTP AUTH or an app password at your provider, or use another mail server.',
    );
  if (reply.code === 530 || reply.code === 538)
    throw refused(
      'login',
      reply,
      'it requires encryption before the log-in',
      security === 'none'
        ? 'Use --mail-port 587 --mail-security starttls, or --mail-port 465 --mail-security tls.'
        : 'Ask your mail provider.',
    );
  if (reply.code >= 500 && reply.code <= 504)
    throw refused(
      'login',
      reply,
      `it does not accept AUTH ${methods.join(', ')}; it did not check the password`,
      'Try another --mail-auth.',
    );
  throw refused(
    'login',
    reply,
    `it rejected the log-in of ${user}`,
    'Check --mail-user and --mail-password-file. Many providers require a separate password for mail (app password, SMTP key), and some a fixed user name.',
  );
}

/** Whether a refusal is about the log-in, not about an address. */
const needsLogIn = ({ code }: Reply, text: string): boolean =>
  code === 530 ||
  /authentication (is )?required|relay|client host rejected|must issue a STARTTLS/i.test(text);

/** Names sender and recipient as an app does, and sends a mail if there is one; else the transaction is reset. */
export async function addressMail(
  smtp: Smtp,
  user: MailUser,
  { user: login, security }: SmtpServer,
  add: Add,
  message?: string,
): Promise<void> {
  const { name, sender, to } = user;
  const notAllowed = (id: RungId, reply: Reply): Stopped | undefined => {
    const text = replyText(reply);
    if (!needsLogIn(reply, text)) return undefined;
    if (security === 'none' && /STARTTLS/i.test(text))
      return refused(id, reply, 'it requires encryption', 'Use --mail-port 587 --mail-security starttls.');
    return login === undefined
      ? refused(id, reply, 'it requires a log-in', 'Give --mail-user and --mail-password-file.')
      : undefined;
  };
  const badSender = (reply: Reply): Stopped =>
    refused(
      'sender',
      reply,
      `it rejected ${sender} as the sender of ${name}`,
      user.isFixed === true
        ? `${name} has no other sender. Allow that address at your provider, or use another mail server.`
        : 'Set --mail-from to an address that is yours there, or allow this one at your provider.',
    );
  const from = await ask(smtp, 'sender', `MAIL FROM:<${sender}>`);
  if (from.code !== 250) throw notAllowed('sender', from) ?? badSender(from);
  const rcpt = await ask(smtp, 'recipient', `RCPT TO:<${to}>`);
  const text = replyText(rcpt);
  // Postfix and others judge the sender only now.
  const isSender = /sender|mail from|not owned/i.test(text) || (text.includes(sender) && !text.includes(to));
  const isTaken = rcpt.code >= 250 && rcpt.code <= 252;
  if (!isTaken && isSender) throw notAllowed('sender', rcpt) ?? badSender(rcpt);
  pass(add, 'sender', `${sender} (${name})`);
  if (!isTaken)
    throw (
      notAllowed('recipient', rcpt) ??
      refused(
        'recipient',
        rcpt,
        `it rejected mail from ${name} to ${to}`,
        'Check that address. Some providers accept only verified recipients until you ask for more.',
      )
    );
  pass(add, 'recipient', `${to} (${replyText(rcpt)})`);
  if (message === undefined) {
    await ask(smtp, 'recipient', 'RSET');
    return;
  }
  const go = await ask(smtp, 'mail', 'DATA');
  const done = go.code === 354 ? await ask(smtp, 'mail', `${dotted(message)}\r\n.`) : go;
  if (done.code !== 250)
    throw refused(
      'mail',
      done,
      `it accepted the addresses of ${name}, but not the mail`,
      'Its answer may say why. Ask your mail provider.',
    );
  pass(add, 'mail', `from ${name} to ${to}: ${replyText(done)}`);
}

/** RFC 5321, 4.5.2. */
const dotted = (message: string): string => message.replaceAll(/^\./gm, '..');
