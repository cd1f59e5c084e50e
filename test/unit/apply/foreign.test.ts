/** Nothing acts on containers and data of another site directory. */
import { cpSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { keepPlace, refuseForeign } from '../../../wizard/apply/foreign.ts';
import { EXIT } from '../../../wizard/problem.ts';
import { fakeContainer } from '../../support/fake-engine.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

/** A site that ran there. */
async function site(): Promise<string> {
  const folder = join(tempFolder(), 'fedi');
  writeTree(folder, { 'compose.yaml': 'name: fedi\n', '.fedi/manifest.json': '{}' });
  await keepPlace(folder);
  return folder;
}
const runsIn = (folder: string) => [
  fakeContainer('snac', { labels: { 'com.docker.compose.project.working_dir': realpathSync(folder) } }),
];
const refusal = async (folder: string, containers = runsIn(folder)): Promise<unknown[]> => {
  const { exit, message } = await problemFrom(() => refuseForeign(folder, 'fedi', containers));
  return [exit, message];
};

test('its own containers, or none', async () => {
  const folder = await site();
  await refuseForeign(folder, 'fedi', runsIn(folder));
  await refuseForeign(folder, 'fedi', []);
});

test('a copy may not act on the containers and volumes of the original', async () => {
  const folder = await site();
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  const expected = [
    EXIT.REFUSED,
    `The Compose project fedi on this engine belongs to ${realpathSync(folder)}.`,
  ];
  expect(await refusal(copy, runsIn(folder))).toEqual(expected);
  // Also while it has no containers: its volumes are there.
  expect(await refusal(copy, [])).toEqual(expected);
  await refuseForeign(folder, 'fedi', []);
});

test('another site in the directory of the last run does not count', async () => {
  const folder = await site();
  const restored = `${folder}-restored`;
  cpSync(folder, restored, { recursive: true });
  writeTree(folder, { 'compose.yaml': 'name: other\n' });
  await refuseForeign(restored, 'fedi', []);
});

test('a directory that was moved stays the same site', async () => {
  const folder = await site();
  const containers = runsIn(folder);
  const moved = `${folder}-moved`;
  renameSync(folder, moved);
  await refuseForeign(moved, 'fedi', containers);
  rmSync(moved, { recursive: true });
});
