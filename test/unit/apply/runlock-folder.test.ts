/** The run lock when its path is not a file. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeLock } from '../../../wizard/apply/runlock.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder } from '../../support/temp.ts';

test('reports anything in its place that is not a file', async () => {
  const folder = tempFolder();
  mkdirSync(join(folder, '.fedi/lock'), { recursive: true });
  expect((await problemFrom(() => takeLock(folder))).message).toContain('lock');
});
