/** Packs the tool as it is published and installs the tarball once: what the tests drive is what people get. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Path of the installed `fedi-setup`. */
    tool: string;
    /** Path of the tarball. */
    tarball: string;
  }
}

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-packed-'));
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [name = ''] = readdirSync(folder).filter((one) => one.endsWith('.tgz'));
  const tarball = join(folder, name);
  execFileSync(
    'npm',
    ['install', '--silent', '--global', '--offline', '--prefix', join(folder, 'installed'), tarball],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  project.provide('tarball', tarball);
  project.provide('tool', join(folder, 'installed/bin/fedi-setup'));
  return () => rmSync(folder, { recursive: true, force: true });
}
