import { deflateSync, crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { parsePicture } from '../../../wizard/config/picture.ts';
import { parseRules, pixelfedPictures } from '../../../wizard/apps/pixelfed/branding.ts';
import { pixelfedOptions } from '../../../wizard/apps/pixelfed/options.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { parsePath } from '../../../wizard/config/parse.ts';

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
function png(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.from('x'))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
const segment = (marker: number, data: number[]): number[] => [0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 0xff, ...data]; // prettier-ignore
/** Leading metadata with an embedded thumbnail, as cameras write it; fill bytes; a progressive frame. */
const JPEG = Buffer.from([
  0xff, 0xd8,
  ...segment(0xe1, [0xff, 0xd8, ...segment(0xc0, [8, 0, 9, 0, 9]), 0xff, 0xd9]),
  0xff, 0xff, ...segment(0xc4, [1, 2, 3]),
  ...segment(0xc2, [8, 0x04, 0x38, 0x07, 0x80, 3]),
  ...segment(0xda, [1, 2]), 1, 2, 3,
  0xff, 0xd9, 0x0a,
]); // prettier-ignore

describe('the type of a picture', () => {
  test('JPEG and PNG, recognised by their headers', () => {
    expect(parsePicture(png(1920, 1080))).toMatchObject({ type: 'png', width: 1920, height: 1080 });
    expect(parsePicture(JPEG)).toEqual({ type: 'jpg', width: 1920, height: 1080, bytes: JPEG.length });
  });
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('no picture at all, but long enough to be one')],
    ['a PNG that was cut short', png(9, 9).subarray(0, 40)],
    ['a JPEG that was cut short', JPEG.subarray(0, JPEG.length - 3)],
    ['two bytes of a JPEG', Buffer.from([0xff, 0xd8])],
    ['a JPEG with garbage after its start', Buffer.concat([JPEG.subarray(0, 2), Buffer.alloc(50)])],
    ['a GIF', Buffer.from('GIF89a\x80\x07\x38\x04', 'latin1')],
  ])('not %s', (_, file) => expect(parsePicture(file)).toBeUndefined());
});

test('the limits of Pixelfed’s own form', () => {
  const problem = (name: string, width: number, height: number, bytes = 1): string | undefined =>
    pixelfedPictures.find((one) => one.name === name)?.problem({ type: 'png', width, height, bytes });
  expect(problem('banner', 1920, 1080, 5000 * 1024)).toBeUndefined();
  expect(problem('banner', 1920, 1080, 5000 * 1024 + 1)).toBe('has 5001 KiB; the limit is 5000');
  expect(problem('banner', 800, 600)).toBe('is 800×600; it must be 1920×1080');
  expect(problem('avatar', 200, 200)).toBeUndefined();
  expect(problem('avatar', 199, 199)).toBe('is 199×199; the minimum is 200×200');
  expect(problem('avatar', 400, 401)).toBe('is 400×401; it must be square');
});

test('rules: separated by semicolons, within Pixelfed’s limits', () => {
  expect(parseRules(' Be kind ;; No "spam"; ')).toEqual({ value: 'Be kind; No "spam"' });
  expect(parseRules(Array.from({ length: 30 }, (_, i) => `rule ${i}`).join(';'))).toHaveProperty('value');
  const long = 'x'.repeat(1000);
  expect(parseRules(long)).toEqual({ value: long });
  for (const [text, expected] of [
    [' ; ', 'Enter at least one rule.'],
    ['fine rule; no', 'Rule 2, “no”, is too short: use at least 5 characters.'],
    [`${long}y`, 'Rule 1: Too long: 1001 characters; the limit is 1000.'],
    ['a\tb rule', 'Rule 1: It contains an invisible character'],
    [Array.from({ length: 31 }, (_, i) => `rule ${i}`).join(';'), '31 rules; Pixelfed accepts at most 30.'],
  ])
    expect(parseRules(text as string)).toEqual({ problem: expect.stringContaining(expected as string) });
  const rules = (answers: Answers): readonly string[] => pixelfedOptions(answers).rules;
  expect(rules({ 'apps.pixelfed.rules': 'Be kind; No "spam"' })).toEqual(['Be kind', 'No "spam"']);
  expect(rules({})).toEqual([]);
});

test('a path is absolute and names a file', () => {
  expect(parsePath('/home/anna//our banner.png ')).toEqual({ value: '/home/anna/our banner.png' });
  for (const text of ['', 'banner.png', './x', '~/x', 'https://a/b.png', '/home/', '/a\nb'])
    expect(parsePath(text)).toHaveProperty('problem');
});
