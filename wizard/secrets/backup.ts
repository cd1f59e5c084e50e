/** Secrets that backups need. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { makeKey } from './openssl.ts';
import { randomToken } from './store.ts';
import type { SecretSpec } from './store.ts';

export const BACKUP_PASSWORD = 'backup.password';
export const BACKUP_SSH_KEY = 'backup.ssh-key';

export const BACKUP_SECRETS: readonly SecretSpec[] = [
  {
    name: BACKUP_PASSWORD,
    class: 'forever',
    about: 'Encrypts the backups. Without it nobody can restore them.',
    make: randomToken,
  },
  {
    name: BACKUP_SSH_KEY,
    class: 'steps',
    about: 'Logs in to SFTP servers with backups. A new one must be allowed there.',
    make: makeKey,
  },
];

/** The public half of a P-256 key in PEM, as a line of `authorized_keys`. */
export function publicLine(pem: string, comment: string): string {
  const { x = '', y = '' } = createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const field = (part: string | Buffer): Buffer => {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const blob = Buffer.concat([field('ecdsa-sha2-nistp256'), field('nistp256'), field(point)]);
  return `ecdsa-sha2-nistp256 ${blob.toString('base64')} ${comment}`;
}
