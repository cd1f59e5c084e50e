/**
 * Writes the bill of materials (CycloneDX) of the packages in the last build, with npm's metadata. Reproducible for the
 * same lock file and build. Usage: npm run sbom
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly scope?: string;
  readonly properties?: unknown;
  readonly externalReferences?: readonly { readonly type: string }[];
}

interface Bom {
  readonly metadata: { readonly component: Component & { readonly version: string } };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** `NAME VERSION (LICENCE)` lines at the head of THIRD-PARTY.txt → `NAME@VERSION`. */
export const bundledIn = (thirdParty: string): string[] =>
  [...(thirdParty.split('\n\n')[1] ?? '').matchAll(/^(\S+) (\S+) \(.+\)$/gm)].map(
    ([, name, version]) => `${name}@${version}`,
  );

/** Removes what differs between machines: time, serial number, registry address, directory name. */
export function sbomOf(all: Bom, bundled: readonly string[]): Bom {
  const own = all.metadata.component;
  const clean = (one: Component): Component => {
    const { properties: _, externalReferences, scope: __, ...rest } = one;
    const kept = (externalReferences ?? []).filter(({ type }) => type !== 'distribution');
    return { ...rest, scope: 'required', ...(kept.length > 0 ? { externalReferences: kept } : {}) };
  };
  const components = bundled.map((ref) => {
    const found = all.components.find((one) => one['bom-ref'] === ref);
    if (found === undefined) throw new Error(`${ref} is in the bundle and not in the lock`);
    return clean(found);
  });
  const { serialNumber: _, ...rest } = all as Bom & { serialNumber?: string };
  return {
    ...rest,
    metadata: {
      component: { ...clean(own), name: own['bom-ref'].replace(/@[^@]+$/, '') },
    } as Bom['metadata'],
    components,
    dependencies: [
      { ref: own['bom-ref'], dependsOn: bundled },
      ...bundled.map((ref) => ({
        ref,
        dependsOn: (all.dependencies.find((one) => one.ref === ref)?.dependsOn ?? []).filter((one) =>
          bundled.includes(one),
        ),
      })),
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const all = JSON.parse(
    execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    }),
  ) as Bom;
  const bundled = bundledIn(readFileSync(join(root, 'dist/THIRD-PARTY.txt'), 'utf8'));
  const file = `fedi-setup-${all.metadata.component.version}.cdx.json`;
  writeFileSync(join(root, file), `${JSON.stringify(sbomOf(all, bundled), undefined, 2)}\n`);
  process.stdout.write(`${file}: ${bundled.length} packages\n`);
}
