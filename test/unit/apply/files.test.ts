/** The set of files: changes, edits by the user, and files that stay. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  closeSecrets,
  compare,
  makeFolders,
  needsRecovery,
  readManifest,
  recover,
} from '../../../wizard/apply/files.ts';
import type { PlannedFile } from '../../../wizard/layout.ts';
import type { Change } from '../../../wizard/plan/diff.ts';
import { problemFrom } from '../../support/problem.ts';
import { modeOf, readTree, tempFolder, writeTree } from '../../support/temp.ts';
import { FRESH, HUSH, OLD, file, write } from './set.ts';

const umask = process.umask();
afterEach(() => {
  process.umask(umask);
});

async function site(set: readonly PlannedFile[] = OLD): Promise<string> {
  const folder = join(tempFolder(), 'site');
  await makeFolders(folder);
  await write(folder, set);
  return folder;
}

/** `kind path`, with ! for edited. */
const told = (changes: readonly Change[]): string[] =>
  changes.map(({ kind, path, edited }) => `${kind} ${path}${edited ? '!' : ''}`);
const open = async (folder: string, set: readonly PlannedFile[]): Promise<string[]> =>
  told(await compare(folder, set)).filter((line) => !line.startsWith('same '));

describe('compare', () => {
  test('an empty directory: all files are new', async () => {
    expect(await open(tempFolder(), OLD)).toEqual(OLD.map(({ path }) => `create ${path}`));
  });
  test('the same set: no change', async () => {
    expect(await open(await site(), OLD)).toEqual([]);
  });
  test('another set: files created, updated and removed; no edits', async () => {
    expect(await open(await site(), FRESH)).toEqual([
      'update fedi.yaml',
      'update compose.yaml',
      'update env/a.env',
      'create caddy/tls/new.caddy',
      'create trust/root.crt',
      'remove caddy/sites/gone.caddy',
    ]);
  });
  test.each([
    ['a generated file', 'compose.yaml', 'mine\n', OLD, ['update compose.yaml!']],
    [
      'one that changes too',
      'compose.yaml',
      'mine\n',
      FRESH.slice(1, 2),
      ['update compose.yaml!', 'remove env/a.env', 'remove caddy/sites/gone.caddy'],
    ],
    [
      'one that is removed',
      'caddy/sites/gone.caddy',
      'mine\n',
      OLD.slice(0, 3),
      ['remove caddy/sites/gone.caddy!'],
    ],
    ['the answers, which the user owns', 'fedi.yaml', 'mine\n', OLD, ['update fedi.yaml']],
    [
      'one that was edited to its new version',
      'compose.yaml',
      'new, and longer\n',
      FRESH.slice(1, 2),
      ['remove env/a.env', 'remove caddy/sites/gone.caddy'],
    ],
    [
      'a user’s file at the path of ours',
      'trust/root.crt',
      'mine\n',
      [...OLD, file('trust/root.crt', 'new\n')],
      ['update trust/root.crt!'],
    ],
  ])('edited: %s', async (_, path, text, set, wanted) => {
    const folder = await site();
    writeTree(folder, { [path]: text });
    expect(await open(folder, set)).toEqual(wanted);
  });
  test('restores a removed file, which does not count as an edit', async () => {
    const folder = await site();
    rmSync(join(folder, 'compose.yaml'));
    rmSync(join(folder, 'caddy'), { recursive: true });
    expect(await open(folder, OLD)).toEqual(['create compose.yaml', 'create caddy/sites/gone.caddy']);
    expect(await open(folder, OLD.slice(0, 3))).toEqual(['create compose.yaml']);
  });
  test('reports a directory in place of a file', async () => {
    const folder = await site();
    rmSync(join(folder, 'compose.yaml'));
    mkdirSync(join(folder, 'compose.yaml'));
    expect((await problemFrom(() => compare(folder, OLD))).exit).toBe(4);
  });
  // Like secrets.json, it can be damaged; unlike secrets.json, it is reported as "an internal error".
  test('reports a damaged manifest', async () => {
    const folder = await site();
    writeTree(folder, { '.fedi/manifest.json': '{' });
    await problemFrom(() => compare(folder, OLD));
  });
});

