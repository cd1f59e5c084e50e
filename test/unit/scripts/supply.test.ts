/** The supply chain: the lock, the bill of materials, the key of Docker's packages. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bundledIn, sbomOf } from '../../../scripts/sbom.ts';
import { tempFolder } from '../../support/temp.ts';

interface Locked {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

describe('package-lock.json', () => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, Locked>;
  };
  const all = Object.entries(packages).filter(([path]) => path !== '');

  test('names no registry, and has a checksum for every package', () => {
    expect(all.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(all.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))).toEqual([]);
  });

  test('has the packages of every platform: `npm ci` refuses a lock that lacks one', () => {
    const names = new Set(all.map(([path]) => path.replace(/^.*node_modules\//, '')));
    const wanted = all.flatMap(([, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies }),
    );
    expect(wanted.filter((name) => !names.has(name))).toEqual([]);
  });

  test('no package may run a script when it is installed', () => {
    const { allowScripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      allowScripts: Record<string, boolean>;
    };
    const able = all
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect(able.filter((name) => allowScripts[name] !== false)).toEqual([]);
    expect(readFileSync('scripts/prepare', 'utf8')).toContain('npm ci --ignore-scripts');
  });
});

test('the bill of materials lists what is bundled, and nothing of the build machine', () => {
  const part = (name: string): Record<string, unknown> & { name: string; 'bom-ref': string } => ({
    'bom-ref': `${name}@1.0.0`,
    name,
    scope: 'optional',
    properties: [{ name: 'cdx:npm:package:path', value: `/home/anna/${name}` }],
    externalReferences: [
      { type: 'distribution', url: 'https://mirror.example.org/x.tgz' },
      { type: 'website', url: 'https://example.org' },
    ],
  });
  const all = {
    serialNumber: 'urn:uuid:1',
    metadata: {
      timestamp: '2026-01-01T00:00:00Z',
      component: { ...part('fedi-setup'), name: 'checkout', version: '1.0.0' },
    },
    components: [part('@a/b'), part('c'), part('test-only')],
    dependencies: [{ ref: '@a/b@1.0.0', dependsOn: ['c@1.0.0', 'test-only@1.0.0'] }],
  };
  const bundled = bundledIn(
    'Packages that are part of this bundle:\n\n@a/b 1.0.0 (MIT)\nc 1.0.0 (ISC)\n\n---',
  );
  expect(bundled).toEqual(['@a/b@1.0.0', 'c@1.0.0']);
  const bom = sbomOf(all, bundled);
  expect(bom.components.map(({ name }) => name)).toEqual(['@a/b', 'c']);
  expect(bom.metadata.component.name).toBe('fedi-setup');
  expect(bom.dependencies).toContainEqual({ ref: '@a/b@1.0.0', dependsOn: ['c@1.0.0'] });
  expect(JSON.stringify(bom)).not.toMatch(/mirror|anna|2026|uuid|checkout|test-only/);
  expect(() => sbomOf(all, ['gone@1.0.0'])).toThrow('gone@1.0.0');
});

const hasGpg = spawnSync('gpg', ['--version'], { stdio: 'ignore' }).status === 0;

test.skipIf(!hasGpg)('accepts only a file that contains nothing but Docker’s key, by its fingerprint', () => {
  const folder = tempFolder();
  const gpg = (...argv: string[]): string =>
    spawnSync('gpg', ['--batch', '--homedir', folder, '--passphrase', '', ...argv], { encoding: 'utf8' })
      .stdout;
  for (const name of ['one', 'two']) gpg('--quick-generate-key', `${name}@example.org`, 'ed25519');
  const file = (...names: string[]): string => {
    const path = join(folder, `${names.join('-')}.asc`);
    writeFileSync(path, gpg('--armor', '--export', ...names));
    return path;
  };
  const fingerprint = /^fpr:+([0-9A-F]{40}):$/m.exec(
    gpg('--list-keys', '--with-colons', 'one@example.org'),
  )?.[1];
  // The script, with the first key as Docker's.
  const script = join(folder, 'install-docker');
  writeFileSync(
    script,
    readFileSync('scripts/install-docker', 'utf8').replace(/^docker_key=.*$/m, `docker_key=${fingerprint}`),
  );
  const check = (program: string, path: string): number | null =>
    spawnSync('bash', [program, '--check-key', path], { stdio: 'ignore' }).status;
  expect(check(script, file('one@example.org'))).toBe(0);
  expect(check(script, file('two@example.org'))).toBe(1);
  expect(check(script, file('one@example.org', 'two@example.org'))).toBe(1);
  expect(check(script, join(folder, 'none'))).toBe(1);
  expect(check('scripts/install-docker', file('one@example.org'))).toBe(1);
});
