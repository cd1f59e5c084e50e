/** Keys of push notifications: a pair on P-256, in base64url with or without padding. */
import { createECDH, createPrivateKey } from 'node:crypto';
import { makeKey } from '../../secrets/openssl.ts';

/** Base64url; `padded` with `=`, as Ruby writes it. */
const written = (bytes: Buffer, padded: boolean): string => {
  const text = bytes.toString('base64url');
  return padded ? text.padEnd(Math.ceil(text.length / 4) * 4, '=') : text;
};

/**
 * Private key: a scalar of 32 bytes, 43 characters without padding. A key with a leading zero byte is discarded: Ruby would
 * write it shorter.
 */
export async function makeVapid(padded: boolean): Promise<string> {
  for (;;) {
    const { d = '' } = createPrivateKey(await makeKey()).export({ format: 'jwk' });
    const scalar = Buffer.from(d, 'base64url');
    if (scalar.length === 32 && scalar[0] !== 0) return written(scalar, padded);
  }
}

/** Public key: an uncompressed point of 65 bytes, 87 characters without padding. It is padded if the private key is. */
export function vapidPublic(privateKey: string): string {
  const pair = createECDH('prime256v1');
  pair.setPrivateKey(Buffer.from(privateKey, 'base64url'));
  return written(pair.getPublicKey(null, 'uncompressed'), privateKey.endsWith('='));
}
