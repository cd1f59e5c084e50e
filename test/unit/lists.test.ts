/** Lists of words for people. */
import { expect, test } from 'vitest';
import { firstOf, listed } from '../../wizard/lists.ts';

test.each([
  [[], ''],
  [['a'], 'a'],
  [['a', 'b'], 'a and b'],
  [[25, 465, 587], '25, 465 and 587'],
])('%j is listed as “%s”', (words, text) => {
  expect(listed(words)).toBe(text);
});

test('alternatives', () => {
  expect(listed(['keep', 'replace', 'abort'], 'or')).toBe('keep, replace or abort');
});

test.each([
  [['a', 'b'], 'a, b'],
  [['a', 'b', 'c'], 'a, b and 1 more'],
])('the first two of %j are “%s”', (words, text) => {
  expect(firstOf(words, 2)).toBe(text);
});
