/** New and changed mail settings are tried before anything is written; the container is a connection of this process. */
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { configOf } from '../../../wizard/answers/config.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { Resolved } from '../../../wizard/answers/resolve.ts';
import { tryMail } from '../../../wizard/apply/mail.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import type { Problem } from '../../../wizard/problem.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import type { Store } from '../../../wizard/secrets/store.ts';
import { smtpServer } from '../../support/smtp.ts';
import type { Behaviour, Server } from '../../support/smtp.ts';

const ANSWERS = {
  apps: 'snac',
  'apps.snac.domain': 'social.example.org',
  'apps.snac.admin': 'anna',
  'apps.snac.email': 'anna@example.org',
  'mail.mode': 'smtp',
  'mail.host': '192.0.2.25',
  'mail.port': '587',
  'mail.security': 'none',
  'mail.user': 'anna@fedi.test',
  'tls.mode': 'proxy',
};
const answered = (more: Record<string, string> = {}): Promise<Resolved> =>
  resolve([
    new Map(Object.entries({ ...ANSWERS, ...more }).map(([key, text]) => [key, { text, from: key }])),
  ]);

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

async function trial(
  behaviour: Behaviour,
  more: { before?: Resolved['answers']; password?: string; isSkipped?: boolean; runs?: string[] } = {},
): Promise<{ isUntested: boolean; lines: string[] }> {
  server = await smtpServer({ offers: ['AUTH PLAIN'], ...behaviour });
  const { port } = server;
  const resolved = await answered();
  const lines: string[] = [];
  let title = '';
  const isUntested = await tryMail({
    engine: {
      containers: async () => [],
      run: async ({ network = '' }: { network?: string }) => {
        more.runs?.push(network);
        return { code: 0, stdout: 'port 587 0.000310 127.0.0.1 \n', stderr: '' };
      },
      pipe: async () => {
        const stream = connect(port, '127.0.0.1');
        return { stream, close: async () => void stream.destroy() };
      },
    } as unknown as Engine,
    config: configOf(resolved.answers),
    store: {
      find: (name: string) => (name === 'mail.password' ? new Secret(more.password ?? 'secret') : undefined),
    } as unknown as Store,
    image: 'caddy:2',
    ownCas: undefined,
    before: more.before ?? {},
    passwordBefore: new Secret('secret'),
    answers: resolved.answers,
    isSkipped: more.isSkipped ?? false,
    progress: {
      start: (_id, text) => void (title = text),
      update: () => undefined,
      done: (note) => void lines.push(`✔ ${title}: ${note}`),
      already: () => undefined,
      fail: () => void lines.push(`✖ ${title}`),
      skip: (note) => void lines.push(`– ${title}: ${note}`),
      say: (line = '') => void lines.push(line),
      print: () => undefined,
      emit: () => undefined,
    },
  });
  return { isUntested, lines };
}

test('new settings are tried, in Docker’s default network before the first start', async () => {
  const runs: string[] = [];
  expect(await trial({}, { runs })).toEqual({
    isUntested: false,
    lines: ['✔ The mail server 192.0.2.25:587: log-in as anna@fedi.test, by AUTH PLAIN (snac)'],
  });
  expect(runs).toEqual(['bridge']);
});

test('a refusal is a problem of the answers, with every cause and how to skip it', async () => {
  const wrong = (await trial({}, { password: 'wrong' }).catch((error: unknown) => error)) as Problem;
  expect([wrong.exit, wrong.message]).toEqual([
    2,
    'The mail server 192.0.2.25:587: Log-in: it rejected the log-in of anna@fedi.test (535 5.7.8 authentication failed).',
  ]);
  expect(wrong.next).toContain('(--skip-check mail skips this.)');
  const sender = (await trial({ answers: { 'MAIL FROM': '550 5.7.1 not yours' } }).catch(
    (error: unknown) => error,
  )) as Problem;
  expect(sender.message).toContain(
    'Sender: it rejected snac-daemon@social.example.org as the sender of snac',
  );
});

test('greylisting is shown and refuses nothing', async () => {
  const { lines } = await trial({ answers: { 'RCPT TO': '451 4.7.1 Greylisting' } });
  expect(lines[0]).toContain('✔ The mail server');
  expect(lines[1]).toContain(
    '! Recipient: it rejected mail from snac to anna@example.org (451 4.7.1 Greylisting)',
  );
});

test('the same settings are not tried again; a new password or another sender is', async () => {
  const { answers } = await answered();
  const runs: string[] = [];
  expect(await trial({}, { before: answers, runs })).toEqual({ isUntested: false, lines: [] });
  expect(runs).toEqual([]);
  await trial({}, { before: { ...answers, 'apps.snac.domain': 'other.example.org' }, runs });
  await trial({}, { before: { ...answers, 'mail.port': 465 }, runs });
  await trial({ password: 'new' }, { before: answers, password: 'new', runs });
  expect(runs).toHaveLength(3);
});

test('--skip-check mail', async () => {
  const runs: string[] = [];
  expect(await trial({}, { isSkipped: true, runs })).toEqual({
    isUntested: true,
    lines: ['– The mail server 192.0.2.25:587: not tried (--skip-check mail)'],
  });
  expect(runs).toEqual([]);
});

test.each<[string, Record<string, string>[], (string | number | undefined)[]]>([
  [
    'a provider gives server, port and encryption',
    [{ 'mail.provider': 'fastmail' }],
    ['smtp.fastmail.com', 465, 'tls', undefined],
  ],
  [
    'and a fixed user name',
    [{ 'mail.provider': 'sendgrid' }],
    ['smtp.sendgrid.net', 587, 'starttls', 'apikey'],
  ],
  [
    'an answer is stronger',
    [{ 'mail.provider': 'ses', 'mail.host': 'email-smtp.us-east-1.amazonaws.com' }],
    ['email-smtp.us-east-1.amazonaws.com', 465, 'tls', undefined],
  ],
  [
    'another provider discards what was saved with the first',
    [
      { 'mail.provider': 'sendgrid' },
      {
        'mail.provider': 'fastmail',
        'mail.host': 'smtp.fastmail.com',
        'mail.port': '465',
        'mail.security': 'tls',
        'mail.user': 'anna',
      },
    ],
    ['smtp.sendgrid.net', 587, 'starttls', 'apikey'],
  ],
])('%s', async (_, sources, expected) => {
  const {
    'mail.host': _host,
    'mail.port': _port,
    'mail.security': _security,
    'mail.user': _user,
    ...rest
  } = ANSWERS;
  const { answers } = await resolve(
    [...sources, rest].map(
      (source) => new Map(Object.entries(source).map(([key, text]) => [key, { text, from: key }])),
    ),
  );
  expect(['host', 'port', 'security', 'user'].map((name) => answers[`mail.${name}`])).toEqual(expected);
});
