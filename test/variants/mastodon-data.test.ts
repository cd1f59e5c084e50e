/** Mastodon's data on external servers, and in data directories. */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { allByTls, certificateFor, wantTls } from '../support/postgres-tls.ts';
import { docker, testSite, wipe } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;
const PASSWORD = "pa:ss@wörd/'$?#&";

const failed = (run: Run): unknown[] =>
  run.events
    .filter((event) => event.event === 'proof' && event['ok'] !== true)
    .map(({ id, seen }) => [id, seen]);

describe.sequential('external PostgreSQL and Redis', { timeout: PATIENCE_MS }, () => {
  const site = testSite('external', 78, 'social.fedi.test');
  const certificates = mkdtempSync(join(tmpdir(), 'fedi-ca-'));
  const servers = ['test-external-postgres', 'test-external-redis'];
  // Published on the address by which containers reach this host: to them it is another machine.
  const subnet = docker('network', 'inspect', 'bridge', '--format', '{{(index .IPAM.Config 0).Subnet}}');
  const host = subnet.replace(/\d+\/\d+$/, '1');
  const secret = encodeURIComponent(PASSWORD);
  const database = (password = secret, name = 'fedi'): string =>
    `postgresql://fedi:${password}@${host}:54329/${name}?sslmode=require`;
  const redis = (number: number): NodeJS.ProcessEnv => ({
    FEDI_MASTODON_REDIS_URL: `redis://:${secret}@${host}:63799/${number}`,
  });
  const env: NodeJS.ProcessEnv = {
    ...site.env,
    ...mastodonAnswers(site.domain),
    FEDI_MASTODON_DATABASE: 'external',
    FEDI_MASTODON_DATABASE_URL: database(),
    FEDI_MASTODON_REDIS: 'external',
    ...redis(3),
  };
  const valkey = (number: number, ...words: string[]): string =>
    docker(
      'exec',
      '--env',
      `REDISCLI_AUTH=${PASSWORD}`,
      'test-external-redis',
      'valkey-cli',
      '-n',
      String(number),
      ...words,
    );
  const sql = (query: string): string =>
    docker('exec', 'test-external-postgres', 'psql', '-U', 'fedi', '-d', 'fedi', '-tAc', query);

  const removeServers = (): void => {
    for (const name of servers) {
      if (docker('ps', '--all', '--quiet', '--filter', `name=^${name}$`) !== '')
        docker('rm', '--force', '--volumes', name);
    }
  };
  beforeAll(async () => {
    removeServers();
    docker(
      'run',
      '--detach',
      '--name',
      'test-external-postgres',
      '--publish',
      `${host}:54329:5432`,
      '--env',
      'POSTGRES_USER=fedi',
      '--env',
      `POSTGRES_PASSWORD=${PASSWORD}`,
      'fedi-setup/postgres:trixie',
    );
    docker(
      'run',
      '--detach',
      '--name',
      'test-external-redis',
      '--publish',
      `${host}:63799:6379`,
      'fedi-setup/valkey:trixie',
      'valkey-server',
      '--requirepass',
      PASSWORD,
    );
    // Over TCP: the server of the first initialisation listens on its socket only.
    await vi.waitFor(
      () =>
        docker('exec', 'test-external-postgres', 'psql', '-h', '127.0.0.1', '-U', 'fedi', '-c', 'select 1'),
      { timeout: 60_000, interval: 200 },
    );
    certificateFor(host, certificates);
    await wantTls('test-external-postgres', certificates);
  });
  afterAll(() => {
    site.remove();
    removeServers();
    rmSync(certificates, { recursive: true, force: true });
  });

  test.each([
    ['a wrong password', { FEDI_MASTODON_DATABASE_URL: database('wrong') }, /password authentication failed/],
    ['a missing database', { FEDI_MASTODON_DATABASE_URL: database(secret, 'none') }, /"none" does not exist/],
    [
      'nobody there',
      { FEDI_MASTODON_DATABASE_URL: database().replace('54329', '54328') },
      /Connection refused/,
    ],
    [
      'a server that requires TLS, used without',
      { FEDI_MASTODON_DATABASE_URL: database().replace('require', 'disable') },
      /no encryption/,
    ],
    [
      'a wrong password of Redis',
      { FEDI_MASTODON_REDIS_URL: `redis://:wrong@${host}:63799/3` },
      /WRONGPASS|NOAUTH/,
    ],
    ['a database number that Redis does not have', redis(99), /out of range/],
    [
      'no Redis at this address',
      { FEDI_MASTODON_REDIS_URL: `redis://:p@${host}:63798/3` },
      /Connection refused/,
    ],
  ])('detects %s before it writes anything', async (_, wrong, words) => {
    const run = await site.apply([], { env: { ...env, ...wrong } });
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(words);
    expect(run.stderr).not.toContain(PASSWORD);
    expect(() => site.read('secrets.json')).toThrow();
    expect(site.containers()).toEqual({});
  });

  test.each([
    [
      'a read-only database',
      () => sql('alter role fedi set default_transaction_read_only = on'),
      () =>
        docker(
          'exec',
          '--env',
          'PGOPTIONS=-c default_transaction_read_only=off',
          ...'test-external-postgres psql -U fedi -d fedi -c'.split(' '),
          'alter role fedi reset default_transaction_read_only',
        ),
      /it is read-only/,
    ],
    [
      'a replica of Redis',
      () => valkey(3, 'replicaof', '127.0.0.1', '1'),
      () => valkey(3, 'replicaof', 'no', 'one'),
      /it is a read-only replica\. Give the address of the primary/,
    ],
  ])('detects %s before it writes anything', async (_, set, reset, words) => {
    set();
    try {
      const run = await site.apply([], { env });
      expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(words)]);
      expect(() => site.read('secrets.json')).toThrow();
    } finally {
      reset();
    }
  });

  test('reports a missing URL', async () => {
    const { FEDI_MASTODON_DATABASE_URL: _, ...without } = env;
    const run = await site.apply([], { env: without });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--mastodon-database-url-file');
  });

  test('first run to the receipt, without its own database and Valkey, all connections with TLS', async () => {
    const run = await site.apply([], { env });
    expect(run.stderr).toBe('');
    expect(failed(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(Object.keys(site.containers()).toSorted()).toEqual([
      'caddy',
      'mastodon_assets',
      'mastodon_gate',
      'mastodon_sidekiq',
      'mastodon_streaming',
      'mastodon_uploads',
      'mastodon_web',
    ]);
    expect(sql('select count(*) from accounts where username = $$anna$$')).toBe('1');
    expect(allByTls('test-external-postgres')).toBe(true);
    expect(site.read('fedi.yaml')).not.toContain(host);
    expect(site.read('compose.yaml')).not.toContain(PASSWORD);
  });

  test('the second run does nothing', async () => {
    const run = await site.apply([], { env });
    expect(run.code).toBe(0);
    expect(run.events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
  });

  test('refuses to verify the certificate of an IP address, which streaming cannot', async () => {
    const before = site.containers();
    const run = await site.apply([], {
      env: { ...env, FEDI_MASTODON_DATABASE_URL: database().replace('require', 'verify-full') },
    });
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/only for a host name/)]);
    expect(site.containers()).toEqual(before);
  });

  test('refuses another site on that database, and another location for these data', async () => {
    const second = testSite('external-thief', 79, 'other.fedi.test');
    try {
      const run = await second.apply([], {
        env: { ...env, ...second.env, ...mastodonAnswers(second.domain) },
      });
      expect(run.code).toBe(3);
      expect(run.stderr).toContain(`belong to ${site.domain}`);
    } finally {
      second.remove();
    }
    const before = site.containers();
    const run = await site.apply([], { env: { ...env, FEDI_MASTODON_DATABASE: 'local' } });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(`the database fedi at ${host}:54329`);
    expect(site.containers()).toEqual(before);
  });

  test('refuses another site in that Redis database, and a Redis database with foreign keys', async () => {
    sql('create database other');
    valkey(5, 'set', 'mine', '1');
    const second = testSite('external-thief', 79, 'other.fedi.test');
    const theirs = {
      ...env,
      ...second.env,
      ...mastodonAnswers(second.domain),
      FEDI_MASTODON_DATABASE_URL: database(secret, 'other'),
    };
    try {
      for (const [number, expected] of [
        [3, `The data in number 3 of the Redis at ${host}:63799 belong to ${site.domain}`],
        [5, `There are data in number 5 of the Redis at ${host}:63799 that fedi-setup did not create`],
      ] as const) {
        const run = await second.apply([], { env: { ...theirs, ...redis(number) } });
        expect(run.stderr).toContain(expected);
        expect(run.code).toBe(3);
        expect(second.containers()).toEqual({});
      }
    } finally {
      second.remove();
    }
    expect(valkey(5, 'keys', '*')).toBe('mine');
  });

  test('marks a Redis again that lost its keys in a restart', async () => {
    valkey(3, 'flushdb');
    valkey(3, 'set', 'queue', 'of the site');
    docker('stop', `${site.name}-caddy-1`);
    const run = await site.apply([], { env });
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(valkey(3, 'get', 'fedi-setup')).toContain(site.domain);
  });
});

