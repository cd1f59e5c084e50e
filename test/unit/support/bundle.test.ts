/** `doctor bundle` of a site in which every secret and every name is a canary: none is in the file, in any form. */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { configOf } from '../../../wizard/answers/config.ts';
import { ALL_QUESTIONS, questionsFor } from '../../../wizard/answers/questions.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import { saveInto, worthSaving } from '../../../wizard/answers/save.ts';
import { commit, compare, makeFolders } from '../../../wizard/apply/files.ts';
import { main } from '../../../wizard/cli/main.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { wantedImages } from '../../../wizard/plan/lock.ts';
import { renderSite } from '../../../wizard/render/site.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { INFO } from '../../support/checks.ts';
import { OK, fakeContainer } from '../../support/fake-engine.ts';
import { captureOutput } from '../../support/output.ts';
import { SECRET_VALUES } from '../../support/render.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const NOW = new Date('2026-06-15T12:00:00Z');

/** Not to be found: its marker, in every form. */
const ANSWERS: Readonly<Record<string, string>> = {
  name: 'fedi',
  apps: 'snac,mastodon,pixelfed',
  'apps.snac.domain': 'canary-a1.canary-a0.org',
  'apps.snac.admin': 'canarya2',
  'apps.snac.email': 'canary-a3@canary-a4.net',
  'apps.mastodon.domain': 'canary-b1.canary-a0.org',
  'apps.mastodon.web-domain': 'canary-b2.canary-a0.org',
  'apps.mastodon.admin': 'canaryb3',
  'apps.mastodon.email': 'canary-b4@canary-a4.net',
  'apps.mastodon.title': 'The canary-b5 server',
  'apps.mastodon.size': '4gb',
  'apps.mastodon.database': 'external',
  'apps.mastodon.redis': 'external',
  'apps.mastodon.media': 's3',
  'apps.mastodon.s3.bucket': 'canary-b6',
  'apps.mastodon.s3.access-key': 'AKIACANARYB7',
  'apps.mastodon.s3.endpoint': 'https://canary-b8.example.com',
  'apps.pixelfed.domain': 'canary-c1.canary-a0.org',
  'apps.pixelfed.admin': 'canaryc2',
  'apps.pixelfed.email': 'canary-c3@canary-a4.net',
  'apps.pixelfed.description': 'Pictures of canary-c4',
  'apps.pixelfed.size': '4gb',
  'apps.pixelfed.media-dir': '/srv/canary-c5',
  'mail.mode': 'smtp',
  'mail.host': 'smtp.canary-d1.com',
  'mail.port': '465',
  'mail.user': 'canary-d2@canary-a4.net',
  'mail.from': 'canary-d3@canary-a4.net',
  'tls.mode': 'acme',
  'tls.email': 'canary-d4@canary-a4.net',
  'backup.to':
    'sftp://canaryd5@canary-d6.com/srv/backup,s3:https://canary-d7.com/canary-d8,s3:https://canary-d7.com/canary-e3',
  'backup.s3-key': 'AKIACANARYD9,canary-d7.com/canary-e3=AKIACANARYE4',
  'backup.ping': 'https://hc.canary-e1.com/canary-e2',
  bind: '127.0.0.178',
};

const PEM = (mark: string): string =>
  `-----BEGIN PRIVATE KEY-----\n${[1, 2, 3].map((i) => `${mark}line${i}${'x'.repeat(40)}`).join('\n')}\n-----END PRIVATE KEY-----\n`;

/** One for each secret there is. */
const SECRETS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.keys(SECRET_VALUES).map((name, i) => [name, `canary-S${i}-pa$$'w"ö\\rd/${i}`]),
  ),
  'mastodon.vapid': SECRET_VALUES['mastodon.vapid'] as string,
  'pixelfed.vapid': SECRET_VALUES['pixelfed.vapid'] as string,
  'pixelfed.passport': SECRET_VALUES['pixelfed.passport'] as string,
  'backup.ssh-key': PEM('CANARYP2'),
  'backup.password': 'CANARY-backup-P3',
  'backup.s3-secret': 'CANARY-s3-P4',
  'backup.s3-secret:canary-d7.com/canary-e3': 'CANARY-s3-P8',
  'snac.admin': 'CANARY-admin-P5',
  'mastodon.admin': 'CANARY-admin-P6',
  'pixelfed.admin': 'CANARY-admin-P7',
  'apps.mastodon.database-url': 'postgresql://canaryu1:canary%40u2@canary-u3.example.com:5432/fedi',
  'apps.mastodon.redis-url': 'rediss://default:canary-u4@canary-u5.example.com:6380/2',
};

