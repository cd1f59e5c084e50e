/** The ladder against a scripted mail server: what each rung says, and which answers of a bad server stop it. */
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { climb } from '../../../wizard/mail/ladder.ts';
import type { Climb } from '../../../wizard/mail/ladder.ts';
import type { Rung } from '../../../wizard/mail/rung.ts';
import { certificate } from '../../support/certificate.ts';
import { directly, mailUser, settings, smtpServer } from '../../support/smtp.ts';
import type { Behaviour, Server } from '../../support/smtp.ts';

const GOOD = certificate('mail.fedi.test');
const OTHER = certificate('other.fedi.test');
const OLD = certificate('mail.fedi.test', -1);

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

interface Case extends Omit<Partial<Climb>, 'server'> {
  readonly security?: 'tls' | 'starttls' | 'none';
  readonly user?: undefined;
  readonly host?: string;
}

async function run(
  behaviour: Behaviour,
  { security = 'starttls', host, ...more }: Case = {},
): Promise<Rung[]> {
  server = await smtpServer({ certificate: GOOD, ...behaviour });
  const { port } = server;
  return climb({
    server: settings({
      port,
      security,
      ...(host === undefined ? {} : { host }),
      ...('user' in more ? { user: undefined } : {}),
    }),
    password: 'secret',
    users: [mailUser()],
    way: directly,
    roots: [GOOD.cert, OTHER.cert, OLD.cert],
    replyMs: 10_000,
    ...more,
  });
}

const states = (rungs: readonly Rung[]): string[] => rungs.map(({ id, state }) => `${id} ${state}`);
const last = (rungs: readonly Rung[]): string => {
  const { id, state, seen, next = '' } = rungs.at(-1) as Rung;
  return `${id} ${state}: ${seen}. ${next}`;
};

