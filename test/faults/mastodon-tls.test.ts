/**
 * An external PostgreSQL and Redis with verified certificates: by the programs, variables and CA certificates of Mastodon.
 * A test CA replaces the public ones, in a separate image.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { resolve } from '../../wizard/answers/resolve.ts';
import { checkMarkers } from '../../wizard/apply/marker.ts';
import { runTrials } from '../../wizard/apply/trials.ts';
import { trustMounts, trustProblems } from '../../wizard/apply/trust.ts';
import { CUSTOM_TRUST } from '../../wizard/layout.ts';
import { configOf } from '../../wizard/answers/config.ts';
import { connect } from '../../wizard/docker/docker.ts';
import type { Lock } from '../../wizard/plan/lock.ts';
import { jsonProgress } from '../../wizard/progress.ts';
import { Store } from '../../wizard/secrets/store.ts';
import { attempt, needImages } from '../support/acme.ts';
import { DATABASE_NAME, certificateFor, wantTls } from '../support/postgres-tls.ts';
import { problemFrom } from '../support/problem.ts';
import { docker } from '../support/site.ts';

const IMAGE = 'fedi-setup/mastodon:trixie';
const TRUSTING = 'fedi-setup-test/mastodon:trusts';
const POSTGRES = 'test-tls-postgres';
const REDIS = 'test-tls-redis';
const PASSWORD = "pa:ss@wörd/'$?#&";
const SECRET = encodeURIComponent(PASSWORD);

const folder = mkdtempSync(join(tmpdir(), 'fedi-mastodon-tls-'));
const subnet = docker('network', 'inspect', 'bridge', '--format', '{{(index .IPAM.Config 0).Subnet}}');
/** The address in the certificates. */
const host = subnet.replace(/\d+\/\d+$/, '1');

/** Resolved answers and a store for these URLs; the image trusts the CA or not. */
async function site(
  urls: { database: string; redis: string },
  image = TRUSTING,
  answers: Readonly<Record<string, string>> = {},
) {
  const resolved = await resolve([
    new Map(
      Object.entries({
        apps: 'mastodon',
        name: 'test-mastodon-tls',
        'tls.mode': 'internal',
        'mail.mode': 'none',
        'apps.mastodon.domain': 'tls.fedi.test',
        'apps.mastodon.admin': 'anna',
        'apps.mastodon.email': 'anna@fedi.test',
        'apps.mastodon.size': '2gb',
        'apps.mastodon.database': 'external',
        ...answers,
        'apps.mastodon.redis': 'external',
        'apps.mastodon.redis-url': urls.redis,
      }).map(([key, text]) => [key, { text, from: key }]),
    ),
  ]);
  expect(resolved.problems).toEqual([]);
  const config = configOf(resolved.answers);
  const store = await Store.open(mkdtempSync(join(folder, 'site-')));
  // Not as an answer: that refuses an IP address, because of streaming.
  store.put('apps.mastodon.database-url', 'free', urls.database, new Date());
  for (const [name, value] of Object.entries(resolved.secrets)) store.put(name, 'free', value, new Date());
  for (const name of ['primary', 'deterministic', 'salt'])
    store.put(`mastodon.encryption.${name}`, 'forever', name, new Date());
  const lock: Lock = { mastodon: { tag: image, id: '', source: 'loaded' } };
  return { config, store, lock };
}

const database = (at = `${host}:54330`, mode = 'verify-full'): string =>
  `postgresql://fedi:${SECRET}@${at}/fedi?sslmode=${mode}`;
const redis = (at = `${host}:63800`): string => `rediss://default:${SECRET}@${at}/3`;
const addressOf = (container: string): string =>
  docker('inspect', '--format', '{{.NetworkSettings.IPAddress}}', container);

async function tried(urls: { database?: string; redis?: string } = {}, image = TRUSTING): Promise<void> {
  const { config, store, lock } = await site({ database: database(), redis: redis(), ...urls }, image);
  await runTrials(await connect(), config, store, lock, jsonProgress(), []);
}

