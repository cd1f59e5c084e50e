/** Saves the previous version before an upgrade: a disk that is full, before the dump and during it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configOf } from '../../../wizard/answers/config.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import { appOf } from '../../../wizard/apps/index.ts';
import type { OneShot, Output } from '../../../wizard/docker/engine.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { saveVersion } from '../../../wizard/upgrade/undo.ts';
import { OK, failed, fakeProgress } from '../../support/fake-engine.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const COMPOSE = `name: fedi
services:
  mastodon_db: { networks: { mastodon_data: {} } }
networks: { mastodon_data: {} }
volumes:
  mastodon_db: { name: fedi_mastodon_db }
  caddy_data: { name: fedi_caddy_data }
`;

/** Saves a site whose engine answers like this. */
async function save(run: (shot: OneShot) => Output): Promise<{ folder: string; work: Promise<unknown> }> {
  const folder = tempFolder();
  writeTree(folder, {
    'compose.yaml': COMPOSE,
    'images.lock.yaml': 'caddy:\n  tag: caddy:2\n  id: sha256:c\n  source: loaded\n',
    '.fedi/manifest.json': '{"version":1,"generation":1,"files":{}}',
  });
  const texts = Object.entries({
    apps: 'mastodon',
    'apps.mastodon.domain': 'a.example.org',
    'apps.mastodon.admin': 'anna',
    'apps.mastodon.email': 'anna@example.org',
  });
  const { answers } = await resolve([new Map(texts.map(([key, text]) => [key, { text, from: 'a test' }]))]);
  const config = configOf(answers);
  const store = await Store.open(folder);
  await store.ensure(appOf('mastodon').secrets, new Date());
  await store.save();
  const engine = {
    volumes: async () => ['fedi_caddy_data'],
    createVolume: async () => undefined,
    run: async (shot: OneShot) => run(shot),
  };
  const site = { folder, config, engine: engine as never };
  return { folder, work: saveVersion(site, config.apps, fakeProgress(), true) };
}

const isSpace = ({ argv }: OneShot): boolean => argv.includes('/servers');

test('a database larger than the free space is not dumped', async () => {
  const shots: OneShot[] = [];
  const { folder, work } = await save((shot) => {
    shots.push(shot);
    return { ...OK, stdout: '2000000\n1000000\n' };
  });
  const problem = await problemFrom(() => work);
  expect([problem.exit, problem.message]).toEqual([
    EXIT.PREFLIGHT,
    expect.stringMatching(/need up to .* GB; Docker’s disk has .* free/),
  ]);
  expect(shots.every(isSpace)).toBe(true);
  expect(existsSync(join(folder, '.fedi/undo'))).toBe(false);
});

test('a disk that gets full during the dump: nothing counts as saved, and the message says what to do', async () => {
  const { folder, work } = await save((shot) =>
    isSpace(shot)
      ? { ...OK, stdout: '1000\n1000000\n' }
      : failed('pg_dump: error: could not write to output file: No space left on device'),
  );
  const problem = await problemFrom(() => work);
  expect(problem.message).toContain('No space left on device');
  expect(problem.next).toBe('Free some space on Docker’s disk and run this again.');
  expect(existsSync(join(folder, '.fedi/undo'))).toBe(false);
});
