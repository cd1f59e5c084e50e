/** Whether Git leaves out the files with secrets: a real repository. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commit, compare, readManifest } from '../../../wizard/apply/files.ts';
import { gitignore } from '../../../wizard/apply/gitignore.ts';
import { checkGit } from '../../../wizard/checks/git.ts';
import { thisHost } from '../../../wizard/checks/host.ts';
import type { Change } from '../../../wizard/plan/diff.ts';
import { removeOurs } from '../../../wizard/commands/remove-site.ts';
import { OWN } from '../../../wizard/layout.ts';
import { STORE_FILE } from '../../../wizard/secrets/store.ts';
import { contextOf } from '../../support/checks.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

/** A site directory in a repository, below its top. */
function repository(): { top: string; folder: string; git: (...argv: string[]) => string } {
  const top = tempFolder();
  const git = (...argv: string[]): string =>
    execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@example.org', ...argv], {
      cwd: top,
      encoding: 'utf8',
    });
  git('init', '--quiet');
  const folder = join(top, 'fedi');
  writeTree(folder, {
    [STORE_FILE]: '{}',
    'compose.yaml': 'name: fedi\n',
    'env/snac.env': 'A=1\n',
    'env/snac.local.env': 'B=1\n',
    [`${OWN}/manifest.json`]: JSON.stringify({ generation: 1, files: {} }),
  });
  return { top, folder, git };
}
const look = (folder: string): ReturnType<typeof checkGit> =>
  checkGit(contextOf({}, { folder, host: { git: thisHost.git } }));

test('with the .gitignore only files without secrets are added, and nothing is found', async () => {
  const { folder, git } = repository();
  expect((await look(folder))?.found.map(({ what }) => what)).toEqual([
    expect.stringContaining(
      'does not ignore files with secrets: env/snac.env, env/snac.local.env, secrets.json and 1 more',
    ),
  ]);
  for (const { path, text } of await gitignore(folder)) writeFileSync(join(folder, path), text);
  git('add', '.');
  expect(git('ls-files').split('\n').filter(Boolean)).toEqual(['fedi/.gitignore', 'fedi/compose.yaml']);
  expect((await look(folder))?.found).toEqual([]);
});

test('a tracked secret is found, also if it is ignored now', async () => {
  const { folder, git } = repository();
  git('add', '.');
  git('commit', '--quiet', '--message', 'all');
  for (const { path, text } of await gitignore(folder)) writeFileSync(join(folder, path), text);
  const found = (await look(folder))?.found ?? [];
  expect(found.map(({ level, what }) => [level, what.includes('env/snac.env')])).toEqual([['blocker', true]]);
});

test('is part of the set: uninstall removes it, and edits never count as a conflict', async () => {
  const { folder } = repository();
  const set = async (): Promise<Change[]> => compare(folder, await gitignore(folder));
  await commit(folder, await set(), new Set());
  expect(Object.keys((await readManifest(folder)).files)).toEqual(['.gitignore']);
  writeFileSync(join(folder, '.gitignore'), '/secrets.json\n/mine\n');
  expect((await set()).map(({ kind, edited }) => [kind, edited])).toEqual([['same', false]]);
  await removeOurs(folder);
  expect(existsSync(join(folder, '.gitignore'))).toBe(false);
});

test('an administrator’s own .gitignore is never written; ours may be edited', async () => {
  const { folder } = repository();
  const path = join(folder, '.gitignore');
  writeFileSync(path, '/mine\n');
  expect(await gitignore(folder)).toEqual([]);
  const files = { '.gitignore': { hash: 'of ours' } };
  writeFileSync(join(folder, OWN, 'manifest.json'), JSON.stringify({ generation: 1, files }));
  expect(await gitignore(folder)).toMatchObject([{ text: '/mine\n' }]);
  expect(readFileSync(path, 'utf8')).toBe('/mine\n');
});

test('a directory outside Git', async () => {
  expect(await look(tempFolder())).toBeUndefined();
});