describe('a good server', () => {
  const ABOVE = ['extensions', 'login', 'sender', 'recipient'].map((id) => `${id} passed`);

  test('STARTTLS: all rungs, no mail', async () => {
    const rungs = await run({});
    expect(states(rungs)).toEqual([
      ...['resolve', 'connect', 'greeting', 'tls', 'certificate'].map((id) => `${id} passed`),
      ...ABOVE,
    ]);
    expect(rungs.map(({ seen }) => seen).join('\n')).toMatch(
      /^mail\.fedi\.test is 127\.0\.0\.1\nport \d+ of 127\.0\.0\.1\n220 mail\.fedi\.test ESMTP\nTLSv1\.3\nfor mail\.fedi\.test, by mail\.fedi\.test, valid until .+\nPIPELINING, AUTH, 8BITMIME\nanna@fedi\.test, by AUTH PLAIN \(Mastodon\)\nnotifications@fedi\.test \(Mastodon\)\nanna@example\.org \(250 2\.1\.0 ok\)$/,
    );
    expect(server?.got).toEqual([
      'EHLO social.fedi.test',
      'STARTTLS',
      'EHLO social.fedi.test',
      'AUTH PLAIN',
      'MAIL FROM:<notifications@fedi.test>',
      'RCPT TO:<anna@example.org>',
      'RSET',
      'QUIT',
    ]);
  });

  test('TLS from the first byte', async () => {
    expect(states(await run({ tls: true }, { security: 'tls' }))).toEqual([
      ...['resolve', 'connect', 'tls', 'certificate', 'greeting'].map((id) => `${id} passed`),
      ...ABOVE,
    ]);
  });

  test('no TLS, no log-in', async () => {
    const rungs = await run({ offers: [] }, { security: 'none', user: undefined });
    expect(states(rungs)).toEqual(
      ['resolve', 'connect', 'greeting', 'extensions', 'sender', 'recipient'].map((id) => `${id} passed`),
    );
  });

  test('a mail, with dots at the start of lines doubled', async () => {
    const rungs = await run({}, { message: () => 'Subject: x\r\n\r\n.hidden' });
    expect(last(rungs)).toContain('mail passed: from Mastodon to anna@example.org: 250 2.0.0 queued');
    expect(server?.got.slice(-5)).toEqual(['Subject: x', '', '..hidden', '.', 'QUIT']);
  });

  test('ends with the log-in on request', async () => {
    expect(last(await run({}, { untilLogIn: true }))).toContain('login passed');
    expect(server?.got.slice(-2)).toEqual(['AUTH PLAIN', 'QUIT']);
  });

  test('each app by its own method; those with the same one share a session', async () => {
    const users = [
      mailUser({ name: 'Mastodon', methods: ['PLAIN'] }),
      mailUser({ name: 'Pixelfed', methods: ['CRAM-MD5', 'LOGIN', 'PLAIN'], triesAll: true }),
      mailUser({ name: 'snac', methods: ['DIGEST-MD5', 'PLAIN', 'LOGIN'], sender: 'snac-daemon@fedi.test' }),
    ];
    const rungs = await run({ offers: ['STARTTLS', 'AUTH DIGEST-MD5 PLAIN LOGIN'] }, { users });
    expect(rungs.find(({ id }) => id === 'login')?.seen).toBe(
      'anna@fedi.test, by AUTH PLAIN (Mastodon, snac, which would use DIGEST-MD5) and AUTH LOGIN (Pixelfed)',
    );
    expect(rungs.filter(({ id }) => id === 'sender').map(({ seen }) => seen)).toEqual([
      'notifications@fedi.test (Mastodon)',
      'snac-daemon@fedi.test (snac)',
      'notifications@fedi.test (Pixelfed)',
    ]);
  });

  test.each([
    ['CRAM-MD5', {}, 'CRAM-MD5'],
    [
      'the next one, if an app tries it',
      { 'AUTH CRAM-MD5': '535 5.7.8 not with this password store' },
      'PLAIN',
    ],
  ])('log-in by %s', async (_, answers, method) => {
    const users = [mailUser({ methods: ['CRAM-MD5', 'PLAIN'], triesAll: true })];
    const rungs = await run({ offers: ['STARTTLS', 'AUTH CRAM-MD5 PLAIN'], answers }, { users });
    expect(rungs.find(({ id }) => id === 'login')?.seen).toBe(`anna@fedi.test, by AUTH ${method} (Mastodon)`);
  });

  test('another app’s refused sender does not end the climb', async () => {
    const users = [mailUser({ name: 'snac', sender: 'snac-daemon@fedi.test', isFixed: true }), mailUser()];
    const rungs = await run({ answers: { 'MAIL FROM:<snac-': '550 5.7.1 not yours' } }, { users });
    expect(states(rungs).slice(-3)).toEqual(['sender failed', 'sender passed', 'recipient passed']);
    expect(rungs.at(-3)?.next).toContain('snac has no other sender. Allow that address');
  });
});

/** For servers that never answer. */
const QUICK = { replyMs: 400 };

