/** Version numbers, as users and image tags write them. */
import { describe, expect, test } from 'vitest';
import { isOlder, numbersOf, versionParser } from '../../wizard/versions.ts';

test.each([
  ['v4.7.6', [4, 7, 6]],
  ['2.96', [2, 96]],
  ['17-trixie', [17]],
  ['11.8.3-noble', [11, 8, 3]],
  ['5.5.5-10.11.6-MariaDB', [5, 5, 5]],
  ['trixie', undefined],
  ['', undefined],
  ['nightly.2026-11-28', undefined],
])('%s → %j', (text, numbers) => expect(numbersOf(text)).toEqual(numbers));

describe('older', () => {
  test.each([
    [[4, 7, 5], [4, 7, 6], true],
    [[4, 7, 6], [4, 7, 6], false],
    [[4, 10, 0], [4, 9, 9], false],
    [[3, 99], [4], true],
    [[4], [4, 0, 1], true],
    [[4], [4, 0, 0], false],
    [[16], [17], true],
  ])('%j than %j: %s', (one, other, older) => expect(isOlder(one, other)).toBe(older));
});

test('a parser accepts a version with or without v, not older than the minimum', () => {
  const parse = versionParser('v4.7.6', [4, 5, 0]);
  expect(parse(' 4.5.0 ')).toEqual({ value: 'v4.5.0' });
  expect(parse('v4.10.2')).toEqual({ value: 'v4.10.2' });
  expect(parse('4.4.99')).toEqual({ problem: '4.5.0 is the oldest supported version.' });
  for (const wrong of ['4.5', 'latest', '4.5.0-rc1', ''])
    expect(parse(wrong)).toEqual({ problem: 'Not a version such as v4.7.6.' });
});
