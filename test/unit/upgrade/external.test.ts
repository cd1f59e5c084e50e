/** Whether an upgrade has changed an external database, and what its administrator can do then. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { configOf } from '../../../wizard/answers/config.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { BackupSite } from '../../../wizard/backup/backup.ts';
import type { OneShot } from '../../../wizard/docker/engine.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { DatabaseChanged, externalOf, keepState, restoreExternal } from '../../../wizard/upgrade/external.ts';
import { failed, fakeProgress } from '../../support/fake-engine.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const PLACE = 'the database fedi at db.example.org:1234';

/** A site whose database server answers each question with the next of these states. @param id app */
async function siteWith(
  id: string,
  url: string | undefined,
  ...states: readonly (string | undefined)[]
): Promise<{ site: BackupSite; store: Store; shots: OneShot[] }> {
  const folder = tempFolder();
  writeTree(folder, { 'compose.yaml': `name: fedi\nx-data:\n  ${id}: ${PLACE}\n` });
  mkdirSync(join(folder, '.fedi'));
  const texts = Object.entries({
    apps: id,
    [`apps.${id}.domain`]: 'a.example.org',
    [`apps.${id}.admin`]: 'anna',
    [`apps.${id}.email`]: 'anna@example.org',
    ...(url === undefined ? {} : { [`apps.${id}.database`]: 'external' }),
  });
  const { answers } = await resolve([new Map(texts.map(([key, text]) => [key, { text, from: 'a test' }]))]);
  const store = await Store.open(folder);
  if (url !== undefined) store.put(`apps.${id}.database-url`, 'free', url, new Date());
  await store.save();
  const shots: OneShot[] = [];
  const left = [...states];
  const engine = {
    image: async () => ({ id: 'here' }),
    run: async (shot: OneShot) => {
      shots.push(shot);
      const stdout = left.shift();
      return stdout === undefined ? failed('no route to host') : { code: 0, stdout, stderr: '' };
    },
  };
  return { site: { folder, config: configOf(answers), engine: engine as never }, store, shots };
}

const UPGRADE = { app: '', from: 'v1.0.0', to: 'v1.1.0', external: true as const };
const MASTODON = 'postgresql://me:p@db.example.org:1234/fedi';
const PIXELFED = 'mysql://me:p@db.example.org:1234/fedi';

describe.each([
  [
    'mastodon',
    MASTODON,
    'schema_migrations',
    ["dropdb --force 'fedi'", /^pg_restore .* mastodon_db\.pgdump$/],
  ],
  [
    'pixelfed',
    PIXELFED,
    'migrations',
    [/^mariadb -e 'drop database fedi; /, "mariadb 'fedi' <pixelfed_db.sql"],
  ],
])('%s', (id, url, table, commands) => {
  const upgrade = { ...UPGRADE, app: id };

  test('one that is as before is no problem', async () => {
    const { site, store, shots } = await siteWith(id, url, 'same\n', 'same\n');
    await keepState(site, site.config.apps, store);
    await restoreExternal(site, upgrade, fakeProgress());
    expect(shots.map(({ argv, network }) => [argv.at(-1), network])).toEqual([
      [table, 'bridge'],
      [table, 'bridge'],
    ]);
  });

  test('one that was changed: how to go back, and how to go on', async () => {
    const { site, store } = await siteWith(id, url, 'before', 'after');
    await keepState(site, site.config.apps, store);
    const problem = await problemFrom(() => restoreExternal(site, upgrade, fakeProgress()));
    expect(problem).toBeInstanceOf(DatabaseChanged);
    expect(problem.message).toBe(`v1.1.0 has changed ${PLACE}, and v1.0.0 cannot use it now.`);
    const shown = [...(problem.next ?? '').matchAll(/^ {2}`(.+)`$/gm)].map(([, command]) => command);
    expect(shown[0]).toMatch(/^docker run --rm .*--volume=fedi_undo:\/stage:ro .*/);
    for (const command of commands)
      expect(shown).toContainEqual(typeof command === 'string' ? command : expect.stringMatching(command));
    expect(problem.next).toContain(`fedi-setup upgrade --confirm ${id}`);
  });

  test('one that cannot be asked counts neither as changed nor as restored', async () => {
    const { site, store } = await siteWith(id, url, 'before');
    await keepState(site, site.config.apps, store);
    const problem = await problemFrom(() => restoreExternal(site, upgrade, fakeProgress()));
    expect(problem).not.toBeInstanceOf(DatabaseChanged);
    expect(problem.message).toContain('no route to host');
  });

  test('one in a container is not asked', async () => {
    const { site, store, shots } = await siteWith(id, undefined);
    await keepState(site, site.config.apps, store);
    await restoreExternal(site, upgrade, fakeProgress());
    expect(shots).toEqual([]);
  });
});

describe('PostgreSQL whose objects all belong to the account', () => {
  const { external: _, ...upgrade } = { ...UPGRADE, app: 'mastodon' };

  test('is restored from the dump', async () => {
    const { site, store, shots } = await siteWith('mastodon', MASTODON, 'before', 'after', '', 'before');
    await keepState(site, site.config.apps, store);
    await restoreExternal(site, upgrade, fakeProgress());
    expect(shots[2]).toMatchObject({ mounts: ['fedi_undo:/stage:ro'] });
    expect(shots[2]?.argv.at(-1)).toBe('/stage/mastodon_db.pgdump');
  });

  test.each([
    ['that cannot be loaded', ['before', 'after'], 'no route to host'],
    [
      'that is not as before then',
      ['before', 'after', '', 'other'],
      'its schema differs from the one before',
    ],
  ])('one %s: the administrator decides', async (_what, states, why) => {
    const { site, store } = await siteWith('mastodon', MASTODON, ...states);
    await keepState(site, site.config.apps, store);
    const problem = await problemFrom(() => restoreExternal(site, upgrade, fakeProgress()));
    expect(problem).toBeInstanceOf(DatabaseChanged);
    expect(problem.message).toContain(`It could not be restored: ${why}`);
    expect(problem.next).toMatch(/^Fix that and run `fedi-setup upgrade` again\. Or restore it yourself:/);
  });

  test.each([
    [MASTODON, '', []],
    [MASTODON, 'the extension x\nobjects of y\n', ['the extension x', 'objects of y']],
    [PIXELFED, undefined, ['its server cannot undo changes of the schema']],
  ])('%s, besides: %j', async (url, printed, obstacles) => {
    const id = url === MASTODON ? 'mastodon' : 'pixelfed';
    const { site } = await siteWith(id, url, printed);
    expect(await externalOf(site, site.config.apps[0] as never, fakeProgress())).toEqual({
      place: PLACE,
      obstacles,
    });
  });
});
