/** Bundles wizard/ into dist/: no dependencies to install, and start-up loads only what a command needs. */
import { chmod, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'esbuild';
import type { BuildOptions, Metafile, Plugin } from 'esbuild';
import { suffixText } from './suffix-text.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };

/**
 * dockerode loads these at once for BuildKit builds, engines on other machines, Swarm and build contexts, which we never
 * use: 1.5 MB and 40 ms. readable-stream is Node's own stream module, bundled a second time.
 */
const unused: Plugin = {
  name: 'unused',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@grpc\/|protobufjs|ssh2|cpu-features|tar-fs|split-ca)/ }, ({ path }) => ({
      path,
      namespace: 'unused',
    }));
    onResolve({ filter: /^\.\/(service|plugin|secret|config|task|node|session)$/ }, ({ path, importer }) =>
      importer.includes('/node_modules/dockerode/') ? { path, namespace: 'unused' } : undefined,
    );
    onResolve({ filter: /^readable-stream$/ }, () => ({ path: 'node:stream', external: true }));
    onLoad({ filter: /.*/, namespace: 'unused' }, () => ({
      contents:
        'module.exports = new Proxy(function () {}, { get: (_, key) => (key === "__esModule" ? false : module.exports), apply: () => module.exports });',
    }));
  },
};

/** Of its 90 spinners ora uses these two unless told otherwise. */
const SPINNERS = ['dots', 'line'];

/** Packages carry along what we do not need: most spinners, and a trie that is made for speed. */
const smaller: Plugin = {
  name: 'smaller',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tldts$/ }, () => ({ path: join(root, 'scripts/suffix-parse.ts') }));
    onLoad({ filter: /cli-spinners\/spinners\.json$/ }, async ({ path }) => {
      const all = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
      return { loader: 'json', contents: JSON.stringify(all, [...SPINNERS, 'interval', 'frames']) };
    });
  },
};

const shared: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'esm',
  define: { VERSION: JSON.stringify(version) },
  logLevel: 'warning',
  sourcemap: process.argv.includes('--sourcemap') ? 'external' : false,
  metafile: true,
};

/** As scripts/suffix-parse.ts reads them. */
const suffixes = async (): Promise<string> =>
  brotliCompressSync(await suffixText(), {
    params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY },
  }).toString('base64');

await rm(join(root, 'dist'), { recursive: true, force: true });
const cli = await build({
  ...shared,
  entryPoints: ['wizard/cli.ts'],
  outdir: 'dist',
  target: 'node20',
  define: { ...shared.define, SUFFIXES: JSON.stringify(await suffixes()) },
  splitting: true,
  chunkNames: '[name]-[hash]',
  // Room in the package is for words. A stack trace (--debug) is read with `npm run build -- --sourcemap`: same sources,
  // same bundle.
  minify: true,
  // Licences stand in THIRD-PARTY.txt, whole.
  legalComments: 'none',
  plugins: [unused, smaller],
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

/** Name, version and licence of every package that is folded in, then the licences' texts, each text once. */
async function thirdParty(metafile: Metafile): Promise<string> {
  // Its data are in the bundle, by scripts/suffix-text.ts.
  const folders = new Set(['node_modules/tldts']);
  for (const [path, { bytesInOutput }] of Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs),
  )) {
    const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
    if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
  }
  const packages: string[] = [];
  const holders = new Map<string, string[]>();
  for (const folder of [...folders].toSorted()) {
    const {
      name,
      version: at,
      license,
    } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8')) as {
      name: string;
      version: string;
      license: string;
    };
    const files = (await readdir(join(root, folder))).filter((file) => /^(licen[cs]e|copying)/i.test(file));
    if (files.length === 0) throw new Error(`${name} is part of the bundle and has no licence text`);
    packages.push(`${name} ${at} (${license})`);
    const notices = (await readdir(join(root, folder))).filter((file) => /^notice/i.test(file));
    for (const file of [...files, ...notices].toSorted()) {
      const text = (await readFile(join(root, folder, file), 'utf8')).replaceAll('\r\n', '\n').trim();
      holders.set(text, [...(holders.get(text) ?? []), name]);
    }
  }
  const texts = [...holders].map(([text, names]) => `${'-'.repeat(80)}\n${names.join(', ')}\n\n${text}\n`);
  return `Packages that are part of this bundle:\n\n${packages.join('\n')}\n\n${texts.join('\n')}`;
}
