/** Backups into the site or into Docker's data are refused, also through symbolic links and paths that do not exist yet. */
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { refuseInside } from '../../../wizard/backup/backup.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

const parent = tempFolder();
const [site, docker, other] = ['site', 'docker', 'other'].map((name) => join(parent, name)) as [string, string, string]; // prettier-ignore
for (const path of [site, docker, other]) mkdirSync(path);
symlinkSync(site, join(parent, 'to-site'));
symlinkSync(docker, join(parent, 'to-docker'));

const engine = { info: async () => ({ dataRoot: docker, mapsUsers: false }) } as unknown as Engine;
const config = { name: 'fedi', apps: [], backup: undefined } as unknown as Config;
const refuse = (path: string): Promise<void> =>
  refuseInside({ folder: site, config, engine }, [{ kind: 'local', text: path, path }]);

test.each([
  ['site/new', 'the site directory'],
  ['site', 'the site directory'],
  ['to-site/new', 'the site directory'],
  ['to-site/new/deeper', 'the site directory'],
  ['to-docker/new', 'Docker’s data'],
])('%s is refused', async (path, what) => {
  const { exit, message } = await problemFrom(() => refuse(join(parent, path)));
  expect([exit, message]).toEqual([3, expect.stringContaining(`is in, or contains, ${what}`)]);
});

test('another directory is accepted, whether it exists or not', async () => {
  await refuse(other);
  await refuse(join(other, 'new/deeper'));
});
