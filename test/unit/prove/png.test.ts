/** The picture of the upload proof is a valid PNG. */
import { crc32, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { png } from '../../../wizard/prove/activitypub.ts';

function chunks(picture: Buffer): { type: string; data: Buffer }[] {
  const found = [];
  for (let at = 8; at < picture.length;) {
    const length = picture.readUInt32BE(at);
    const body = picture.subarray(at + 4, at + 8 + length);
    expect(picture.readUInt32BE(at + 8 + length)).toBe(crc32(body));
    found.push({ type: body.toString('latin1', 0, 4), data: body.subarray(4) });
    at += 12 + length;
  }
  return found;
}

test.each([1, 2, 32, 300])('%i × the same, in one colour', (size) => {
  const picture = png(size, [99, 100, 255]);
  expect(picture.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
  const [header, data, end, ...more] = chunks(picture);
  expect([header?.type, data?.type, end?.type, more]).toEqual(['IHDR', 'IDAT', 'IEND', []]);
  expect([
    header?.data.readUInt32BE(0),
    header?.data.readUInt32BE(4),
    ...(header?.data.subarray(8) ?? []),
  ]).toEqual([size, size, 8, 2, 0, 0, 0]);
  const row = Buffer.concat([Buffer.of(0), ...Array.from({ length: size }, () => Buffer.of(99, 100, 255))]);
  expect(inflateSync(data?.data ?? '').equals(Buffer.concat(Array.from({ length: size }, () => row)))).toBe(
    true,
  );
});