const FORMS: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => JSON.stringify({ text }),
  (text) => encodeURIComponent(text),
  (text) => `x=${new URLSearchParams({ text }).toString()}`,
  (text) => Buffer.from(`user:${text}`).toString('base64'),
  (text) => Buffer.from(text).toString('base64url'),
  (text) => Buffer.from(text).toString('hex'),
];

/** What other people’s programs print. */
const STRANGERS = [
  'remote_ip=203.0.113.77 path=/@canary-x1/1 user canary-x2@far.example',
  'GET /oauth/authorize?code=canary-x3&state=canary-x4 200',
  'Authorization: Bearer canary-x5',
  '{"password":"canary-x6","token":"canary-x7"}',
  'Cookie: _session=canary-x8; other=canary-x9',
  'postgres://canary-y1:canary-y2@db/x client 2001:db8:77::1',
];

let folder = '';
let text = '';
const log = (): string =>
  [...Object.values(SECRETS), ...Object.values(ANSWERS).filter((one) => /canary/i.test(one))]
    .concat('AKIACANARYD9', 'AKIACANARYE4')
    .flatMap((secret) => FORMS.map((form) => `printed ${form(secret)}`))
    .concat(STRANGERS, 'the last line')
    .join('\n');

const engine = {
  info: () => Promise.resolve(INFO),
  noProxy: () => Promise.resolve(undefined),
  listed: () => Promise.resolve([]),
  networks: () => Promise.resolve([]),
  volume: () => Promise.resolve(undefined),
  volumes: () => Promise.resolve([]),
  image: () => Promise.resolve(undefined),
  run: () => Promise.resolve({ ...OK, code: 1 }),
  exec: () => Promise.resolve({ ...OK, code: 1, stderr: log() }),
  logs: () => Promise.resolve(log()),
  memoryOf: () => Promise.resolve(50 * 1024 ** 2),
  containers: () =>
    Promise.resolve([
      fakeContainer('caddy'),
      fakeContainer('mastodon_web', { health: 'unhealthy', healthOutput: log(), restarts: 4 }),
      fakeContainer('my_own'),
    ]),
} as unknown as Engine;

vi.mock('../../../wizard/docker/docker.ts', async (original) => ({
  ...(await original<object>()),
  connect: () => Promise.resolve(engine),
}));

const output = captureOutput();

beforeAll(async () => {
  folder = tempFolder();
  const resolved = await resolve([
    new Map(Object.entries(ANSWERS).map(([key, value]) => [key, { text: value, from: 'the test' }])),
  ]);
  const config = configOf(resolved.answers);
  await makeFolders(folder);
  const store = await Store.open(folder);
  for (const [name, value] of Object.entries(SECRETS))
    store.put(name, 'free', value.replace(/canary/i, 'old-canary'), NOW);
  for (const [name, value] of Object.entries(SECRETS)) store.put(name, 'free', value, NOW);
  await store.save();
  const lock = Object.fromEntries(
    Object.entries(wantedImages(config)).map(([name, { reference }]) => [
      name,
      { tag: reference, digest: `sha256:${'ab'.repeat(32)}` },
    ]),
  );
  const saved = worthSaving(questionsFor(config.apps.map(({ id }) => id)), resolved);
  const { files } = await renderSite({
    config,
    store,
    lock,
    answersText: saveInto(undefined, saved),
    customCaddy: '',
  });
  await commit(folder, await compare(folder, files), new Set());
  writeTree(folder, {
    'env/mastodon.local.env': 'MY_PASSWORD=canary-own-variable\n',
    'compose.override.yaml': 'services: { my_own: { environment: { X: canary-override } } }\n',
    'caddy/custom/mine.caddy': '# canary-custom\n',
    '.fedi/receipts/2026-06-15T10-00-00.000Z.json': JSON.stringify({
      version: 1,
      number: 1,
      at: '2026-06-15T10:00:00.000Z',
      generation: 1,
      proven: false,
      proofs: [{ app: 'snac', id: 'login', title: 'x', ok: false, ms: 12, seen: log() }],
    }),
    '.fedi/backups.json': JSON.stringify({
      repositories: {
        'sftp://canaryd5@canary-d6.com/srv/backup': {
          id: 'canary-id',
          failed: { at: '2026-06-14T00:00:00Z', why: 'canary-why' },
        },
      },
    }),
  });
  // Changed by hand: anything may be in it.
  writeFileSync(
    join(folder, 'compose.yaml'),
    `${readFileSync(join(folder, 'compose.yaml'), 'utf8')}# canary-edit\n`,
  );
});