describe('commit', () => {
  test('a set replaces the previous one; generations are numbered', async () => {
    const folder = await site();
    expect(await write(folder, FRESH)).toBe(2);
    expect(await open(folder, FRESH)).toEqual([]);
    expect(Object.keys(readTree(folder)).filter((path) => !path.startsWith('.fedi/'))).toEqual(
      FRESH.map(({ path }) => path).toSorted(),
    );
    expect((await readManifest(folder)).generation).toBe(2);
  });

  test('a directory that becomes empty is removed; one with files of the user stays', async () => {
    const folder = await site();
    const there = (path: string): boolean => existsSync(join(folder, path));
    expect(there('caddy/sites')).toBe(true);
    writeTree(folder, { 'env/a.local.env': 'x' });
    await write(folder, FRESH.slice(0, 2));
    expect([there('caddy/sites'), there('env/a.env'), there('env/a.local.env')]).toEqual([
      false,
      false,
      true,
    ]);
  });

  test('never changes other files', async () => {
    const folder = await site();
    const theirs = {
      'compose.override.yaml': 'x',
      'env/a.local.env': 'x',
      'caddy/custom/x.caddy': 'x',
      'caddy/sites/theirs.caddy': 'x',
      notes: 'x',
    };
    writeTree(folder, theirs);
    await write(folder, FRESH);
    expect(readTree(folder)).toMatchObject(theirs);
  });

  test('keeps accepted edits, and reports them again only when our version changes', async () => {
    const folder = await site();
    writeTree(folder, { 'compose.yaml': 'mine\n' });
    await write(folder, OLD, ['compose.yaml']);
    expect(readTree(folder)['compose.yaml']).toBe('mine\n');
    expect(await open(folder, OLD)).toEqual([]);
    // A later commit of other changes does not report it either.
    const other = [...OLD.slice(0, 3), file('caddy/sites/gone.caddy', 'other\n')];
    await write(folder, other);
    expect(readTree(folder)['compose.yaml']).toBe('mine\n');
    expect(await open(folder, other)).toEqual([]);
    expect(await open(folder, FRESH.slice(0, 2))).toContain('update compose.yaml!');
    writeTree(folder, { 'compose.yaml': 'mine again\n' });
    expect(await open(folder, other)).toEqual(['update compose.yaml!']);
  });

  test('an edit can be kept only while our version is the one that was written', async () => {
    const folder = await site();
    const keepable = async (set: readonly PlannedFile[], discardKept = false): Promise<boolean[]> =>
      (await compare(folder, set, discardKept)).filter(({ edited }) => edited).map((one) => one.keepable);
    writeTree(folder, { 'compose.yaml': 'mine\n' });
    expect(await keepable(OLD)).toEqual([true]);
    // This set has another compose.yaml: the user's would hide a part of the change.
    expect(await keepable(FRESH)).toContain(false);
    await write(folder, OLD, ['compose.yaml']);
    expect(await keepable(OLD)).toEqual([]);
    expect(await keepable(FRESH)).toContain(false);
    // `--edited replace` also replaces what was kept before.
    expect(await keepable(OLD, true)).toEqual([true]);
  });

  test('a replaced edit no longer counts as an edit', async () => {
    const folder = await site();
    writeTree(folder, { 'compose.yaml': 'mine\n' });
    await write(folder, OLD);
    expect(readTree(folder)['compose.yaml']).toBe('old\n');
  });

  test('an edited file that is removed can be kept; it is the user’s from then on', async () => {
    const folder = await site();
    writeTree(folder, { 'caddy/sites/gone.caddy': 'mine\n' });
    await write(folder, FRESH, ['caddy/sites/gone.caddy']);
    expect(readTree(folder)['caddy/sites/gone.caddy']).toBe('mine\n');
    expect(await open(folder, FRESH)).toEqual([]);
  });

  test('generations contain everything except secrets', async () => {
    const folder = await site();
    await write(folder, FRESH);
    const own = Object.entries(readTree(join(folder, '.fedi')));
    const kept = own.filter(([path]) => path.startsWith('generations/')).map(([path]) => path);
    expect(kept).toEqual(
      [
        ...OLD.map(({ path, secret }) => ({ path: `generations/0001/${path}`, secret })),
        ...FRESH.map(({ path, secret }) => ({ path: `generations/0002/${path}`, secret })),
      ]
        .filter(({ secret }) => !secret)
        .map(({ path }) => path)
        .toSorted(),
    );
    expect(own.filter(([, text]) => text.includes(HUSH))).toEqual([]);
  });

  test('writes texts of any length and alphabet completely', async () => {
    const set = [file('empty', ''), file('long', 'ä😀\r\n\0'.repeat(100_000))];
    const folder = await site(set);
    expect(readTree(folder)).toMatchObject(Object.fromEntries(set.map(({ path, text }) => [path, text])));
  });
});

