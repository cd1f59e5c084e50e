/** A new version whose migrations did not all run is refused, whatever its job reported. */
import { expect, test } from 'vitest';
import { refuseUnmigrated } from '../../../wizard/apps/migrations.ts';
import { problemFrom } from '../../support/problem.ts';

test.each([
  ['an image that lists none', undefined],
  ['a database that has all', { before: [], after: [] }],
])('%s', (_, left) => expect(() => refuseUnmigrated('Pixelfed v1', left)).not.toThrow());

test.each([
  [['a'], [], '1 migration of Pixelfed v1 did not run: a'],
  [['a', 'b'], ['c', 'd'], '4 migrations of Pixelfed v1 did not run: a, b, c, …'],
])('%j and %j are left', async (before, after, words) => {
  const { message } = await problemFrom(() => refuseUnmigrated('Pixelfed v1', { before, after }));
  expect(message).toBe(words);
});
