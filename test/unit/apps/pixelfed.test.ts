/** Settings of Pixelfed, its access, and impossible settings. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { APP_IDS, appOf } from '../../../wizard/apps/index.ts';
import { php } from '../../../wizard/apps/pixelfed/php.ts';
import { parsePixelfedVersion } from '../../../wizard/apps/pixelfed/version.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import { appConfig } from '../../../wizard/config/config.ts';
import { wantedImages } from '../../../wizard/plan/lock.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { Secret, reveal } from '../../../wizard/secrets/secret.ts';
import { SECRET_VALUES } from '../../support/render.ts';

const config = (more: Answers = {}): Config =>
  configOf({
    apps: 'pixelfed',
    name: 'fedi',
    bind: '0.0.0.0',
    'apps.pixelfed.domain': 'pix.x.org',
    'apps.pixelfed.admin': 'anna',
    'apps.pixelfed.email': 'anna@x.org',
    'apps.pixelfed.title': 'Pix',
    'apps.pixelfed.registrations': 'none',
    'apps.pixelfed.photo-size': 15,
    'apps.pixelfed.photos': 4,
    'apps.pixelfed.media-types': 'photos',
    'apps.pixelfed.stories': 'no',
    'apps.pixelfed.locale': 'en',
    'apps.pixelfed.size': '2gb',
    'tls.mode': 'acme',
    'mail.mode': 'none',
    ...more,
  });
const env = (more: Answers = {}): Record<string, string | number | undefined> => {
  const one = config(more);
  const group =
    appOf('pixelfed').env(
      one,
      appConfig(one, 'pixelfed'),
      (name) => new Secret(SECRET_VALUES[name] ?? name),
      () => [],
    )['pixelfed'] ?? {};
  return Object.fromEntries(
    Object.entries(group).map(([name, value]) => [
      name,
      value === undefined || typeof value === 'number' ? value : reveal(value),
    ]),
  );
};
const variables = (more: Answers): Readonly<Record<string, string>> =>
  appOf('pixelfed').variables(appConfig(config(more), 'pixelfed'));
const SMTP = {
  'mail.mode': 'smtp',
  'mail.host': 'mail.x.org',
  'mail.port': 587,
  'mail.security': 'starttls',
};

test.each([
  ['anna', 'anna'],
  ['@Anna', 'anna'],
  ['a1', 'a1'],
  ['anna.b', 'anna.b'],
  ['anna-b', 'anna-b'],
  ['a'.repeat(30), 'a'.repeat(30)],
])('accepts the name %s as %s', (given, taken) => {
  expect(appOf('pixelfed').parseAdmin(given)).toEqual({ value: taken });
});

test.each([
  ['a', '2 to 30'],
  ['a'.repeat(31), '2 to 30'],
  ['a.b.c', 'at most one'],
  ['a_b-c', 'at most one'],
  ['.anna', 'in between'],
  ['anna_', 'in between'],
  ['änna', '2 to 30'],
  ['12345', 'one letter'],
  ['anna.php', 'must not end in .php'],
  ['anna.js', 'must not end in .php, .js'],
  ['admin', 'reserves'],
  ['Root', 'reserves'],
  ['contact-us', 'reserves'],
  ['ns3', 'reserves'],
  ['my2027', 'reserves'],
  ['', 'A value is required'],
])('refuses the name %j: %s', (given, said) => {
  expect(appOf('pixelfed').parseAdmin(given)).toEqual({ problem: expect.stringContaining(said) });
});

test.each([
  ['v0.14.4', 'v0.14.4'],
  ['0.15.0', 'v0.15.0'],
  ['1.0.0', 'v1.0.0'],
  ['0.12.10', 'v0.12.10'],
])('accepts version %s as %s', (given, taken) => {
  expect(parsePixelfedVersion(given)).toEqual({ value: taken });
});

test.each([
  ['latest', 'Not a version'],
  ['stable', 'Not a version'],
  ['dev', 'Not a version'],
  ['0.12.3', 'migrations fail'],
  ['v0.12.7', 'access tokens'],
  ['0.12.6', 'oldest'],
  ['0.11.13', 'oldest'],
])('refuses version %s: %s', (given, said) => {
  expect(parsePixelfedVersion(given)).toEqual({ problem: expect.stringContaining(said) });
});

test('sets every domain variable from one domain', () => {
  expect(env()).toMatchObject({
    APP_URL: 'https://pix.x.org',
    APP_DOMAIN: 'pix.x.org',
    ADMIN_DOMAIN: 'pix.x.org',
    SESSION_DOMAIN: 'pix.x.org',
    TRUST_PROXIES: '*',
    MAIL_FROM_ADDRESS: 'notifications@pix.x.org',
  });
  expect(variables({})['PIXELFED_DOMAIN']).toBe('pix.x.org');
});

test('a sender’s display name replaces the title of the site', () => {
  expect(env({ ...SMTP, 'mail.from': '"Club, the best" <server@x.org>' })).toMatchObject({
    MAIL_FROM_ADDRESS: 'server@x.org',
    MAIL_FROM_NAME: 'Club, the best',
  });
  expect(env(SMTP)['MAIL_FROM_NAME']).toBe('Pix');
});

test.each([
  ['CACHE_STORE', 'CACHE_DRIVER'],
  ['QUEUE_CONNECTION', 'QUEUE_DRIVER'],
  ['BROADCAST_CONNECTION', 'BROADCAST_DRIVER'],
  ['MAIL_MAILER', 'MAIL_DRIVER'],
  ['REDIS_DB', 'REDIS_DATABASE'],
  ['DANGEROUSLY_SET_FILESYSTEM_DRIVER', 'FILESYSTEM_DRIVER'],
])('%s is also written as %s', (now, before) => {
  expect(env()[now]).toBeDefined();
  expect(env()[before]).toBe(env()[now]);
});

test.each([
  [15, 4, 15_360, '15M', '61M', '65011712', '20m'],
  [1, 1, 1024, '1M', '2M', '3145728', '20m'],
  [50, 20, 51_200, '50M', '1001M', '1050673152', '146m'],
])('%i MiB × %i photos: each limit allows what the next one accepts', (photo, photos, ...limits) => {
  const answers = { 'apps.pixelfed.photo-size': photo, 'apps.pixelfed.photos': photos };
  const { MAX_PHOTO_SIZE, MAX_ALBUM_LENGTH, PHP_UPLOAD_MAX_FILE_SIZE, PHP_POST_MAX_SIZE } = env(answers);
  expect(MAX_ALBUM_LENGTH).toBe(photos);
  expect([
    MAX_PHOTO_SIZE,
    PHP_UPLOAD_MAX_FILE_SIZE,
    PHP_POST_MAX_SIZE,
    variables(answers)['PIXELFED_BODY'],
    variables(answers)['PIXELFED_BODY_TIME'],
  ]).toEqual(limits);
});

describe('its keys', () => {
  const made = async (name: string): Promise<string> =>
    (await appOf('pixelfed')
      .secrets.find((spec) => spec.name === name)
      ?.make?.()) ?? '';
  test('APP_KEY is base64: and 32 bytes', async () => {
    const key = await made('pixelfed.app-key');
    expect(key).toMatch(/^base64:/);
    expect(Buffer.from(key.slice(7), 'base64')).toHaveLength(32);
  });
  test('Passport’s pair is RSA with 4096 bits, each half on one line', async () => {
    const key = createPrivateKey(await made('pixelfed.passport'));
    expect([key.asymmetricKeyType, key.asymmetricKeyDetails?.modulusLength]).toEqual(['rsa', 4096]);
    const { PASSPORT_PRIVATE_KEY, PASSPORT_PUBLIC_KEY } = env();
    expect(`${PASSPORT_PRIVATE_KEY}${PASSPORT_PUBLIC_KEY}`).not.toContain('\n');
    const pem = (text: unknown): string => String(text).replaceAll(String.raw`\n`, '\n');
    expect(createPublicKey(pem(PASSPORT_PRIVATE_KEY)).export({ type: 'spki', format: 'pem' })).toBe(
      `${pem(PASSPORT_PUBLIC_KEY)}\n`,
    );
  });
  test('the VAPID key has the format that browsers require', async () => {
    expect(await made('pixelfed.vapid')).toMatch(/^[\w-]{43}$/);
    expect(env()['VAPID_PUBLIC_KEY']).toMatch(/^B[\w-]{86}$/);
  });
  test('only the identity key is permanent: losing others costs sessions and tokens', () => {
    expect(
      appOf('pixelfed')
        .secrets.filter((spec) => spec.class === 'forever')
        .map(({ name }) => name),
    ).toEqual(['pixelfed.seal']);
  });
});

describe('its mail', () => {
  test.each([
    // prettier-ignore
    ['tls', 465, { MAIL_SCHEME: 'smtps', MAIL_AUTO_TLS: 'true', MAIL_ENCRYPTION: 'tls', MAIL_URL: 'smtp://mail.x.org:465?require_tls=true' }],
    // prettier-ignore
    ['starttls', 587, { MAIL_SCHEME: 'smtp', MAIL_AUTO_TLS: 'true', MAIL_ENCRYPTION: 'tls', MAIL_URL: 'smtp://mail.x.org:587?require_tls=true' }],
    // prettier-ignore
    ['none', 25, { MAIL_SCHEME: 'smtp', MAIL_AUTO_TLS: 'false', MAIL_ENCRYPTION: undefined, MAIL_URL: undefined }],
  ])('%s', (security, port, wanted) => {
    expect(env({ ...SMTP, 'mail.port': port, 'mail.security': security })).toMatchObject({
      MAIL_MAILER: 'smtp',
      MAIL_PORT: port,
      ENFORCE_EMAIL_VERIFICATION: 'true',
      ...wanted,
    });
  });
  test('an IPv6 address is in brackets', () => {
    expect(env({ ...SMTP, 'mail.host': '2001:db8::25' })['MAIL_URL']).toBe(
      'smtp://[2001:db8::25]:587?require_tls=true',
    );
  });
  test('none: written to the log, and no address is verified', () => {
    expect(env()).toMatchObject({ MAIL_MAILER: 'log', ENFORCE_EMAIL_VERIFICATION: 'false' });
  });
});

test.each([
  ['none', 'false', 'false'],
  ['approved', 'false', 'true'],
  ['open', 'true', 'false'],
])('registrations %s', (answer, open, curated) => {
  expect(env({ ...SMTP, 'apps.pixelfed.registrations': answer })).toMatchObject({
    OPEN_REGISTRATION: open,
    INSTANCE_CUR_REG: curated,
  });
});

describe('impossible settings', () => {
  const problems = (more: Answers): readonly string[] =>
    appOf('pixelfed').problems?.(config(more), appConfig(config(more), 'pixelfed')) ?? [];
  test.each(['approved', 'open'])('%s registrations without mail', (answer) => {
    expect(problems({ 'apps.pixelfed.registrations': answer })).toEqual([expect.stringContaining('mail')]);
    expect(problems({ 'apps.pixelfed.registrations': answer, ...SMTP })).toEqual([]);
  });
  test('a bucket without ACLs', () => {
    const bucket = {
      'apps.pixelfed.media': 's3',
      'apps.pixelfed.s3.bucket': 'photos',
      'apps.pixelfed.s3.region': 'x',
    };
    expect(problems(bucket)).toEqual([]);
    const acl = appOf('pixelfed').questions.find(({ key }) => key === 'apps.pixelfed.s3.acl');
    expect(acl?.parse('none')).toEqual({ problem: expect.stringContaining('always sets an ACL') });
    expect(acl?.choices).toHaveLength(1);
  });
});

test('a bucket: its public URL, and never as the default disk', () => {
  const bucket = {
    'apps.pixelfed.media': 's3',
    'apps.pixelfed.s3.bucket': 'photos',
    'apps.pixelfed.s3.region': 'eu',
    'apps.pixelfed.s3.access-key': 'AK',
    'apps.pixelfed.s3.endpoint': 'https://s3.example.org',
  };
  expect(env(bucket)).toMatchObject({
    PF_ENABLE_CLOUD: 'true',
    AWS_URL: 'https://s3.example.org/photos',
    AWS_ENDPOINT: 'https://s3.example.org',
    AWS_REQUEST_CHECKSUM_CALCULATION: 'WHEN_REQUIRED',
    DANGEROUSLY_SET_FILESYSTEM_DRIVER: 'local',
  });
  expect(env({ ...bucket, 'apps.pixelfed.s3.alias': 'm.example.org' })['AWS_URL']).toBe(
    'https://m.example.org',
  );
  expect(env()['PF_ENABLE_CLOUD']).toBeUndefined();
});

test('a lab does not warn about missing version checks; a server does', () => {
  const name = 'INSTANCE_SOFTWARE_UPDATE_DISABLE_FAILED_WARNING';
  expect([env({ 'tls.mode': 'internal' })[name], env()[name]]).toEqual(['true', undefined]);
});

test('no value is an argument of a command or part of a script', () => {
  const nasty = `'); system('id'); //`;
  const { argv, stdin } = php('echo 1;', { nasty });
  expect(argv).toEqual(['php']);
  expect(stdin).not.toContain('system');
});

test('the lab’s default name is valid for every app', () => {
  for (const id of APP_IDS) expect(appOf(id).parseAdmin('anna')).toEqual({ value: 'anna' });
});

test('uses the known digest only on the architecture it was recorded for', () => {
  const onIt = configOf({
    apps: 'pixelfed',
    'apps.pixelfed.domain': 'pix.example.org',
    'apps.pixelfed.admin': 'anna',
    'apps.pixelfed.email': 'anna@example.org',
    'apps.pixelfed.release': 'v0.14.4',
    'mail.mode': 'none',
    'tls.mode': 'acme',
    name: 'fedi',
    bind: '0.0.0.0',
  });
  expect(wantedImages(onIt, {}, 'x64')['pixelfed']?.digest).toMatch(/^sha256:/);
  expect(wantedImages(onIt, {}, 'arm64')['pixelfed']).not.toHaveProperty('digest');
});
