/** The owner of a site directory, and data directories that another user could redirect. */
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { deepest, refuseOtherWriters, otherWritersOf } from '../../../wizard/apply/owner.ts';
import type { Caller } from '../../../wizard/apply/owner.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const ME = process.getuid?.() ?? 0;
const GROUP = process.getgid?.() ?? 0;
const FILES = [
  'fedi.yaml',
  'secrets.json',
  'images.lock.yaml',
  'compose.yaml',
  'compose.override.yml',
  '.env',
  'env/snac.local.env',
  'caddy/custom/mine.caddy',
  'caddy/Caddyfile',
  '.fedi/manifest.json',
] as const;
/** Not root's group, whose members are root. */
const TEAM = 4711;

let folder = '';
const caller = (more: Partial<Caller> = {}): Caller => ({
  uids: new Set([0, ME]),
  gid: GROUP,
  passwd: `root:x:0:0::/root:/bin/sh\nme:x:${ME}:${GROUP}::/:/bin/sh\nberta:x:5001:5001::/:/bin/sh\n`,
  group: 'root:x:0:\n',
  ...more,
});
const otherUser = caller({ uids: new Set([5001]) });
const refusalOf = async (who = caller()): Promise<string> =>
  (await problemFrom(() => refuseOtherWriters(folder, who))).message;

beforeEach(() => {
  folder = join(tempFolder(), 'site');
  writeTree(folder, Object.fromEntries(FILES.map((path) => [path, 'x'])));
  for (const path of ['.', 'env', 'caddy', 'caddy/custom', '.fedi', ...FILES])
    chmodSync(join(folder, path), path.includes('.') && path !== '.' && path !== '.fedi' ? 0o600 : 0o700);
});

describe('refused', () => {
  test('refuses files of another user, except root', async () => {
    expect(await refusalOf(otherUser)).toContain(ME === 0 ? 'belongs to root' : 'belongs to me');
    const problem = await problemFrom(() => refuseOtherWriters(folder, otherUser));
    expect([problem.exit, problem.next]).toEqual([3, expect.stringContaining('chown')]);
  });

  test.each(['.', 'env', 'caddy/custom', '.fedi', ...FILES])(
    'refuses %s that everybody can write to',
    async (path) => {
      chmodSync(join(folder, path), 0o777);
      expect(await refusalOf()).toBe(`Every user of this host can change ${join(folder, path)}.`);
    },
  );

  test('refuses a parent directory that everybody can write to', async () => {
    chmodSync(join(folder, '..'), 0o777);
    expect(await refusalOf()).toContain('Every user of this host can change');
  });

  test('refuses a site directory with the sticky bit: others could create an override there', async () => {
    chmodSync(folder, 0o1777);
    expect(await refusalOf()).toContain('Every user of this host can change');
  });

  test('refuses a link to a place that others can write to', async () => {
    const theirs = tempFolder();
    writeTree(theirs, { 'open/o.yaml': 'services: {}\n' });
    chmodSync(join(theirs, 'open'), 0o777);
    symlinkSync(join(theirs, 'open/o.yaml'), join(folder, 'compose.override.yaml'));
    expect(await refusalOf()).toContain(`Every user of this host can change ${join(theirs, 'open')}`);
  });
});

describe('fine', () => {
  test('accepts the caller’s own directory below a sticky /tmp', async () =>
    refuseOtherWriters(folder, caller()));
  test('accepts a directory that does not exist yet', async () =>
    refuseOtherWriters(join(folder, 'not/yet'), caller()));
  test('accepts files that the site does not read', async () => {
    writeTree(folder, { 'notes/mine.txt': 'x' });
    chmodSync(join(folder, 'notes'), 0o777);
    await refuseOtherWriters(folder, caller());
  });
});

describe.runIf(ME === 0)('a group with write access', () => {
  const GROUPS: [string, Partial<Caller>, boolean][] = [
    ['only root is a member', { group: `team:x:${TEAM}:root\n` }, true],
    ['it has no members', { group: `staff:x:${TEAM}:\n` }, true],
    ['it is the group docker', { group: `docker:x:${TEAM}:berta\n` }, true],
    ['another user is a member', { group: `team:x:${TEAM}:root,berta\n` }, false],
    ['an unknown user is a member', { group: `team:x:${TEAM}:carol\n` }, false],
    [
      'it is another user’s primary group',
      { group: `users:x:${TEAM}:\n`, passwd: `root:x:0:0::\nberta:x:5001:${TEAM}::\n` },
      false,
    ],
    ['it is in no group file', { group: '' }, false],
    ['it is in no group file, and it is the caller’s primary group', { group: '', gid: TEAM }, true],
  ];
  test.each(GROUPS)('%s', async (_, more, fine) => {
    const { chownSync } = await import('node:fs');
    chownSync(folder, 0, TEAM);
    chmodSync(folder, 0o2775);
    const run = refuseOtherWriters(folder, caller(more));
    if (fine) await run;
    else await expect(run).rejects.toThrow(/^The group \S+ can change /);
  });

  test('counts the user who called sudo as the caller, and no other user', async () => {
    const { chownSync } = await import('node:fs');
    chownSync(folder, 5001, 5001);
    expect(await refusalOf()).toBe(`${folder} belongs to berta.`);
    await refuseOtherWriters(folder, caller({ uids: new Set([0, 5001]) }));
  });
});

test('checks all directories of a path, with links resolved', async () => {
  const real = tempFolder();
  mkdirSync(join(real, 'open'));
  chmodSync(join(real, 'open'), 0o777);
  symlinkSync(join(real, 'open'), join(folder, 'link'));
  expect(await deepest(join(folder, 'link/a/b'))).toEqual({ there: join(real, 'open'), rest: '/a/b' });
  expect(await otherWritersOf(join(folder, 'link/a/b'), caller())).toEqual([
    expect.stringContaining(join(real, 'open')),
  ]);
  // The directory itself may have any owner: its owner will be changed.
  expect(await otherWritersOf(join(folder, 'link'), caller(), true)).toEqual([]);
});

test.runIf(ME === 0)('refuses another user’s link, whatever its target', async () => {
  const { chownSync, lchownSync } = await import('node:fs');
  const [mine, theirs] = [tempFolder(), tempFolder()];
  chownSync(theirs, 5001, 5001);
  symlinkSync(mine, join(theirs, 'link'));
  expect(await otherWritersOf(join(theirs, 'link/data'), caller(), true)).toEqual([
    `${theirs} belongs to berta.`,
  ]);
  // As in /tmp, where every user can create one.
  symlinkSync(mine, join(mine, 'link'));
  lchownSync(join(mine, 'link'), 5001, 5001);
  expect(await otherWritersOf(join(mine, 'link'), caller())).toEqual([
    `${join(mine, 'link')} belongs to berta.`,
  ]);
});

test('circular links end', async () => {
  symlinkSync('b', join(folder, 'a'));
  symlinkSync('a', join(folder, 'b'));
  expect(await otherWritersOf(join(folder, 'a/x'), caller())).toEqual([]);
});