describe.each([0o000, 0o022, 0o077])('under umask %o', (mask) => {
  test('files have their mode, secret ones from their creation on', async () => {
    process.umask(mask);
    const folder = await site(FRESH);
    for (const { path, mode } of FRESH)
      expect(`${path} ${modeOf(join(folder, path)).toString(8)}`).toBe(`${path} ${mode.toString(8)}`);
    expect(modeOf(join(folder, '.fedi'))).toBe(0o700);
    expect(modeOf(join(folder, 'env')) & 0o077).toBe(0);
    expect(modeOf(join(folder, '.fedi/manifest.json'))).toBe(0o600);
  });

  // mkdir's mode goes through the umask: under 077 a container's user cannot enter trust/, which it has mounted.
  (mask === 0o077 ? test : test)('directories that containers read can be entered', async () => {
    process.umask(mask);
    const folder = await site(FRESH);
    for (const path of ['caddy', 'caddy/tls', 'trust'])
      expect(`${path} ${modeOf(join(folder, path)).toString(8)}`).toBe(`${path} 755`);
  });
});

// Texts are compared, modes are not.
test('an env file that everybody can read is a change', async () => {
  const folder = await site();
  chmodSync(join(folder, 'env/a.env'), 0o644);
  expect(await open(folder, OLD)).toEqual(['update env/a.env']);
});

describe('recover', () => {
  test('nothing to do', async () => {
    expect(await recover(tempFolder())).toBe(false);
    const folder = await site();
    const before = readTree(folder);
    expect(await recover(folder)).toBe(false);
    expect(readTree(folder)).toEqual(before);
  });
  test('removes the temporary files of a killed run; keeps the user’s files', async () => {
    const folder = await site();
    const before = readTree(folder);
    writeTree(folder, {
      'compose.yaml.fedi-new': 'half',
      'env/a.env.fedi-new': 'half',
      'caddy/tls/x.fedi-new': 'half',
      'secrets.json.fedi-new': 'half',
      '.fedi/trial-abc/compose.yaml': 'x',
    });
    const theirs = { 'caddy/custom/x.fedi-new': 'theirs', 'data/x.fedi-new': 'theirs' };
    writeTree(folder, theirs);
    await recover(folder);
    expect(readTree(folder)).toEqual({ ...before, ...theirs });
  });
  // The list is written by rename, so only a broken disk damages it; "an internal error" does not help the user.
  test('reports a damaged commit.json', async () => {
    const folder = await site();
    writeFileSync(join(folder, '.fedi/commit.json'), '{');
    expect((await problemFrom(() => recover(folder))).message).toContain('commit.json');
  });
});

describe('the user’s symbolic links', () => {
  test('are kept, and their targets are written, for files and for directories', async () => {
    const folder = await site();
    const vault = tempFolder();
    for (const path of ['compose.yaml', 'env']) {
      renameSync(join(folder, path), join(vault, path));
      symlinkSync(join(vault, path), join(folder, path));
    }
    await write(folder, FRESH);
    expect(await open(folder, FRESH)).toEqual([]);
    for (const path of ['compose.yaml', 'env'])
      expect(lstatSync(join(folder, path)).isSymbolicLink()).toBe(true);
    expect(readTree(vault)).toEqual({ 'compose.yaml': 'new, and longer\n', 'env/a.env': `A=${HUSH}-new\n` });
  });

  test('temporary files next to their targets are removed', async () => {
    const folder = await site();
    const vault = tempFolder();
    renameSync(join(folder, 'compose.yaml'), join(vault, 'c.yaml'));
    symlinkSync(join(vault, 'c.yaml'), join(folder, 'compose.yaml'));
    renameSync(join(folder, 'env'), join(vault, 'env'));
    symlinkSync(join(vault, 'env'), join(folder, 'env'));
    writeTree(vault, { 'c.yaml.fedi-new': 'half', 'env/a.env.fedi-new': HUSH, 'other.fedi-new': 'not ours' });
    expect(await needsRecovery(folder)).toBe(true);
    await recover(folder);
    expect(Object.keys(readTree(vault))).toEqual(['c.yaml', 'env/a.env', 'other.fedi-new']);
    expect(await needsRecovery(folder)).toBe(false);
  });
});

test('closes files with secrets to other users again', async () => {
  const folder = await site();
  writeTree(folder, { 'secrets.json': '{}' });
  for (const [path, mode] of [
    ['secrets.json', 0o644],
    ['env', 0o755],
    ['.fedi', 0o755],
  ] as const)
    chmodSync(join(folder, path), mode);
  expect(await closeSecrets(folder)).toEqual(['secrets.json', 'env', '.fedi']);
  expect(['secrets.json', 'env', '.fedi'].map((path) => modeOf(join(folder, path)))).toEqual([
    0o600, 0o700, 0o700,
  ]);
  expect(await closeSecrets(folder)).toEqual([]);
});