const remove = (): void => {
  attempt('rm', '--force', '--volumes', POSTGRES, REDIS);
  attempt('rmi', TRUSTING);
  rmSync(folder, { recursive: true, force: true });
};

describe.sequential('external servers with verified certificates', () => {
  beforeAll(async () => {
    needImages('mastodon', 'postgres', 'valkey');
    attempt('rm', '--force', '--volumes', POSTGRES, REDIS);
    certificateFor(host, folder);
    const context = mkdtempSync(join(folder, 'image-'));
    cpSync(join(folder, 'ca.crt'), join(context, 'ca.crt'));
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM ${IMAGE}\nUSER root\nCOPY ca.crt /usr/local/share/ca-certificates/test.crt\nRUN update-ca-certificates\nUSER mastodon\n`,
    );
    docker('build', '--quiet', '--tag', TRUSTING, context);
    const run = '--detach --publish'.split(' ');
    docker(
      'run',
      '--name',
      POSTGRES,
      ...run,
      `${host}:54330:5432`,
      '--env',
      'POSTGRES_USER=fedi',
      '--env',
      `POSTGRES_PASSWORD=${PASSWORD}`,
      'fedi-setup/postgres:trixie',
    );
    docker(
      'create',
      '--name',
      REDIS,
      '--publish',
      `${host}:63800:6380`,
      '--entrypoint',
      'valkey-server',
      'fedi-setup/valkey:trixie',
      '--port',
      '0',
      '--tls-port',
      '6380',
      '--tls-cert-file',
      '/server.crt',
      '--tls-key-file',
      '/server.key',
      '--tls-ca-cert-file',
      '/server.crt',
      '--tls-auth-clients',
      'no',
      '--protected-mode',
      'no',
      '--requirepass',
      PASSWORD,
    );
    for (const name of ['server.crt', 'server.key']) docker('cp', join(folder, name), `${REDIS}:/${name}`);
    docker('start', REDIS);
    await vi.waitFor(
      () => docker('exec', POSTGRES, 'psql', '-h', '127.0.0.1', '-U', 'fedi', '-c', 'select 1'),
      {
        timeout: 300_000,
        interval: 200,
      },
    );
    await wantTls(POSTGRES, folder);
  });
  afterAll(remove);

  test('are accepted if the container trusts their CA', async () => {
    await tried();
    await tried({ database: database(undefined, 'verify-ca') });
  });

  test.each([
    ['of an unknown CA, PostgreSQL', {}, IMAGE, /PostgreSQL.*certificate/],
    [
      'of an unknown CA, Redis',
      { database: database(undefined, 'require') },
      IMAGE,
      /Redis.*certificate is not accepted: (self-signed|unable)/,
    ],
    ['for another name, PostgreSQL', { database: 'container' }, TRUSTING, /PostgreSQL.*certificate/],
    [
      'for another name, Redis',
      { redis: 'container' },
      TRUSTING,
      /Redis.*certificate is not accepted: .*mismatch/,
    ],
  ])(
    'are refused with an explanation: a certificate %s',
    async (_, urls: { database?: string; redis?: string }, image, words) => {
      const problem = await problemFrom(() =>
        tried(
          {
            ...urls,
            ...(urls.database === 'container' ? { database: database(`${addressOf(POSTGRES)}:5432`) } : {}),
            ...(urls.redis === 'container' ? { redis: redis(`${addressOf(REDIS)}:6380`) } : {}),
          },
          image,
        ),
      );
      expect([problem.exit, problem.message]).toEqual([2, expect.stringMatching(words)]);
      expect(problem.message).not.toContain('pa:ss');
    },
  );

  test('a database of a private CA whose certificate is in trust/custom', async () => {
    const home = mkdtempSync(join(folder, 'home-'));
    mkdirSync(join(home, CUSTOM_TRUST), { recursive: true });
    cpSync(join(folder, 'ca.crt'), join(home, CUSTOM_TRUST, 'db.pem'));
    // Only the database: the image does not trust the CA.
    const { config, store, lock } = await site({ database: database(), redis: redis() }, IMAGE, {
      'apps.mastodon.database-ca': 'db.pem',
    });
    expect(await trustProblems(home, config, new Date())).toEqual([]);
    const run = async (mounts: readonly string[]): Promise<string> =>
      (await problemFrom(async () => runTrials(await connect(), config, store, lock, jsonProgress(), mounts)))
        .message;
    expect(await run(await trustMounts(home, config))).toMatch(/^Your Redis.*certificate is not accepted/);
    expect(await run([])).toMatch(/^Your PostgreSQL.*certificate/);
  });

  test('one private CA for both, by trust.ca', async () => {
    const home = mkdtempSync(join(folder, 'home-'));
    mkdirSync(join(home, CUSTOM_TRUST), { recursive: true });
    cpSync(join(folder, 'ca.crt'), join(home, CUSTOM_TRUST, 'own.pem'));
    const { config, store, lock } = await site({ database: database(), redis: redis() }, IMAGE, {
      'trust.ca': 'own.pem',
    });
    expect(await trustProblems(home, config, new Date())).toEqual([]);
    const mounts = await trustMounts(home, config);
    await runTrials(await connect(), config, store, lock, jsonProgress(), mounts);
    // Not by another file of the image.
    const refused = await problemFrom(async () =>
      runTrials(await connect(), config, store, lock, jsonProgress(), []),
    );
    expect(refused.message).toMatch(/^Your PostgreSQL.*certificate/);
    expect(refused.next).toContain('--trust-ca');
  });

  test('streaming verifies a private CA for a host name', () => {
    const connect =
      "new (require('pg').Client)({ host: 'db.fedi.test', port: 54330, user: 'fedi', database: 'fedi', password: process.env.P, ssl: { rejectUnauthorized: true } }).connect().then(() => console.log('connected'), (e) => console.log(e.message)).finally(() => process.exit())";
    const tried = (...more: string[]): string =>
      docker(
        ...`run --rm --add-host ${DATABASE_NAME}:${host} --entrypoint node`.split(' '),
        '--env',
        `P=${PASSWORD}`,
        ...more,
        'fedi-setup/mastodon-streaming:trixie',
        '-e',
        connect,
      ).trim();
    const mount = ['--volume', `${join(folder, 'ca.crt')}:/ca.pem:ro`];
    expect(tried(...mount, '--env', 'NODE_EXTRA_CA_CERTS=/ca.pem')).toBe('connected');
    expect(tried()).toMatch(/certificate/);
  });

  test('keep the ownership marker, with TLS', async () => {
    const { config, store } = await site({ database: database(), redis: redis() });
    const markers = async (): Promise<number> => {
      const unmarked = await checkMarkers(await connect(), config, store, () => TRUSTING, {}, [], {});
      for (const { write } of unmarked) await write();
      return unmarked.length;
    };
    expect(await markers()).toBe(2);
    expect(await markers()).toBe(0);
  });

  test('refuses a Redis that evicts keys, or warns about it', async () => {
    const set = (name: string, value: string): string =>
      docker(
        'exec',
        '--env',
        `REDISCLI_AUTH=${PASSWORD}`,
        REDIS,
        'valkey-cli',
        '--tls',
        '--insecure',
        '-p',
        '6380',
        'config',
        'set',
        name,
        value,
      );
    set('maxmemory', '64mb');
    set('maxmemory-policy', 'allkeys-lru');
    const problem = await problemFrom(() => tried());
    expect(problem.message).toMatch(/allkeys-lru.*noeviction/);
    set('maxmemory-policy', 'volatile-lru');
    await tried();
  });
});
