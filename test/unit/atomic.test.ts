/** Writes a file: with its mode from the first byte, through links, and never where modes have no effect. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type * as FileSystem from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { closeToOthers, makeFolder, writeNew, writeWhole } from '../../wizard/atomic.ts';
import { makeFolders } from '../../wizard/apply/files.ts';
import { Store } from '../../wizard/secrets/store.ts';
import { problemFrom } from '../support/problem.ts';
import { modeOf, tempFolder } from '../support/temp.ts';

/** Mode of each file on a file system without permissions; undefined: it keeps modes. */
const without = vi.hoisted(() => ({ mode: undefined as number | undefined, refuses: false }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystem>();
  const refusal = (): Error => Object.assign(new Error('EPERM'), { code: 'EPERM' });
  const seen = <T extends { mode: number }>(found: T): T =>
    without.mode === undefined ? found : Object.assign(found, { mode: (found.mode & ~0o777) | without.mode });
  return {
    ...real,
    stat: async (path: string) => seen(await real.stat(path)),
    chmod: async (path: string, mode: number) => {
      if (without.refuses) throw refusal();
      await real.chmod(path, mode);
    },
    open: async (path: string, flags: string, mode?: number): Promise<FileSystem.FileHandle> => {
      const handle = await real.open(path, flags, mode);
      const [stat, chmod] = [handle.stat.bind(handle), handle.chmod.bind(handle)];
      return Object.assign(handle, {
        stat: async () => seen(await stat()),
        chmod: async (wanted: number) => {
          if (without.refuses) throw refusal();
          await chmod(wanted);
        },
      });
    },
  };
});

const umask = process.umask();
afterEach(() => {
  process.umask(umask);
  Object.assign(without, { mode: undefined, refuses: false });
});

test.each([0o000, 0o022, 0o077, 0o777])('umask %o does not change modes', async (mask) => {
  const folder = tempFolder();
  process.umask(mask);
  await writeWhole(join(folder, 'secret'), 'x', 0o600);
  await writeWhole(join(folder, 'plain'), 'x', 0o644);
  await makeFolder(join(folder, 'a/b'), 0o700);
  process.umask(umask);
  expect(['secret', 'plain', 'a', 'a/b'].map((name) => modeOf(join(folder, name)))).toEqual([
    0o600, 0o644, 0o700, 0o700,
  ]);
});

describe('a file system without permissions', () => {
  test.each([
    ['reports success and does nothing', 0o777, false],
    ['says no', 0o755, true],
  ])('%s: writes nothing', async (_, mode, refuses) => {
    const folder = tempFolder();
    Object.assign(without, { mode, refuses });
    const problem = await problemFrom(() => writeNew(join(folder, 'secret'), 'hunter2', 0o600));
    expect([problem.exit, problem.message]).toEqual([
      4,
      expect.stringContaining('file system without permissions'),
    ]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each([false, true])('creates no site there', async (refuses) => {
    const folder = join(tempFolder(), 'site');
    Object.assign(without, { mode: 0o777, refuses });
    expect((await problemFrom(() => makeFolders(folder))).message).toContain(
      'file system without permissions',
    );
    Object.assign(without, { mode: undefined, refuses: false });
    expect(() => statSync(folder)).toThrow();
  });

  test('is accepted if it is mounted for its owner only', async () => {
    const folder = tempFolder();
    Object.assign(without, { mode: 0o700, refuses: true });
    await writeWhole(join(folder, 'secret'), 'x', 0o600);
    expect(readFileSync(join(folder, 'secret'), 'utf8')).toBe('x');
  });
});

describe('a link', () => {
  test('is followed: its target has the new text, and it stays a link', async () => {
    const [site, vault] = [tempFolder(), tempFolder()];
    writeFileSync(join(vault, 's.json'), 'old');
    mkdirSync(join(site, 'sub'));
    symlinkSync(join(vault, 's.json'), join(vault, 'hop'));
    symlinkSync(join(vault, 'hop'), join(site, 'secrets.json'));
    await writeWhole(join(site, 'secrets.json'), 'new', 0o600);
    expect(readFileSync(join(vault, 's.json'), 'utf8')).toBe('new');
    expect(lstatSync(join(site, 'secrets.json')).isSymbolicLink()).toBe(true);
    expect(readdirSync(vault).toSorted()).toEqual(['hop', 's.json']);
  });

  test.each(['/nonexistent/s.json', 'secrets.json'])(
    'to %s, which does not exist, is refused',
    async (target) => {
      const site = tempFolder();
      symlinkSync(target, join(site, 'secrets.json'));
      const problem = await problemFrom(() => writeWhole(join(site, 'secrets.json'), 'new', 0o600));
      expect(problem.message).toContain('is a link to');
      expect(lstatSync(join(site, 'secrets.json')).isSymbolicLink()).toBe(true);
    },
  );

  test('inaccessible secrets are not replaced by new ones', async () => {
    const site = tempFolder();
    symlinkSync('/nonexistent/s.json', join(site, 'secrets.json'));
    expect((await problemFrom(() => Store.open(site))).message).toContain('is a link to /nonexistent/s.json');
  });
});

describe('files that other users can read', () => {
  test('are closed again', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'secrets.json'), '{}');
    mkdirSync(join(folder, 'env'));
    chmodSync(join(folder, 'secrets.json'), 0o664);
    chmodSync(join(folder, 'env'), 0o711);
    expect(await closeToOthers(join(folder, 'secrets.json'), 0o600)).toBe(true);
    expect(await closeToOthers(join(folder, 'env'), 0o700)).toBe(true);
    expect(modeOf(join(folder, 'secrets.json'))).toBe(0o600);
    expect(modeOf(join(folder, 'env'))).toBe(0o700);
  });

  test('are unchanged if they are closed, or missing', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'a'), '', { mode: 0o400 });
    chmodSync(join(folder, 'a'), 0o400);
    expect(await closeToOthers(join(folder, 'a'), 0o600)).toBe(false);
    expect(await closeToOthers(join(folder, 'b'), 0o600)).toBe(false);
    expect(modeOf(join(folder, 'a'))).toBe(0o400);
  });

  test('cannot be closed on a file system without modes', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, 'secrets.json'), '{}');
    without.mode = 0o777;
    expect((await problemFrom(() => closeToOthers(join(folder, 'secrets.json'), 0o600))).message).toContain(
      'file system without permissions',
    );
  });
});
