/** The administrator's CA certificates for external servers: `trust/custom/NAME`. */
import { X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TRUST_FOLDER } from '../apps/app.ts';
import { exists } from '../atomic.ts';
import type { Config } from '../config/config.ts';
import { CUSTOM_TRUST } from '../layout.ts';
import { messageOf } from '../problem.ts';

/** Why certificates that the answers name cannot be used; sentences. */
export async function trustProblems(folder: string, { apps }: Config): Promise<string[]> {
  const names = new Set(apps.flatMap(({ options: { databaseCa } }) => databaseCa ?? []));
  const problems: string[] = [];
  for (const name of names) {
    const path = join(folder, CUSTOM_TRUST, name);
    try {
      const { mode } = await stat(path);
      new X509Certificate(await readFile(path));
      // Containers read it as other users.
      if ((mode & 0o004) === 0) problems.push(`Containers cannot read ${path}: \`chmod 644 ${path}\`.`);
    } catch (error) {
      problems.push(`${path} is not a CA certificate in PEM: ${messageOf(error)}.`);
    }
  }
  return problems;
}

/** Mounts for one-shot containers, with the paths of the site's containers. */
export const trustMounts = async (folder: string): Promise<string[]> => {
  const path = join(folder, CUSTOM_TRUST);
  return (await exists(path)) ? [`${path}:${TRUST_FOLDER}/custom:ro`] : [];
};