describe('a bad server', () => {
  const endless = (text: string) => (socket: Socket) => {
    const more = (): void => {
      if (socket.writable) socket.write(text, () => setImmediate(more));
    };
    more();
  };

  test.each<[string, Behaviour, Case, string]>([
    [
      'no greeting',
      { greeting: () => undefined },
      QUICK,
      'greeting failed: the server sent no complete answer in time. It may be overloaded',
    ],
    [
      'half a greeting',
      { greeting: (socket) => void socket.write('220-slow') },
      QUICK,
      'greeting failed: the server sent no complete answer in time: “220-slow”.',
    ],
    [
      'closes at once',
      { greeting: (socket) => void socket.end() },
      {},
      'greeting failed: the server ended the connection.',
    ],
    [
      'garbage',
      { greeting: 'SSH-2.0-OpenSSH_10.0' },
      {},
      'greeting failed: what answers does not speak SMTP: “SSH-2.0-OpenSSH_10.0”. Compare --mail-host',
    ],
    ['escape codes', { greeting: '220 \u001b[2J\u001b]0;owned\u0007 \u202etxt' }, {}, 'recipient passed'],
    [
      'endless line',
      { greeting: endless('x'.repeat(1000)) },
      {},
      'greeting failed: the answer of the server does not end',
    ],
    [
      'endless lines',
      { greeting: endless('220-more\r\n') },
      {},
      'greeting failed: the answer of the server does not end',
    ],
    [
      'refuses everybody',
      { greeting: '554 5.7.1 blocked by list' },
      {},
      'greeting failed: the server accepts no mail from here (554 5.7.1 blocked by list). It may',
    ],
    [
      'busy',
      { greeting: '421 4.3.2 too many connections' },
      {},
      'greeting later: the server accepts no mail from here (421 4.3.2 too many connections). This refusal is temporary',
    ],
    ['TLS on a plain port', {}, { security: 'tls' }, 'starts unencrypted. Set --mail-security starttls'],
    [
      'plain on a TLS port',
      { tls: true },
      QUICK,
      'expects TLS from the first byte. Set --mail-security tls.',
    ],
    ['no STARTTLS', { offers: ['AUTH PLAIN'] }, {}, 'tls failed: it offers no STARTTLS on port'],
    [
      'STARTTLS refused',
      { answers: { STARTTLS: '454 4.7.0 TLS not available' } },
      {},
      'tls later: it did not start TLS (454 4.7.0 TLS not available)',
    ],
    [
      'commands injected into STARTTLS',
      { answers: { STARTTLS: '220 go\r\n250 injected' } },
      {},
      'tls failed: what answers does not speak SMTP: “250 injected”',
    ],
    [
      'another certificate',
      { certificate: OTHER },
      {},
      'certificate failed: it belongs to other.fedi.test, not to mail.fedi.test. Use the name',
    ],
    [
      'an expired certificate',
      { certificate: OLD },
      {},
      'certificate failed: it expired: it was valid until ',
    ],
    [
      'an unknown CA',
      {},
      { roots: [] },
      'certificate failed: its issuer, mail.fedi.test, is not a CA that the apps trust (DEPTH_ZERO_SELF_SIGNED_CERT)',
    ],
    [
      'EHLO refused',
      { answers: { EHLO: '550 5.7.1 who are you' } },
      {},
      'extensions failed: it does not accept social.fedi.test as the name of a client (550',
    ],
    ['no log-in', { offers: ['STARTTLS'] }, {}, 'login failed: it offers no log-in on port'],
    [
      'only LOGIN',
      { offers: ['STARTTLS', 'AUTH LOGIN'] },
      {},
      'login failed: it offers LOGIN, but Mastodon supports only PLAIN; the password was not sent. Use --mail-auth login.',
    ],
    [
      'only tokens',
      { offers: ['STARTTLS', 'AUTH XOAUTH2 OAUTHBEARER'] },
      {},
      'login failed: it accepts no passwords, only tokens (OAuth): XOAUTH2, OAUTHBEARER. Ask',
    ],
    ['AUTH= as old servers write it', { offers: ['STARTTLS', 'AUTH=LOGIN PLAIN'] }, {}, 'recipient passed'],
    [
      'wrong password',
      {},
      { password: 'wrong' },
      'login failed: it rejected the log-in of anna@fedi.test (535 5.7.8 authentication failed). Check --mail-user',
    ],
    [
      'log-in disabled',
      {
        answers: {
          'AUTH PLAIN': '535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled',
        },
      },
      {},
      'log-in over SMTP is disabled for this account',
    ],
    [
      'log-in not possible now',
      { answers: { 'AUTH PLAIN': '454 4.7.0 Temporary authentication failure' } },
      {},
      'login later: it rejected the log-in',
    ],
    [
      'sender refused',
      { answers: { 'MAIL FROM': '553 5.7.1 not owned by you' } },
      {},
      'sender failed: it rejected notifications@fedi.test as the sender of Mastodon (553 5.7.1 not owned by you). Set --mail-from',
    ],
    [
      'sender refused with the recipient',
      { answers: { 'RCPT TO': '554 5.7.1 <notifications@fedi.test>: Sender address rejected' } },
      {},
      'sender failed: it rejected notifications@fedi.test as the sender',
    ],
    [
      'recipient refused',
      { answers: { 'RCPT TO': '550 5.1.1 no such user' } },
      {},
      'recipient failed: it rejected mail from Mastodon to anna@example.org (550 5.1.1 no such user)',
    ],
    [
      'greylisting',
      { answers: { 'RCPT TO': '451 4.7.1 Greylisting in action' } },
      {},
      'recipient later: it rejected mail from Mastodon to anna@example.org (451 4.7.1 Greylisting in action). This refusal is temporary',
    ],
    [
      'a log-in is needed',
      { answers: { 'MAIL FROM': '530 5.7.0 Authentication required' } },
      { user: undefined },
      'sender failed: it requires a log-in (530 5.7.0 Authentication required). Give --mail-user',
    ],
    [
      'encryption is needed',
      { answers: { 'MAIL FROM': '530 5.7.0 Must issue a STARTTLS command first' } },
      { security: 'none', user: undefined },
      'sender failed: it requires encryption (530',
    ],
    [
      'mail refused',
      { answers: { '.': '554 5.6.0 looks like spam' } },
      { message: () => 'x' },
      'mail failed: it accepted the addresses of Mastodon, but not the mail (554 5.6.0 looks like spam)',
    ],
    [
      'unknown name',
      {},
      { host: 'nowhere.invalid' },
      'resolve failed: nowhere.invalid does not exist in the DNS. Compare',
    ],
  ])('%s', async (_, behaviour, more, words) => {
    const rungs = await run(behaviour, more);
    expect(last(rungs)).toContain(words);
    // eslint-disable-next-line no-control-regex
    expect(rungs.map(({ seen }) => seen).join('')).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(JSON.stringify(rungs)).not.toContain(Buffer.from('\0anna@fedi.test\0secret').toString('base64'));
  });

  test('a closed port: says which other ports work', async () => {
    const rungs = await climb({
      server: settings({ port: 587 }),
      password: 'secret',
      users: [mailUser()],
      roots: [],
      way: {
        ...directly,
        reach: async (_host, ports) => ({
          addresses: ['192.0.2.1'],
          ports: ports.map((port) => ({
            port,
            isOpen: port === 2525,
            address: '192.0.2.1',
            cause: port === 587 ? '' : 'Connection refused',
          })),
        }),
      },
    });
    expect(last(rungs)).toBe(
      'connect failed: no connection to port 587 (no answer); containers here reach its port 2525, but not 465 and 25. Use --mail-port 2525, as your provider says.',
    );
  });

  test('all ports are blocked', async () => {
    const rungs = await climb({
      server: settings({ port: 25, host: '192.0.2.1' }),
      password: undefined,
      users: [mailUser()],
      roots: [],
      way: {
        ...directly,
        reach: async (_host, ports) => ({
          addresses: ['192.0.2.1'],
          ports: ports.map((port) => ({ port, isOpen: false, address: '', cause: '' })),
        }),
      },
    });
    expect(last(rungs)).toContain(
      'no connection to port 25 (no answer), nor to 465, 587 and 2525. Many hosting providers block',
    );
  });

  test.each([
    [
      'only IPv6',
      { a: [], aaaa: ['2001:db8::1'] },
      'has only an IPv6 address (2001:db8::1), and containers here have none',
    ],
    [
      'DNS of containers',
      { a: ['192.0.2.1'], aaaa: [] },
      'this host resolves six.invalid, but its containers do not',
    ],
  ])('%s', async (_, found, words) => {
    const rungs = await run({}, { host: 'six.invalid', way: { ...directly, lookUp: async () => found } });
    expect(last(rungs)).toContain(words);
  });

  test('IPv6 addresses that containers do not reach', async () => {
    const rungs = await run(
      {},
      {
        way: {
          ...directly,
          reach: async (_host, ports) => ({
            addresses: ['2001:db8::1'],
            ports: ports.map((port) => ({
              port,
              isOpen: false,
              address: '',
              cause: 'Network is unreachable',
            })),
          }),
        },
      },
    );
    expect(last(rungs)).toContain(
      'has only IPv6 addresses, and containers here do not reach them (Network is unreachable)',
    );
  });
});
