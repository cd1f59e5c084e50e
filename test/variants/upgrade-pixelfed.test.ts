/** Upgrades of Pixelfed, beside another app, on MariaDB: one that fails is undone, one that works is proven. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { appVersions, laravelMigrations } from '../support/app-versions.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

/** Its job ends with 0 and runs nothing. */
const SKIPPED = laravelMigrations('alter table statuses add mood int');
const VERSIONS = {
  '0.14.90': {},
  '0.14.91': laravelMigrations('alter table nowhere add mood int'),
  '0.14.93': { line: `${SKIPPED.line} && sed -i 's/if (! $pending)/if (true)/' standin/commands.php` },
  '0.14.92': laravelMigrations('alter table statuses add mood int'),
};

const site = testSite('upgrade-pf', 117);
const domain = `p.${site.domain}`;
let removeVersions = (): void => undefined;

const upgrade = (to: string): Promise<Run> =>
  tool(['upgrade', '--app', 'pixelfed', '--to', to, '--json', '--dir', site.folder], { env: environment() });
const version = async (): Promise<string> => {
  const http = client(site.bind, site.read('trust/root.crt'));
  const reply = await http(`https://${domain}/api/nodeinfo/2.0.json`);
  return reply.json<{ software: { version: string } }>().software.version;
};
const sql = (query: string): string =>
  docker(
    'exec',
    site.containers()['pixelfed_db'] ?? '',
    'sh',
    '-c',
    'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -h 127.0.0.1 -u "$MARIADB_USER" -NBe "$0" "$MARIADB_DATABASE"',
    query,
  );
const schema = (): string =>
  sql(
    "select count(*) from information_schema.columns where table_name = 'statuses' and column_name = 'mood'",
  );
const states = ({ events }: Run): unknown[] =>
  events.filter(({ event }) => event === 'upgrade').map(({ state }) => state);

beforeAll(async () => {
  removeVersions = appVersions('pixelfed', VERSIONS);
  const { FEDI_IMAGES_PIXELFED: _, ...answers } = pixelfedAnswers(domain);
  const first = await site.apply(['--backup-to', join(site.folder, '..', 'repository')], {
    env: { ...site.env, ...answers, FEDI_APPS: 'snac,pixelfed', FEDI_PIXELFED_RELEASE: '0.14.90' },
  });
  expect([first.stderr, first.code]).toEqual(['', 0]);
}, PATIENCE_MS);
afterAll(() => {
  site.remove();
  removeVersions();
});

describe.sequential('upgrade', { timeout: PATIENCE_MS }, () => {
  test('a migration that fails: undone; the other app is not touched', async () => {
    const before = [sql('select count(*) from users'), schema(), site.read('compose.yaml')];
    const { snac } = site.containers();
    const failed = await upgrade('0.14.91');
    expect([failed.code, states(failed), failed.stderr]).toEqual([
      1,
      ['undone'],
      expect.stringContaining('Pixelfed v0.14.90 runs again, with the data from before'),
    ]);
    expect([sql('select count(*) from users'), schema(), site.read('compose.yaml')]).toEqual(before);
    expect([await version(), site.containers()['snac']]).toEqual(['0.14.90', snac]);
  });

  test('a job that ends with 0 without its migrations: undone', async () => {
    const before = [sql('select count(*) from users'), site.read('compose.yaml'), site.read('fedi.yaml')];
    const failed = await upgrade('0.14.93');
    expect([failed.code, states(failed), failed.stderr]).toEqual([
      1,
      ['undone'],
      expect.stringContaining('1 migration of Pixelfed v0.14.93 did not run: 2026_07_01_000000_upgrade'),
    ]);
    expect([sql('select count(*) from users'), site.read('compose.yaml'), site.read('fedi.yaml')]).toEqual(
      before,
    );
    expect([await version(), schema()]).toEqual(['0.14.90', '0']);
  });

  test('a version that works', async () => {
    const done = await upgrade('0.14.92');
    expect([done.code, done.stderr, states(done)]).toEqual([0, '', ['upgraded']]);
    expect([await version(), schema()]).toEqual(['0.14.92', '1']);
  });
});
