/** What the support file hides: known texts in every form, and what looks like a secret, a person or an address. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hider } from '../../../wizard/support/hide.ts';
import { nastyText } from '../../support/nasty.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** How a program may print a secret. */
const FORMS: Readonly<Record<string, (text: string) => string>> = {
  plain: (text) => text,
  JSON: (text) => JSON.stringify({ text }),
  'JSON in JSON': (text) => JSON.stringify({ log: JSON.stringify({ text }) }),
  'JSON with slashes': (text) => JSON.stringify({ text }).replaceAll('/', '\\/'),
  'URL, component': (text) => `https://a/?x=1#${encodeURIComponent(text)}`,
  'URL, form': (text) => `body ${new URLSearchParams({ text }).toString()}`,
  base64: (text) => base64(text),
  'base64, one byte before': (text) => base64(`:${text}`),
  'base64, two bytes before': (text) => base64(`u:${text}:and more`),
  base64url: (text) => Buffer.from(`user:${text}`).toString('base64url'),
  hex: (text) => Buffer.from(text).toString('hex').toUpperCase(),
  shell: (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`,
  'Compose file': (text) => text.replaceAll('$', '$$$$'),
};

/** Without what a form adds, to see whether a piece of the secret is left. */
const CORE = 'Q7rZ-canary-9xKv';

describe('a known secret', () => {
  test.each(Object.entries(FORMS))('%s', (_name, form) => {
    for (const secret of [CORE, `it's "${CORE}" \\ $HOME #1/é`]) {
      const printed = form(secret);
      const known = hider([{ text: secret, name: 'mail.password' }]);
      const hidden = known(`before ${printed} after`);
      expect(hidden).toContain('<mail.password>');
      for (const [, other] of Object.entries(FORMS)) expect(hidden).not.toContain(other(CORE).slice(2, -2));
      expect(hidden).toMatch(/^before .* after$/);
    }
  });
  test('every text of six characters and more, in every form', () => {
    fc.assert(
      fc.property(nastyText, fc.constantFrom(...Object.values(FORMS)), (secret, form) => {
        fc.pre(
          secret.trim().length >= 6 && !secret.includes('\n') && Buffer.from(secret).toString() === secret,
        );
        // Short ones have no piece of base64 that is theirs alone.
        fc.pre(Buffer.byteLength(secret) >= 9);
        const known = hider([{ text: secret, name: 'x' }]);
        expect(known(form(secret))).toContain('<x>');
      }),
      { numRuns: 300 },
    );
  });
  test('a key in PEM: each line, also alone', () => {
    const key =
      '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n';
    const known = hider([{ text: key, name: 'tls.root' }]);
    for (const text of [key, JSON.stringify(key), 'hkiG9w0BAQEFAASC', base64('hkiG9w0BAQEFAASC')])
      expect(known(text)).not.toMatch(/hkiG|aGtpRz/);
  });
  test('a short one is hidden as a whole word', () => {
    const known = hider([{ text: 'abc', name: 'mail.password' }]);
    expect(known('abc "abc" abcd %3Aabc')).toBe('<mail.password> "<mail.password>" abcd %3A<mail.password>');
  });
  test('the longest one wins, and a replacement is not replaced', () => {
    const known = hider([
      { text: 'mail', name: 'admin', isWord: true },
      { text: 'anna@mail.example.org', name: 'mail.user' },
    ]);
    expect(known('mail anna@mail.example.org')).toBe('<admin> <mail.user>');
  });
});

describe('what others print', () => {
  const all = hider([{ text: 'anna', name: 'admin', isWord: true }]);
  test.each([
    ['method=GET path=/users/bob status=200', 'method=GET path=/users/<someone> status=200'],
    ['path=/@bob/109', 'path=/@<someone>/109'],
    ['path=/@anna', 'path=/@<admin>'],
    ['/.well-known/webfinger?resource=acct:bob@far.example', '/.well-known/webfinger?<query>'],
    ['from bob@example.com to acct%3Acarl%40far.example.net', 'from <someone> to <someone>'],
    ['"uri":"/oauth/authorize?code=abc&state=def"', '"uri":"/oauth/authorize?<query>"'],
    ['GET https://far.example/inbox?x=1', 'GET https://<server>/inbox?<query>'],
    ['postgres://fedi:secret@db:5432/x', 'postgres://<user>@db:5432/x'],
    ['Authorization: Bearer Zm9vYmFy.x-y', 'Authorization: <credentials>'],
    ['header Bearer Zm9vYmFy.x-y end', 'header <credentials> end'],
    ['password=hunter2 user_token: "a b"', 'password=<value> user_token: "<value>"'],
    ['"password"=>"hunter2", "client_secret":"x"', '"password"=>"<value>", "client_secret":"<value>"'],
    ['{\\"access_token\\":\\"abc\\"}', '{\\"access_token\\":\\"<value>\\"}'],
    ['remote_ip 203.0.113.7:443 and 2001:db8::1', 'remote_ip <address>:443 and <address>'],
    ['[2001:db8:0:1::7]:443', '[<address>]:443'],
    ['::ffff:203.0.113.7', '<address>'],
    ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', '<token>'],
    ['jti 5f3c1d2e9a7b4c6d8e0f1a2b3c4d5e6f7a8b', 'jti <token>'],
    ['-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----', '<key>'],
  ])('%s', (text, hidden) => expect(all(text)).toBe(hidden));

  test.each([
    'dial tcp 172.18.0.5:3000: connect: connection refused',
    '127.0.0.1:2021 [::1]:80 :: 10.0.0.1 192.168.1.5',
    '2026-06-15 12:00:00.123 UTC [1] LOG:  database system is ready',
    'ActiveRecord::ConnectionNotEstablished in app/models/account.rb:12',
    '/usr/share/rubygems-integration/all/gems/activerecord-7.2.2.1/lib/active_record/connection_adapters',
    'started with pid 12, 5 threads: exit code 0 at 12:34:56',
    'status code 500, what happened?',
    `caddy:2.11.4@sha256:${'0a'.repeat(32)}`,
  ])('stays: %s', (text) => expect(all(text)).toBe(text));
});