const CHOSEN = `it's "böse" $HOME \\ %s 12`;

describe.sequential('custom data directories and a custom password', { timeout: PATIENCE_MS }, () => {
  const site = testSite('folders', 78, 'social.fedi.test');
  const disks = mkdtempSync(join(tmpdir(), 'fedi-disks-'));
  const env: NodeJS.ProcessEnv = {
    ...site.env,
    ...mastodonAnswers(site.domain),
    FEDI_MASTODON_PASSWORD: CHOSEN,
    FEDI_MASTODON_DB_DIR: join(disks, 'db'),
    FEDI_MASTODON_VALKEY_DIR: join(disks, 'valkey'),
    FEDI_MASTODON_MEDIA_DIR: join(disks, 'media'),
  };
  afterAll(() => {
    site.remove();
    rmSync(disks, { recursive: true, force: true });
  });

  test('first run to the receipt: the data are there, with the app’s owner', async () => {
    // Like a separate disk: owned by root, and not empty.
    mkdirSync(join(disks, 'media/lost+found'), { recursive: true, mode: 0o755 });
    const run = await site.apply([], { env });
    expect(failed(run)).toEqual([]);
    expect(run.code).toBe(0);
    // The receipt logged in with it; a chosen password is not shown.
    expect(run.events.some(({ event }) => event === 'admin')).toBe(false);
    expect(run.stdout + run.stderr).not.toContain('böse');
    expect(statSync(join(disks, 'db/pgdata/PG_VERSION')).uid).toBe(999);
    expect(statSync(join(disks, 'valkey')).uid).toBe(999);
    expect(statSync(join(disks, 'media/media_attachments')).uid).toBe(991);
  });

  test('uninstall and apply keep the data', async () => {
    docker('rm', '--force', ...Object.values(site.containers()));
    wipe(site.name);
    const run = await site.apply([], { env });
    expect(run.code).toBe(0);
    expect(run.events.some(({ event, id }) => event === 'act' && id === 'mastodon.owner')).toBe(false);
  });

  test('refuses another directory for existing data', async () => {
    const before = site.containers();
    const run = await site.apply([], { env: { ...env, FEDI_MASTODON_DB_DIR: join(disks, 'new') } });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain(join(disks, 'db'));
    expect(site.containers()).toEqual(before);
  });
});
