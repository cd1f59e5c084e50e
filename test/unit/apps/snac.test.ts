/** Settings of snac, and the commands that its arguments become. */
import { describe, expect, test } from 'vitest';
import { appOf } from '../../../wizard/apps/index.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import { appConfig } from '../../../wizard/config/config.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';

const config = (more: Answers): Config =>
  configOf({
    apps: 'snac',
    name: 'fedi',
    bind: '0.0.0.0',
    'apps.snac.domain': 'x.org',
    'apps.snac.admin': 'anna',
    'apps.snac.email': 'anna@x.org',
    'tls.mode': 'acme',
    'mail.mode': 'smtp',
    'mail.host': 'mail.x.org',
    'mail.port': 465,
    'mail.security': 'tls',
    ...more,
  });
const env = (more: Answers): Record<string, unknown> => {
  const one = config(more);
  return (
    appOf('snac').env(
      one,
      appConfig(one, 'snac'),
      (name) => new Secret(name),
      () => [],
    )['snac'] ?? {}
  );
};

describe('its mail', () => {
  test.each([
    [{}, 'smtps://mail.x.org:465'],
    [{ 'mail.port': 587, 'mail.security': 'starttls' }, 'smtp://mail.x.org:587'],
    [{ 'mail.host': '10.0.0.1', 'mail.port': 25, 'mail.security': 'none' }, 'smtp://10.0.0.1:25'],
    [{ 'mail.mode': 'catcher' }, 'smtp://mail:1025'],
    [{ 'mail.mode': 'none' }, ''],
  ] as const)('%j connects to %s', (answers, url) => {
    expect(env(answers)['SNAC_SMTP_URL']).toBe(url);
  });

  // parseHost accepts an IPv6 address, a URL needs it in brackets.
  test('an IPv6 address', () => {
    expect(env({ 'mail.host': '::1' })['SNAC_SMTP_URL']).toBe('smtps://[::1]:465');
  });

  test('a password only with a user name, and never without TLS', () => {
    expect(env({})['SNAC_SMTP_PASSWORD']).toBe('');
    expect(env({ 'mail.user': 'u' })['SNAC_SMTP_PASSWORD']).toBeInstanceOf(Secret);
  });

  test.each([
    ['starttls', 587, 0],
    ['starttls', 25, 1],
    ['starttls', 2525, 1],
    ['tls', 465, 0],
    ['none', 25, 0],
  ])('%s on %i: %i problems', (security, port, count) => {
    const site = config({ 'mail.security': security, 'mail.port': port });
    expect(appOf('snac').problems?.(site, appConfig(site, 'snac'))).toHaveLength(count);
  });
});

test.each([
  [[], ['snac']],
  [
    ['adduser', 'berta'],
    ['snac', 'adduser', '/data', 'berta'],
  ],
  [
    ['note', 'anna', '-'],
    ['snac', 'note', '/data', 'anna', '-'],
  ],
])('the arguments %j become the command %j', (words, argv) => {
  expect(appOf('snac').cli.argv(words)).toEqual(argv);
});
