/** Packs the tool as it is published and installs the tarball once: tests run what users install. */
import { execFileSync } from 'node:child_process';
import type { ExecFileSyncOptions } from 'node:child_process';
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

/** Projects of one run share it. */
const shared = globalThis as { packed?: { tool: string; tarball: string } };

function pack(): { tool: string; tarball: string } {
  const folder = mkdtempSync(join(tmpdir(), 'fedi-packed-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const quiet: ExecFileSyncOptions = { stdio: ['ignore', 'ignore', 'inherit'] };
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], quiet);
  const [name = ''] = readdirSync(folder).filter((one) => one.endsWith('.tgz'));
  const tarball = join(folder, name);
  const prefix = join(folder, 'installed');
  execFileSync('npm', ['install', '--silent', '--global', '--offline', '--prefix', prefix, tarball], quiet);
  return { tool: join(prefix, 'bin/fedi-setup'), tarball };
}

export default function setup(project: TestProject): void {
  const { tool, tarball } = (shared.packed ??= pack());
  project.provide('tarball', tarball);
  project.provide('tool', tool);
}