describe('the support file', { timeout: 60_000 }, () => {
  test('is written with mode 0600, and what is in it is said', async () => {
    const path = join(folder, '../bundle-test-support.txt');
    writeFileSync(path, 'mine');
    expect(await main(['doctor', 'bundle', path, '--dir', folder, '--skip-check', 'dns,caa,clock'])).toBe(2);
    expect(output.text).toContain('is not a support file');
    rmSync(path);
    expect(await main(['doctor', 'bundle', path, '--dir', folder, '--skip-check', 'dns,caa,clock'])).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(output.text).toContain('Read it before you send it');
    text = readFileSync(path, 'utf8');
    // Again: an older support file is replaced.
    expect(await main(['doctor', 'bundle', path, '--dir', folder, '--skip-check', 'dns,caa,clock'])).toBe(0);
    rmSync(path);
  });

  test('no canary is in it, in any form', () => {
    expect(text).not.toMatch(/canary/i);
    for (const mark of ['canary', 'CANARY', 'Canary']) {
      for (const before of ['', 'x', 'xx'])
        expect(
          text.split('\n').filter((line) =>
            line.includes(
              Buffer.from(`${before}${mark}`)
                .toString('base64')
                .slice(before.length + 1, 7),
            ),
          ),
        ).toEqual([]);
      expect(text.toLowerCase()).not.toContain(Buffer.from(mark).toString('hex'));
    }
    for (const address of ['203.0.113.77', '2001:db8:77']) expect(text).not.toContain(address);
    expect(text).not.toContain(folder);
    for (const name of ['mastodon.vapid', 'pixelfed.vapid']) expect(text).not.toContain(SECRETS[name]);
    const lines = (SECRETS['pixelfed.passport'] ?? '').split('\n').filter((line) => line.length > 30);
    expect(lines.length).toBeGreaterThan(20);
    for (const line of lines) expect(text).not.toContain(line);
  });

  test('what helps is in it', () => {
    for (const part of [
      'Docker 28.2.2, Compose 2.36.0',
      'Apps: snac, mastodon (4gb), pixelfed (4gb)',
      'apps.mastodon.size: 4gb',
      'apps.mastodon.domain: (set)',
      'mail.port: 465',
      'caddy: running (healthy)',
      'mastodon_web: running (unhealthy)',
      'restarted 4 times',
      'mastodon_sidekiq: no container',
      'my_own: not of fedi-setup; running',
      `caddy: docker.io/library/caddy:2.11.4 sha256:${'ab'.repeat(32)}`,
      ' SMTP_PASSWORD ',
      'DB_POOL=10',
      '✖ snac login, 12 ms:',
      'generation 1: ',
      '-- compose.yaml (changed by hand since',
      '-- compose.override.yaml: ',
      '-- caddy/custom/mine.caddy: ',
      'handle_errors {',
      'https://<apps.mastodon.web-domain> {',
      '-- caddy\nprinted ',
      'the last line',
      '✔ Memory: ',
    ])
      expect(text).toContain(part);
    expect(text).not.toContain('-- my_own');
  });

  test('every question whose answer is a free text is hidden by default', () => {
    const shown = ALL_QUESTIONS.filter(({ choices, secret }) => choices === undefined && secret !== true);
    expect(shown.length).toBeGreaterThan(40);
    for (const { key } of shown)
      if (ANSWERS[key]?.includes('canary')) expect(text).toContain(`${key}: (set)`);
  });

  test('another action, and --fix with it', async () => {
    expect(await main(['doctor', 'banana', '--dir', folder])).toBe(2);
    expect(await main(['doctor', 'bundle', '--fix', '--dir', folder])).toBe(2);
  });
});
