/** Detects an image's type and size from its header, not from its file name. */
import { createHash } from 'node:crypto';

export interface Picture {
  readonly type: 'jpg' | 'png';
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** Size of the file. */
  readonly bytes: number;
}

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const JPEG_END = Buffer.from([0xff, 0xd9]);

/** A line that stands for binary content in text output. */
export const aboutBytes = (file: Buffer): string =>
  `(${file.length} bytes, SHA-256 ${createHash('sha256').update(file).digest('hex')})\n`;

/** Parses a complete JPEG (ITU T.81, B.1) or PNG (ISO 15948, 5.2); undefined if it is neither or truncated. */
export function parsePicture(file: Buffer): Picture | undefined {
  if (file.subarray(0, 8).equals(PNG)) {
    const whole =
      file.length >= 57 && file.toString('latin1', 12, 16) === 'IHDR' && file.includes('IEND', 33);
    return whole
      ? { type: 'png', width: file.readUInt32BE(16), height: file.readUInt32BE(20), bytes: file.length }
      : undefined;
  }
  if (file[0] !== 0xff || file[1] !== 0xd8) return undefined;
  for (let at = 2; at + 9 < file.length;) {
    const marker = file[at + 1] as number;
    if (file[at] !== 0xff) return undefined;
    // Skip fill bytes and markers without a length.
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) at += 2;
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return file.lastIndexOf(JPEG_END) > at
        ? {
            type: 'jpg',
            height: file.readUInt16BE(at + 5),
            width: file.readUInt16BE(at + 7),
            bytes: file.length,
          }
        : undefined;
    } else at += 2 + file.readUInt16BE(at + 2);
  }
  return undefined;
}
