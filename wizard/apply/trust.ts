/** The administrator's CA certificates for own servers: `trust/custom/NAME`. */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OWN_CAS, TRUST_FOLDER } from '../apps/app.ts';
import { exists } from '../atomic.ts';
import type { Config } from '../config/config.ts';
import { CUSTOM_TRUST } from '../layout.ts';
import { codeOf, messageOf } from '../problem.ts';
import { certificatesIn } from '../trust.ts';

/** Why certificates that the answers name cannot be used; sentences. */
export async function trustProblems(folder: string, { apps, ownCas }: Config, now: Date): Promise<string[]> {
  const names = new Set(apps.flatMap(({ options: { databaseCa } }) => databaseCa ?? []));
  const problems: string[] = [];
  for (const name of new Set([...names, ...(ownCas === undefined ? [] : [ownCas])])) {
    const path = join(folder, CUSTOM_TRUST, name);
    try {
      const { mode } = await stat(path);
      const text = await readFile(path, 'utf8');
      if (name === ownCas) problems.push(...ownProblem(path, text, now));
      else new X509Certificate(text);
      // Containers read it as other users.
      if ((mode & 0o004) === 0) problems.push(`Containers cannot read ${path}: \`chmod 644 ${path}\`.`);
    } catch (error) {
      problems.push(
        codeOf(error) === 'ENOENT' && name === ownCas
          ? `There is no file ${path}, which trust.ca names. Put the certificates there, or set trust.ca to another file or to nothing.`
          : `${path} is not a CA certificate in PEM: ${messageOf(error)}.`,
      );
    }
  }
  return problems;
}

/** What is wrong with the file of `trust.ca`; at most one sentence. */
function ownProblem(path: string, text: string, now: Date): string[] {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
    return [`${path} contains a private key, which containers must not read. Leave only certificates in it.`];
  const pems = certificatesIn(text);
  if (pems.length === 0)
    return [
      `${path} contains no certificate in PEM. Such a certificate starts with -----BEGIN CERTIFICATE-----. \`openssl x509 -inform DER -in FILE\` converts a file in DER.`,
    ];
  for (const [i, pem] of pems.entries()) {
    const which = pems.length === 1 ? 'The certificate' : `Certificate ${i + 1}`;
    let one: X509Certificate;
    try {
      one = new X509Certificate(pem);
    } catch (error) {
      return [`${which} in ${path} cannot be read: ${messageOf(error)}.`];
    }
    const name = one.subject.split('\n').at(-1) ?? '';
    if (!one.ca)
      return [
        `${which} in ${path} (${name}) is that of a server, not of a CA. Give the certificate of the CA that issued it.`,
      ];
    if (Date.parse(one.validTo) <= now.getTime())
      return [
        `${which} in ${path} (${name}) expired on ${new Date(one.validTo).toISOString().slice(0, 10)}. Give the one that your CA uses now.`,
      ];
  }
  return [];
}

/** Mounts for one-shot containers, with the paths of the site's containers. */
export async function trustMounts(folder: string, { ownCas }: Pick<Config, 'ownCas'>): Promise<string[]> {
  const path = join(folder, CUSTOM_TRUST);
  if (!(await exists(path))) return [];
  const own = ownCas === undefined ? undefined : join(path, ownCas);
  return [
    `${path}:${TRUST_FOLDER}/custom:ro`,
    ...(own !== undefined && (await exists(own)) ? [`${own}:${OWN_CAS}:ro`] : []),
  ];
}
