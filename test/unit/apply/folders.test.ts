/** Data directories: the target of a link is checked, and who could redirect it. */
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { refusePlaces } from '../../../wizard/apply/folders.ts';
import type { Caller } from '../../../wizard/apply/owner.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import type { RenderedSite } from '../../../wizard/render/site.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

const CALLER: Caller = {
  uids: new Set([0, process.getuid?.() ?? 0]),
  gid: process.getgid?.() ?? 0,
  passwd: '',
  group: '',
};
const engine = (there: boolean): Engine =>
  ({ volume: async () => (there ? { device: '/x' } : undefined) }) as unknown as Engine;
const check = (device: string, there = false): Promise<void> =>
  refusePlaces(
    engine(there),
    {
      compose: { volumes: { snac_data: { name: 'fedi_snac_data' } } },
      dataFolders: { snac_data: { device, owner: '990:990' } },
    } as unknown as RenderedSite,
    CALLER,
  );

let disk = '';
beforeEach(() => {
  disk = tempFolder();
});

test.each([
  ['/usr/local/target', 'link'],
  ['/usr/local/target', 'link/more'],
  ['/etc', 'link'],
  ['/var/lib/docker/x', 'link'],
  ['/', 'link/usr/x'],
])('a link to %s, named as %s', async (target, path) => {
  symlinkSync(target, join(disk, 'link'));
  const problem = await problemFrom(() => check(join(disk, path)));
  expect([problem.exit, problem.message]).toEqual([3, expect.stringContaining('It points to /')]);
});

test('a parent directory that others can write to', async () => {
  mkdirSync(join(disk, 'open'));
  chmodSync(join(disk, 'open'), 0o777);
  expect((await problemFrom(() => check(join(disk, 'open/data')))).message).toContain(
    'Every user of this host can change',
  );
  symlinkSync(join(disk, 'open'), join(disk, 'link'));
  expect((await problemFrom(() => check(join(disk, 'link/data')))).message).toContain(
    'Every user of this host can change',
  );
});

test.each([
  ['one that does not exist yet', 'a/b/data'],
  ['an existing one with any owner', 'there'],
  ['a link to one of those', 'link'],
])('accepts %s', async (_, name) => {
  mkdirSync(join(disk, 'there'));
  chmodSync(join(disk, 'there'), 0o777);
  symlinkSync(join(disk, 'there'), join(disk, 'link'));
  await check(join(disk, name));
});

test('existing data are not checked again', async () => check('/usr/local/target', true));
