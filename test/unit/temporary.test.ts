/** What is removed after work, and after a signal. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { removeAfterSignal, removeTemporary, withScratch, withTemporary } from '../../wizard/temporary.ts';

test('a directory is removed after work that fails, too', async () => {
  let used = '';
  const work = withScratch(async (folder) => {
    used = folder;
    writeFileSync(join(folder, 'secret'), '');
    throw new Error('failed');
  });
  await expect(work).rejects.toThrow('failed');
  expect(existsSync(used)).toBe(false);
});

test('a signal removes what unfinished work uses, last first, whatever fails', async () => {
  const removed: string[] = [];
  const remove = (name: string) => async (): Promise<void> => {
    removed.push(name);
    if (name === 'volume') throw new Error('in use');
  };
  let end = (): void => undefined;
  const work = withTemporary(remove('folder'), () =>
    withTemporary(remove('volume'), () => new Promise<void>((resolve) => (end = resolve))),
  );
  const forget = removeAfterSignal(remove('container'));
  removeAfterSignal(remove('ended container'))();
  await removeTemporary();
  expect(removed).toEqual(['container', 'volume', 'folder']);
  forget();
  end();
  await work;
  removed.length = 0;
  await removeTemporary();
  expect(removed).toEqual([]);
});
