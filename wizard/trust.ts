/** The CA certificates of the administrator's own servers (`trust.ca`), as this program uses them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { CUSTOM_TRUST, OWN_CAS_FILE } from './layout.ts';

/** What to do if a certificate is not trusted. */
export const PRIVATE_CA =
  'If a private CA issued its certificate, put that CA’s certificate into trust/custom and name the file with --trust-ca.';

/** The certificates in a PEM file, each with a line break at its end. */
export const certificatesIn = (text: string): string[] =>
  (text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => `${pem.replaceAll('\r', '')}\n`,
  );

/**
 * Their PEM, without anything else that is in the file; undefined: there is none. If the file is gone, those that the containers
 * trust.
 */
export async function readOwnCas(
  folder: string,
  { ownCas }: { readonly ownCas?: string | undefined },
): Promise<string | undefined> {
  if (ownCas === undefined) return undefined;
  const read = (path: string): Promise<string> => readFile(join(folder, path), 'utf8').catch(() => '');
  const text = (await read(join(CUSTOM_TRUST, ownCas))) || (await read(OWN_CAS_FILE));
  return certificatesIn(text).join('') || undefined;
}

/** Those and the public ones, for a client that takes a complete list. */
export const withPublic = (pem: string): string => [pem.trimEnd(), ...rootCertificates].join('\n');
