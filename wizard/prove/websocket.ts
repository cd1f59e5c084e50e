/** A minimal WebSocket client for a proof: opens, reads text frames (RFC 6455), closes. */
import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Headers that request the upgrade, and the accept value that the server must return. */
export function handshake(): { headers: Record<string, string>; accept: string } {
  const key = randomBytes(16).toString('base64');
  return {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': key,
    },
    accept: createHash('sha1')
      .update(key + GUID)
      .digest('base64'),
  };
}

/** Maximum bytes of a message, far more than a post has. */
const MOST = 1024 ** 2;

/** Resolves to the first text message that `wanted` accepts; rejects if the socket closes before, or a message is larger than `most`. */
export function firstMessage(
  socket: Duplex,
  head: Buffer,
  wanted: (text: string) => boolean,
  timeoutMs: number,
  most = MOST,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let buffer = head;
    const timer = setTimeout(() => end(new Error(`no message within ${timeoutMs / 1000} s`)), timeoutMs);
    const end = (outcome: Error | string): void => {
      clearTimeout(timer);
      socket.destroy();
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    const read = (): void => {
      for (;;) {
        const frame = takeFrame(buffer);
        if (frame === undefined) {
          if (buffer.length > most) end(new Error(`a message is larger than ${most} bytes`));
          return;
        }
        buffer = frame.rest;
        if (frame.opcode === 8) return end(new Error('the server closed the socket'));
        if (frame.opcode === 1 && wanted(frame.payload.toString('utf8')))
          return end(frame.payload.toString('utf8'));
      }
    };
    socket.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      read();
    });
    socket.on('error', (error) => end(error));
    socket.on('close', () => end(new Error('the socket was closed')));
    read();
  });
}

/** The first complete frame of a buffer; servers never mask their frames. */
export function takeFrame(buffer: Buffer): { opcode: number; payload: Buffer; rest: Buffer } | undefined {
  if (buffer.length < 2) return undefined;
  let length = buffer.readUInt8(1) & 0x7f;
  let at = 2;
  if (length === 126) {
    if (buffer.length < 4) return undefined;
    length = buffer.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (buffer.length < 10) return undefined;
    length = Number(buffer.readBigUInt64BE(2));
    at = 10;
  }
  if (buffer.length < at + length) return undefined;
  return {
    opcode: buffer.readUInt8(0) & 0x0f,
    payload: buffer.subarray(at, at + length),
    rest: buffer.subarray(at + length),
  };
}
