/** Text from outside on the terminal: escape codes have no effect, no character is hidden, no line fills the screen. */
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { problemInWords } from '../../wizard/cli/print-error.ts';
import { parseLine } from '../../wizard/config/parse.ts';
import { EXIT, Problem } from '../../wizard/problem.ts';
import { writeText } from '../../wizard/progress.ts';
import { INVISIBLE, shortLines, visible, visibleJson } from '../../wizard/visible.ts';

const HOSTILE = '\u001b]0;PWNED\u0007\u001b[2J\u001b[31mall fine\u009b2J\u007f';

describe('visible', () => {
  test('escape codes become visible', () => {
    expect(visible(HOSTILE)).toBe('\\x1b]0;PWNED\\x07\\x1b[2J\\x1b[31mall fine\\x9b2J\\x7f');
  });

  test('line breaks and tabs stay, a lone carriage return does not', () => {
    expect(visible('one\ttwo\r\nthree\rfour\n')).toBe('one\ttwo\nthree\\x0dfour\n');
  });

  test('letters of all scripts stay', () => {
    const text = 'Grüße, 你好, שלום, 🐘 – “quoted”…';
    expect(visible(text)).toBe(text);
  });

  test.each([
    0x00, 0x08, 0x1b, 0x7f, 0x85, 0x9b, 0xad, 0x61c, 0x180e, 0x200b, 0x200e, 0x2028, 0x202e, 0x2060, 0x2066,
    0x206f, 0xfeff, 0xfff9, 0xfffb, 0xe0000, 0xe0041, 0xe007f,
  ])('U+%i: refused in an answer, shown in output, escaped in JSON', (code) => {
    const character = String.fromCodePoint(code);
    expect(INVISIBLE.test(character)).toBe(true);
    expect('problem' in parseLine(`a${character}b`)).toBe(true);
    expect(visible(`a${character}b`)).toMatch(/^a\\(x[0-9a-f]{2}|u\{[0-9a-f]+\})b$/);
    const json = visibleJson({ text: `a${character}b` });
    expect(json).toMatch(/^[\u0020-\u007e]+$/);
    expect(JSON.parse(json)).toEqual({ text: `a${character}b` });
  });

  test('each long line is cut', () => {
    expect(shortLines(`${'x'.repeat(12)}\nshort`, 5)).toBe('xxxxx… (7 more characters)\nshort');
  });
});

test('a problem: escape codes have no effect, and a line of 3 MB is cut', () => {
  const words = problemInWords(
    new Problem(EXIT.FAILED, `It answered ${HOSTILE}`, {
      means: HOSTILE,
      next: `Look at ${HOSTILE}\nand at \u202eit`,
      log: `${HOSTILE}\n${'y'.repeat(3_000_000)}`,
    }),
    false,
  );
  expect(words.replaceAll('\n', '')).not.toMatch(INVISIBLE);
  expect(words).toContain('It answered \\x1b]0;PWNED');
  expect(words).toContain('\\u{202e}it');
  expect(words.length).toBeLessThan(2000);
});

test('a line of text', () => {
  const stream = new PassThrough();
  writeText(stream, `✖ A proof: ${HOSTILE}${'z'.repeat(1_000_000)}`);
  const text = String(stream.read());
  expect(text.trimEnd()).not.toMatch(INVISIBLE);
  expect(text.length).toBeLessThan(5000);
});
