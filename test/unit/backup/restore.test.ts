/** What a restore refuses before anything changes. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { appOf } from '../../../wizard/apps/index.ts';
import { refuseForeignFiles, refuseRestore } from '../../../wizard/backup/restore.ts';
import type { Access } from '../../../wizard/backup/restic.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { contextOf } from '../../support/checks.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const engineWith = (...volumes: string[]): Engine =>
  ({
    volume: async (name: string) => (volumes.includes(name) ? { device: undefined } : undefined),
  }) as unknown as Engine;

const appsIn = (directory: string) => contextOf({ 'apps.snac.data-dir': directory }).config.apps;

test('a data directory with other files is not emptied', async () => {
  const directory = join(tempFolder(), 'data');
  mkdirSync(directory);
  writeFileSync(join(directory, 'thesis.tex'), 'mine');
  const problem = await problemFrom(() => refuseForeignFiles(engineWith(), 'fedi', appsIn(directory)));
  expect([problem.exit, problem.message]).toEqual([
    3,
    expect.stringContaining(`${directory}, for the data of`),
  ]);
  expect(existsSync(join(directory, 'thesis.tex'))).toBe(true);
});

test('an empty or missing directory, and the one of an existing volume, are accepted', async () => {
  const directory = join(tempFolder(), 'data');
  await refuseForeignFiles(engineWith(), 'fedi', appsIn(directory));
  mkdirSync(directory);
  await refuseForeignFiles(engineWith(), 'fedi', appsIn(directory));
  writeFileSync(join(directory, 'server.json'), '{}');
  // Its user confirmed that the volume is overwritten.
  await refuseForeignFiles(engineWith('fedi_snac_data'), 'fedi', appsIn(directory));
});

test('a directory that cannot be read counts as full', async () => {
  const path = join(tempFolder(), 'file');
  writeFileSync(path, '');
  chmodSync(path, 0o600);
  expect((await problemFrom(() => refuseForeignFiles(engineWith(), 'fedi', appsIn(path)))).exit).toBe(3);
});

test('an app is not restored from a database server with a newer major version', async () => {
  const folder = tempFolder();
  writeTree(folder, {
    'fedi.yaml':
      'version: 1\napps:\n  mastodon:\n    domain: m.example.org\n    admin: anna\n    email: anna@example.org\ntls:\n  email: anna@example.org\n',
    'images.lock.yaml': 'postgres: { tag: "docker.io/library/postgres:15", digest: "sha256:1" }\n',
  });
  const engine = { containers: async () => [], volume: async () => undefined } as unknown as Engine;
  const store = await Store.open(folder);
  await store.ensure(appOf('mastodon').secrets, new Date());
  await store.save();
  const secrets = store.identityFingerprint(appOf('mastodon').secrets);
  const restore = (tag: string): Promise<void> =>
    refuseRestore({
      folder,
      access: { engine } as unknown as Access,
      apps: ['mastodon'],
      manifest: {
        version: 1,
        tool: '1',
        at: '2026-11-30T00:00:00Z',
        site: 'fedi',
        apps: [{ id: 'mastodon', domain: 'm.example.org', image: 'a/mastodon:v4.7.6', secrets }],
        dumps: [
          {
            app: 'mastodon',
            file: 'mastodon_db.pgdump',
            what: '',
            rows: {},
            image: { name: 'postgres', tag },
          },
        ],
        volumes: [],
        elsewhere: [],
      },
    });
  await restore('docker.io/library/postgres:15.3');
  const { exit, message } = await problemFrom(() => restore('docker.io/library/postgres:17-trixie'));
  expect([exit, message]).toEqual([
    3,
    'The backup of mastodon is of docker.io/library/postgres:17-trixie, which is newer than this site.',
  ]);
});
