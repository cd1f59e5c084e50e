/** Damaged files of the tool: each is named, and nothing is changed. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startsOf } from '../../../wizard/apply/prepare.ts';
import { readDraft } from '../../../wizard/apply/draft.ts';
import { readManifest, recover } from '../../../wizard/apply/files.ts';
import { readGenerations, runningAnswers } from '../../../wizard/apply/generations.ts';
import { servicesOf } from '../../../wizard/checks/site.ts';
import { readLock } from '../../../wizard/plan/lock.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const GENERATION = {
  '.fedi/manifest.json': '{"generation":1,"files":{}}',
  '.fedi/generations/0001/fedi.yaml': 'version: 1\n',
  '.fedi/generations/0001/images.lock.yaml': 'caddy: { tag: "a:1", digest: "sha256:1" }\n',
};
const LOCK = '.fedi/generations/0001/images.lock.yaml';

test.each([
  ['images.lock.yaml', '%', readLock],
  ['images.lock.yaml', 'caddy: a:1\n', readLock],
  ['images.lock.yaml', 'caddy: { tag: 5, id: x }\n', readLock],
  ['images.lock.yaml', 'caddy: { tag: "a:1" }\n', readLock],
  ['images.lock.yaml', '- caddy\n', readLock],
  ['images.lock.yaml', 'caddy\n', readLock],
  [LOCK, 'caddy: a:1\n', readGenerations],
  [LOCK, '{', runningAnswers],
  ['.fedi/generations/0001/fedi.yaml', 'a: [', runningAnswers],
  ['.fedi/generations/0001/fedi.yaml', '\u0000\u0001', readGenerations],
  ['.fedi/manifest.json', '{', readManifest],
  ['.fedi/manifest.json', '{}', readManifest],
  ['.fedi/manifest.json', '[]', runningAnswers],
  ['.fedi/manifest.json', '{"generation":"1","files":{}}', readGenerations],
  ['.fedi/manifest.json', '{"generation":1,"files":{"a":null}}', readManifest],
  ['.fedi/commit.json', '{}', recover],
  ['.fedi/commit.json', '{"manifest":{"generation":1,"files":{}},"renames":[1],"removals":[]}', recover],
])('%s: %s', async (path, text, read) => {
  const folder = tempFolder();
  writeTree(folder, { ...GENERATION, [path]: text });
  const problem = await problemFrom(() => read(folder));
  expect(problem.message).toContain(join(folder, path));
  expect(problem.next).toBeDefined();
});

test('ignores an incomplete generation', async () => {
  const folder = tempFolder();
  writeTree(folder, { ...GENERATION, '.fedi/generations/0000/fedi.yaml': 'version: 1\n' });
  expect((await readGenerations(folder)).map(({ number }) => number)).toEqual([1]);
});

test.each(['null', '[]', '5', '{"at":1,"answers":null}', '{'])(
  'treats a damaged informational file as missing: %s',
  async (text) => {
    const folder = tempFolder();
    writeTree(folder, { '.fedi/starts.json': text, '.fedi/conversation.json': text, 'compose.yaml': text });
    expect((await startsOf(folder))['snac']).toBeUndefined();
    expect(await readDraft(folder)).toBeUndefined();
    await servicesOf(folder);
  },
);
