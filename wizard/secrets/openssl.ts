/** Key pairs and certificates. The only importer of openssl-wrapper. */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exec } from 'openssl-wrapper';
import { EXIT, Problem, codeOf, messageOf } from '../problem.ts';

type Options = Record<string, string | boolean | string[]>;

/** Runs `openssl ACTION`. The package has no `error` listener: without ours, a missing binary would end the process. */
function openssl(action: string, options: Options, stdin?: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, out: Buffer): void => (error ? reject(error) : resolve(out));
    const child = stdin === undefined ? exec(action, options, done) : exec(action, stdin, options, done);
    child.on('error', (error) =>
      reject(
        codeOf(error) === 'ENOENT'
          ? new Problem(EXIT.PREFLIGHT, '`openssl` is not installed.', {
              means: 'It generates the keys of the site.',
              next: 'Install the package openssl and run this again.',
            })
          : error,
      ),
    );
  });
}

/** A P-256 private key, PKCS#8 PEM. */
export async function makeKey(): Promise<string> {
  return (await openssl('genpkey', { algorithm: 'EC', pkeyopt: 'ec_paramgen_curve:P-256' })).toString();
}

/** An RSA private key, PKCS#8 PEM. */
export async function makeRsaKey(bits: number): Promise<string> {
  return (await openssl('genpkey', { algorithm: 'RSA', pkeyopt: `rsa_keygen_bits:${bits}` })).toString();
}

/**
 * Generates the site's CA: certificate and private key, PEM, one after the other. Valid for ten years. openssl reads the key from
 * a file only: the file is unlinked before the key is written, so that a kill does not leave it behind.
 */
export async function makeRoot(name: string): Promise<string> {
  const key = await makeKey();
  const folder = await mkdtemp(join(tmpdir(), 'fedi-setup-'));
  const handle = await open(join(folder, 'key'), 'wx+', 0o600).finally(() =>
    rm(folder, { recursive: true, force: true }),
  );
  try {
    await handle.writeFile(key);
    const certificate = await openssl('req', {
      new: true,
      x509: true,
      key: `/proc/${process.pid}/fd/${handle.fd}`,
      days: '3650',
      subj: `/CN=${name}`,
      addext: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'],
    });
    return `${certificate.toString().trim()}\n${key.trim()}\n`;
  } finally {
    await handle.close();
  }
}

/** Splits one PEM text into certificate and key; `problem` is a sentence if they are not a CA. */
export function splitRoot(pem: string): { certificate: string; key: string } | { problem: string } {
  const certificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(pem)?.[0];
  const key = /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[\s\S]+?-----END (?:[A-Z]+ )?PRIVATE KEY-----/.exec(
    pem,
  )?.[0];
  if (certificate === undefined || key === undefined) {
    return { problem: 'It must be one PEM file with the CA certificate and its private key.' };
  }
  try {
    const parsed = new X509Certificate(certificate);
    if (!parsed.ca) return { problem: 'The certificate is not a CA certificate.' };
    if (!parsed.checkPrivateKey(createPrivateKey(key)))
      return { problem: 'The private key does not belong to the certificate.' };
  } catch (error) {
    return { problem: `It cannot be read: ${messageOf(error)}` };
  }
  return { certificate: `${certificate}\n`, key: `${key}\n` };
}
