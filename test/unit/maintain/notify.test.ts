/** When a mail about a problem is sent, and with which settings curl runs. */
import { expect, test } from 'vitest';
import { curlSettings, mailFor } from '../../../wizard/maintain/notify.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';

const at = (day: number): Date => new Date(Date.UTC(2026, 0, day));
const BACKUP = { key: 'backup', text: 'The disk is full.' };
const DISK = { key: 'check disk', text: '1 GB is free.' };

test('a problem is mailed once, again after a week, and when it is solved', () => {
  const first = mailFor('fedi', [BACKUP], {}, at(1));
  expect(first.mail).toMatchObject({
    subject: 'fedi: a problem',
    text: expect.stringContaining('- The disk is full.'),
  });
  const second = mailFor('fedi', [{ ...BACKUP, text: 'The disk is still full.' }], first.mailed, at(2));
  expect(second).toEqual({ mail: undefined, mailed: first.mailed });
  const other = mailFor('fedi', [BACKUP, DISK], second.mailed, at(3));
  expect(other.mail?.subject).toBe('fedi: 2 problems');
  expect(mailFor('fedi', [BACKUP, DISK], other.mailed, at(8)).mail?.text).toContain('The disk is full');
  const solved = mailFor('fedi', [], other.mailed, at(9));
  expect(solved).toMatchObject({ mail: { subject: 'fedi: all problems are solved' }, mailed: {} });
  expect(solved.mail?.text).toContain('Solved: backup, Disk\n');
  expect(mailFor('fedi', [], solved.mailed, at(10)).mail).toBeUndefined();
});

test('a new version is mailed once, and is never solved', () => {
  const news = {
    key: 'release mastodon v4.7.7',
    text: 'Mastodon v4.7.7 is available.',
    isNews: true,
  } as const;
  const first = mailFor('fedi', [news], {}, at(1));
  expect(first.mail).toMatchObject({
    subject: 'fedi: a new version is available',
    text: expect.stringContaining('- Mastodon v4.7.7 is available.'),
  });
  expect(mailFor('fedi', [news], first.mailed, at(30)).mail).toBeUndefined();
  const both = mailFor('fedi', [news, BACKUP], first.mailed, at(2));
  expect(both.mail).toMatchObject({ subject: 'fedi: a problem' });
  expect(both.mail?.text).not.toContain('v4.7.7');
  const solved = mailFor('fedi', [], both.mailed, at(3));
  expect(solved.mail?.text).toContain('Solved: backup\n');
});

const SERVER = {
  host: 'smtp.example.org',
  port: 587,
  security: 'starttls',
  user: 'anna',
  auth: 'login',
  isCatcher: false,
} as const;

test('curl gets the security and the log-in of the site', () => {
  const settings = curlSettings(SERVER, new Secret('a"b\\c'), [
    ['mail-from', 'a@example.org'],
    ['mail-rcpt', 'b@example.org'],
  ]);
  expect(settings.split('\n')).toEqual([
    'url = "smtp://smtp.example.org:587"',
    'mail-from = "a@example.org"',
    'mail-rcpt = "b@example.org"',
    'ssl-reqd',
    String.raw`user = "anna:a\"b\\c"`,
    'login-options = "AUTH=LOGIN"',
    '',
  ]);
  const plain = curlSettings(
    { ...SERVER, host: '2001:db8::1', port: 25, security: 'none', user: undefined },
    undefined,
  );
  expect(plain).toContain('url = "smtp://[2001:db8::1]:25"\n');
  expect(plain).not.toMatch(/ssl-reqd|user|login/);
  expect(curlSettings({ ...SERVER, security: 'tls', port: 465 }, undefined)).toContain('smtps://');
});
