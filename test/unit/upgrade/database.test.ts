/** Which databases can be upgraded, what is compared, and the volumes with old data. */
import { describe, expect, test } from 'vitest';
import {
  keptKey,
  keptVolumes,
  majorOf,
  olderDatabases,
  databaseServers,
} from '../../../wizard/apps/majors.ts';
import { MARIADB } from '../../../wizard/apps/shared/mariadb.ts';
import { POSTGRES } from '../../../wizard/apps/shared/postgres.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { Config } from '../../../wizard/config/config.ts';
import { refuseDifferent, refuseOtherDatabase, withImage } from '../../../wizard/upgrade/database.ts';
import { problemFrom } from '../../support/problem.ts';

async function site(more: Readonly<Record<string, string>> = {}): Promise<Config> {
  const apps = 'snac,mastodon,pixelfed';
  const texts = Object.entries({
    apps,
    ...Object.fromEntries(
      apps.split(',').flatMap((id) => [
        [`apps.${id}.domain`, `${id}.example.org`],
        [`apps.${id}.admin`, 'anna'],
        [`apps.${id}.email`, 'anna@example.org'],
      ]),
    ),
    ...more,
  });
  const resolved = await resolve([new Map(texts.map(([key, text]) => [key, { text, from: 'the test' }]))]);
  return configOf(resolved.answers);
}

test.each([
  ['docker.io/library/postgres:17-trixie', POSTGRES, '17'],
  ['docker.io/library/postgres:15.18@sha256:00', POSTGRES, '15'],
  ['localhost:5000/postgres', POSTGRES, undefined],
  ['mine/postgres:main', POSTGRES, undefined],
  ['docker.io/library/mariadb:10.11', MARIADB, '10'],
])('%s', (reference, spec, major) => {
  expect(majorOf(reference, spec)).toBe(major);
});

describe('which databases can be upgraded', () => {
  const found = async (images: Readonly<Record<string, string>>, more = {}): Promise<unknown[]> =>
    olderDatabases(await site(more), images).map(({ image, from, to, servers }) => [
      image,
      from,
      to,
      servers.map(({ service }) => service).join(' '),
    ]);
  const both = { 'apps.pixelfed.database': 'postgresql' };

  test('those that are older', async () => {
    expect(await found({ postgres: 'a/postgres:15', mariadb: 'a/mariadb:10.11' })).toEqual([
      ['postgres', '15', '17', 'mastodon_db'],
      ['mariadb', '10', '11', 'pixelfed_db'],
    ]);
    expect(await found({ postgres: 'a/postgres:17.1', mariadb: 'a/mariadb:11.4' })).toEqual([]);
    expect(await found({ postgres: 'a/postgres:18', mariadb: 'a/mariadb:mine' })).toEqual([]);
  });
  test('apps with the same image together', async () => {
    expect(await found({ postgres: 'a/postgres:15' }, both)).toEqual([
      ['postgres', '15', '17', 'mastodon_db pixelfed_postgres'],
    ]);
  });
  test('to the image that was chosen', async () => {
    expect(await found({ postgres: 'a/postgres:15' }, { 'images.postgres': 'a/postgres:16' })).toEqual([
      ['postgres', '15', '16', 'mastodon_db'],
    ]);
  });
  test('external ones and apps without any are refused', async () => {
    const config = await site({ 'apps.mastodon.database': 'external' });
    const refusal = async (id: string): Promise<string> =>
      (await problemFrom(async () => refuseOtherDatabase({ config }, id))).message;
    expect(await refusal('snac')).toBe('snac has no database.');
    expect(await refusal('other')).toBe('This site has no other.');
    expect(await refusal('mastodon')).toBe('The database of Mastodon is on your own server.');
    expect(await refusal('pixelfed').catch(() => 'fine')).toBe('fine');
  });
});

describe('volumes with old data', () => {
  test('have the server, its version and the day in their names, and are found again', async () => {
    const names = databaseServers(await site()).map((server) =>
      keptKey(server, server.image === 'postgres' ? '15' : '10', new Date('2026-11-30T23:59:00Z')),
    );
    expect(names).toEqual(['mastodon_db_pg15_2026-11-30', 'pixelfed_db_mariadb10_2026-11-30']);
    const volumes = [
      ...names.map((name) => `fedi_${name}`),
      'fedi_mastodon_db_pg15_2026-11-30-2',
      'fedi_mastodon_db',
      'fedi_snac_data',
      'other_mastodon_db_pg15_2026-11-30',
    ];
    expect(await keptVolumes({ volumes: async () => volumes }, 'fedi')).toEqual([
      { volume: volumes[0], key: 'mastodon_db' },
      { volume: volumes[1], key: 'pixelfed_db' },
      { volume: volumes[2], key: 'mastodon_db' },
    ]);
  });
});

describe('what is compared', () => {
  const rows = { accounts: 3, statuses: 5 };
  test('the same', () => refuseDifferent('rows', 'db', rows, { ...rows }));
  test.each([
    ['a row less', { accounts: 3, statuses: 4 }, 'statuses: 5 before, 4 now'],
    ['a table less', { accounts: 3 }, 'statuses: 5 before, none now'],
    ['a table more', { ...rows, more: 0 }, 'more: none before, 0 now'],
  ])('%s', async (_, after, words) => {
    const { message } = await problemFrom(async () => refuseDifferent('rows', 'db', rows, after));
    expect(message).toContain(words);
  });
  test('nothing at all is no success', async () => {
    const { message } = await problemFrom(async () => refuseDifferent('traits', 'db', {}, {}));
    expect(message).toBe('Nothing in db could be compared.');
  });
});

test('only the moved servers run the new image', () => {
  const compose = {
    name: 'fedi',
    services: { a: { image: 'x' }, b: { image: 'x' } },
    networks: {},
    volumes: {},
  };
  expect(withImage(compose, ['b'], 'y').services).toEqual({ a: { image: 'x' }, b: { image: 'y' } });
});
