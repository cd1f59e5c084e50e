/** Which versions an app can be upgraded to, and which migrations that runs. */
import { expect, test } from 'vitest';
import { mastodonUpgrades } from '../../../wizard/apps/mastodon/upgrades.ts';
import { pixelfedUpgrades } from '../../../wizard/apps/pixelfed/upgrades.ts';
import type { AppConfig } from '../../../wizard/config/config.ts';
import { pullProblem } from '../../../wizard/docker/docker.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import type { Runtime } from '../../../wizard/docker/runtime.ts';
import { pendingMigrations } from '../../../wizard/apps/migrations.ts';
import { newestPatch, refuseVersion } from '../../../wizard/upgrade/versions.ts';
import { problemFrom } from '../../support/problem.ts';

const reference = (version: string): string => `registry.example/app:${version}`;
/** A registry with these versions. */
function registry(...versions: string[]): { engine: Pick<Engine, 'findInRegistry'>; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    engine: {
      findInRegistry: async (name) => {
        asked.push(name.slice(name.lastIndexOf(':') + 1));
        if (versions.some((one) => reference(one) === name)) return { digest: 'sha256:0', platforms: [] };
        throw pullProblem(name, 'manifest unknown: manifest unknown');
      },
    },
  };
}

test.each([
  ['v4.7.1', ['v4.7.2', 'v4.7.3'], 'v4.7.3'],
  ['v4.7.1', ['v4.7.1'], undefined],
  // One that was withdrawn.
  ['v4.7.1', ['v4.7.3'], 'v4.7.3'],
  ['v4.7.1', ['v4.8.0'], undefined],
  ['v0.14.4', ['v0.14.5', 'v0.14.6'], 'v0.14.5'],
])('after %s, of %j: %s', async (from, versions, newest) => {
  const { engine } = registry(...versions);
  expect(await newestPatch(engine, from, reference, { '0.14.6': 'broken' })).toBe(newest);
});

test('the search ends after three missing numbers', async () => {
  const { engine, asked } = registry('v4.7.2');
  await newestPatch(engine, 'v4.7.1', reference);
  expect(asked).toEqual(['v4.7.2', 'v4.7.3', 'v4.7.4', 'v4.7.5']);
});

test('a registry that does not answer is an error, not "no newer version"', async () => {
  const engine = {
    findInRegistry: async (name: string) => {
      throw pullProblem(name, 'dial tcp: lookup registry.example: no such host');
    },
  };
  expect((await problemFrom(() => newestPatch(engine, 'v4.7.1', reference))).message).toContain(
    'no such host',
  );
});

test.each([
  ['v4.7.1', 'v4.7.2', undefined],
  ['v4.6.5', 'v4.7.0', undefined],
  ['v4.7.2', 'v4.7.1', 'Mastodon v4.7.1 is older than v4.7.2'],
  ['v4.5.1', 'v4.7.0', 'cannot be upgraded from 4.5 to 4.7 at once'],
  ['v4.7.1', 'v4.8.0', 'does not know Mastodon 4.8'],
])('Mastodon %s → %s: %s', async (from, to, words) => {
  const check = async (): Promise<void> => refuseVersion('Mastodon', mastodonUpgrades, from, to);
  if (words === undefined) await check();
  else expect(await problemFrom(check)).toMatchObject({ exit: 3, message: expect.stringContaining(words) });
});

test('the path of skipped versions is named', async () => {
  const problem = await problemFrom(async () =>
    refuseVersion('Mastodon', mastodonUpgrades, 'v4.5.1', 'v4.7.0'),
  );
  expect(problem.next).toContain('4.6, then 4.7');
});

test.each([
  ['v0.12.10', 'v0.14.4', undefined],
  ['v0.12.10', 'v0.12.7', 'is older'],
  ['v0.12.1', 'v0.12.5', 'known to be broken'],
])('Pixelfed %s → %s: %s', async (from, to, words) => {
  const check = async (): Promise<void> => refuseVersion('Pixelfed', pixelfedUpgrades, from, to);
  if (words === undefined) await check();
  else expect((await problemFrom(check)).message).toContain(words);
});

const LISTED = `db/migrate:
20260101000000_one.rb
20260102000000_two.rb

db/post_migrate:
20260103000000_three.rb
`;
const app = { options: { hasDatabase: true } } as unknown as AppConfig;
const pending = (listed: string, done: string, code = 0): Promise<unknown> =>
  pendingMigrations(
    { run: async () => ({ code: listed === '' ? 2 : 0, stdout: listed, stderr: '' }) } as unknown as Engine,
    { exec: async () => ({ code, stdout: done, stderr: 'no database' }) } as unknown as Runtime,
    mastodonUpgrades,
    app,
    'image',
  );

test('migrations that the database has not run yet', async () => {
  expect(await pending(LISTED, '20260101000000\n')).toEqual({
    before: ['20260102000000'],
    after: ['20260103000000'],
  });
  expect(await pending(LISTED, '20260101000000\n20260102000000\n20260103000000\n')).toEqual({
    before: [],
    after: [],
  });
  // Then the upgrade expects some.
  expect(await pending('', '')).toBeUndefined();
  expect((await problemFrom(() => pending(LISTED, '', 1))).message).toContain('no database');
});

test('the migrations of Pixelfed', () => {
  expect(pixelfedUpgrades.parse('2018_06_08_003624_create_media_table.php\nREADME\n')).toEqual({
    before: ['2018_06_08_003624_create_media_table'],
    after: [],
  });
});
