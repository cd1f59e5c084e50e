/** New and changed buckets are tried before anything is written. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configOf } from '../../../wizard/answers/config.ts';
import { tryBuckets } from '../../../wizard/apply/buckets.ts';
import { checkBuckets } from '../../../wizard/checks/buckets.ts';
import type { CheckContext } from '../../../wizard/checks/check.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { Problem } from '../../../wizard/problem.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import type { Store } from '../../../wizard/secrets/store.ts';
import { s3 } from '../../images/s3/server.mjs';
import type { S3Line } from '../../images/s3/server.mjs';
import { tempFolder } from '../../support/temp.ts';

const log: S3Line[] = [];
const server = s3(
  {
    region: 'eu-test-1',
    keys: { AKIATEST: { secret: 'right' } },
    buckets: { media: { cors: '*' }, quiet: {}, policy: { cors: '*', acl: false, public: true } },
  },
  { log: (line) => log.push(line) },
);
let endpoint = '';
beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());

const answers = (app: string, more: Answers = {}): Answers => ({
  name: 'fedi',
  apps: app,
  [`apps.${app}.domain`]: 'social.example.org',
  [`apps.${app}.admin`]: 'anna',
  [`apps.${app}.email`]: 'anna@example.org',
  [`apps.${app}.media`]: 's3',
  [`apps.${app}.s3.endpoint`]: endpoint,
  [`apps.${app}.s3.region`]: 'eu-test-1',
  [`apps.${app}.s3.bucket`]: 'media',
  [`apps.${app}.s3.access-key`]: 'AKIATEST',
  'tls.mode': 'acme',
  'mail.mode': 'none',
  bind: '127.0.0.1',
  ...more,
});

interface Options {
  readonly app?: string;
  readonly more?: Answers;
  readonly before?: Answers;
  readonly secret?: string;
  /** The secret key was given in this run. */
  readonly isGiven?: boolean;
  readonly isSkipped?: boolean;
}

async function trial(options: Options = {}): Promise<{ isUntested: boolean; lines: string[] }> {
  const { app = 'mastodon', more, before = {}, secret = 'right', isGiven, isSkipped = false } = options;
  const lines: string[] = [];
  let title = '';
  const key = `apps.${app}.s3.secret-key`;
  const isUntested = await tryBuckets({
    config: configOf(answers(app, more)),
    store: { find: (name: string) => (name === key ? new Secret(secret) : undefined) } as unknown as Store,
    ownCas: undefined,
    before,
    secrets: isGiven === true ? { [key]: secret } : {},
    isSkipped,
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
const at = (): string => endpoint.slice('http://'.length);

test('a new bucket is tried as the app uses it, in parts too', async () => {
  log.length = 0;
  expect(await trial()).toEqual({
    isUntested: false,
    lines: [
      `✔ The bucket media at ${at()}: written at ${at()}, read anonymously at ${at()}, not listed, uploaded in parts, deleted`,
    ],
  });
  expect(log.some(({ path }) => path.includes('partNumber=2'))).toBe(true);
  expect(server.buckets['media']?.objects.size).toBe(0);
});

test('what fails is a problem of the answers, with how to skip it', async () => {
  const wrong = await trial({ secret: 'wrong' }).catch((error: unknown) => error);
  expect(wrong).toBeInstanceOf(Problem);
  const { exit, message, means, next } = wrong as Problem;
  expect([exit, message]).toEqual([
    2,
    `The bucket media at ${at()}: writing: the secret key does not belong to this access key (SignatureDoesNotMatch).`,
  ]);
  expect(means).toContain('Nothing was changed.');
  expect(next).toBe(
    'Copy it again. If it is right, the region may be wrong.\n(--skip-check bucket skips this.)',
  );
});

test('what only warns is shown and refuses nothing', async () => {
  const { lines } = await trial({ more: { 'apps.mastodon.s3.bucket': 'quiet' } });
  expect(lines).toEqual([
    expect.stringContaining('✔ The bucket quiet'),
    expect.stringMatching(/^ {2}! CORS: no header .*\n {4}Give the bucket a CORS rule/),
  ]);
});

test.each([
  ['mastodon', /Set acl to none; or/],
  ['pixelfed', /This app sets an ACL on each object/],
])('a bucket without ACLs, for %s', async (app, words) => {
  const refused = await trial({ app, more: { [`apps.${app}.s3.bucket`]: 'policy' } }).catch(
    (error: unknown) => error,
  );
  expect((refused as Problem).next).toMatch(words);
});

test('the same bucket is not tried again; another one or a new key is', async () => {
  const before = answers('mastodon');
  log.length = 0;
  expect(await trial({ before })).toEqual({ isUntested: false, lines: [] });
  expect(log).toEqual([]);
  for (const more of [{ before, isGiven: true }, { before: { ...before, 'apps.mastodon.s3.acl': 'none' } }])
    expect((await trial(more)).lines).toHaveLength(1);
});

test('a public host that Caddy will serve: the S3 interface is read, and needs no CORS rule', async () => {
  const more = { 'apps.mastodon.s3.alias': 'media.example.org', 'apps.mastodon.s3.bucket': 'quiet' };
  const { lines } = await trial({ more: { ...more, 'apps.mastodon.s3.proxy': 'caddy' } });
  expect(lines).toEqual([expect.stringContaining(`read anonymously at ${at()}`)]);
  expect((await trial({ more })).lines[1]).toContain('! reading anonymously: ');
});

test('--skip-check bucket', async () => {
  log.length = 0;
  expect(await trial({ isSkipped: true, secret: 'wrong' })).toEqual({
    isUntested: true,
    lines: [`– The bucket media at ${at()}: not tried (--skip-check bucket)`],
  });
  expect(log).toEqual([]);
});

test('doctor: the same steps with a small object; faults and warnings', async () => {
  const folder = tempFolder();
  const check = async (bucket: string, secret: string) => {
    writeFileSync(
      join(folder, 'secrets.json'),
      JSON.stringify({
        version: 1,
        secrets: { 'apps.mastodon.s3.secret-key': { value: secret, class: 'free' } },
      }),
      { mode: 0o600 },
    );
    return checkBuckets({
      config: configOf(answers('mastodon', { 'apps.mastodon.s3.bucket': bucket })),
      folder,
      info: {},
      exists: true,
    } as unknown as CheckContext);
  };
  log.length = 0;
  expect(await check('media', 'right')).toEqual({
    seen: `media at ${at()}: written at ${at()}, read anonymously at ${at()}, not listed, deleted`,
    found: [],
  });
  expect(log.filter(({ path }) => path.includes('uploads'))).toEqual([]);
  expect((await check('quiet', 'right'))?.found).toMatchObject([
    { level: 'warning', what: expect.stringContaining('CORS: no header') },
  ]);
  expect((await check('media', 'wrong'))?.found).toMatchObject([
    {
      level: 'blocker',
      what: expect.stringContaining('cannot be used: writing: the secret key does not belong'),
      next: expect.stringMatching(/^Copy it again.*--mastodon-s3-…/),
    },
  ]);
});
