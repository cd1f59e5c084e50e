/** Lines broken at words: help, questions, errors on a terminal. */
import { describe, expect, test } from 'vitest';
import { problemInWords } from '../../wizard/cli/print-error.ts';
import { EXIT, Problem, gather } from '../../wizard/problem.ts';
import { columns, wrap, wrapLines } from '../../wizard/wrap.ts';

test.each([
  ['one two three', 7, 0, 'one two\nthree'],
  ['one two three', 9, 2, '  one two\n  three'],
  ['  one \n two  ', 80, 0, 'one two'],
  ['extraordinarily long', 5, 0, 'extraordinarily\nlong'],
  ['run `a b c` now', 7, 0, 'run\n`a b c`\nnow'],
  ['an open ` quote', 7, 0, 'an open\n` quote'],
  ['', 10, 2, ''],
])('%j at %i, indented by %i', (text, width, indent, wrapped) => {
  expect(wrap(text, width, indent)).toBe(wrapped);
});

test('lines keep their indentation, and list items stay list items', () => {
  expect(wrapLines('short\n  - one two three\n    four five six', 13)).toBe(
    'short\n  - one two\n    three\n    four five\n    six',
  );
});

test('the width of a console that reports none is 80', () => {
  expect([columns({ columns: 0 }), columns({}), columns({ columns: 7 }), columns({ columns: 120 })]).toEqual([
    80, 80, 20, 120,
  ]);
});

describe('an error', () => {
  const problem = new Problem(EXIT.REFUSED, 'This site was live: proven with public certificates at noon.', {
    means: 'Other servers may know its accounts. Nothing was removed.',
    next: 'To delete it anyway: `fedi-setup reset --data`.\nTo keep the data: `fedi-setup uninstall`.',
    log: 'a line of a log is as it is, however long it may be',
  });

  test('on a terminal: broken at words, aligned with its text', () => {
    expect(`Error: ${problemInWords(problem, false, 40)}`).toBe(
      `Error: This site was live: proven with
       public certificates at noon.
  Other servers may know its accounts.
  Nothing was removed.

  | a line of a log is as it is, however long it may be

  Next: To delete it anyway:
        \`fedi-setup reset --data\`.
        To keep the data:
        \`fedi-setup uninstall\`.`,
    );
  });

  test('otherwise each sentence stays on one line, so that it can be searched for', () => {
    const lines = problemInWords(problem, false).split('\n');
    expect(lines[0]).toBe(problem.message);
    expect(lines).toContain(`  ${problem.means ?? ''}`);
    expect(lines).toContain('  Next: To delete it anyway: `fedi-setup reset --data`.');
  });

  test('a list stays a list', () => {
    const several = gather(
      EXIT.USAGE,
      'These answers are missing:',
      ['one two three', 'four five six'],
      'Go.',
    );
    expect(problemInWords(several, false, 14)).toContain(
      '\n  - one two\n    three\n  - four five\n    six\n',
    );
  });
});
