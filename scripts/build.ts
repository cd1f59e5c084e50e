/** Bundles wizard/ into dist/: no dependencies to install, and start-up loads only what a command needs. */
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { BuildOptions, Metafile, Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };

/**
 * dockerode loads these at once for BuildKit builds, ssh:// engines and build contexts, which we never use: 1.5 MB and
 * 40 ms. readable-stream is Node's own stream module, bundled a second time.
 */
const unused: Plugin = {
  name: 'unused',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@grpc\/|protobufjs|ssh2|cpu-features|tar-fs)/ }, ({ path }) => ({
      path,
      namespace: 'unused',
    }));
    onResolve({ filter: /^readable-stream$/ }, () => ({ path: 'node:stream', external: true }));
    onLoad({ filter: /.*/, namespace: 'unused' }, () => ({
      contents:
        'module.exports = new Proxy(function () {}, { get: (_, key) => (key === "__esModule" ? false : module.exports), apply: () => module.exports });',
    }));
  },
};

const shared: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'esm',
  define: { VERSION: JSON.stringify(version) },
  logLevel: 'warning',
  metafile: true,
};

await rm(join(root, 'dist'), { recursive: true, force: true });
const cli = await build({
  ...shared,
  entryPoints: ['wizard/cli.ts'],
  outdir: 'dist',
  target: 'node20',
  splitting: true,
  chunkNames: '[name]-[hash]',
  // Comments stay in the sources; stack traces stay readable.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  plugins: [unused],
  // CommonJS packages inside an ES module bundle ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
// The gate must parse on Nodes that are too old for the rest.
await build({
  ...shared,
  entryPoints: ['wizard/bin.ts'],
  outfile: 'dist/fedi-setup.js',
  target: 'node14',
  external: ['./cli.ts'],
  plugins: [
    {
      name: 'cli',
      setup: ({ onResolve }) =>
        onResolve({ filter: /^\.\/cli\.ts$/ }, () => ({ path: './cli.js', external: true })),
    },
  ],
});
await chmod(join(root, 'dist/fedi-setup.js'), 0o755);
await writeFile(join(root, 'dist/THIRD-PARTY.txt'), await thirdParty(cli.metafile as Metafile));

/** Name, version and licence text of every package that is folded in. */
async function thirdParty(metafile: Metafile): Promise<string> {
  const folders = new Set<string>();
  for (const [path, { bytesInOutput }] of Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs),
  )) {
    const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
    if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
  }
  const texts = await Promise.all(
    [...folders].toSorted().map(async (folder) => {
      const {
        name,
        version: at,
        license,
      } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8')) as {
        name: string;
        version: string;
        license?: string;
      };
      return `${name} ${at} (${license ?? 'see its repository'})`;
    }),
  );
  return `Packages that are part of this bundle:\n\n${texts.join('\n')}\n`;
}
