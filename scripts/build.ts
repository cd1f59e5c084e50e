/** Bundles wizard/ into dist/: nothing to install, and each command loads only what it needs. */
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
 * dockerode loads these at start for BuildKit, remote engines, Swarm, build contexts and traces, which we never use: 1.5 MB
 * and 40 ms. readable-stream duplicates Node's stream module.
 */
const unused: Plugin = {
  name: 'unused',
  setup({ onResolve, onLoad }) {
    onResolve(
      { filter: /^(@grpc\/|protobufjs|ssh2|cpu-features|tar-fs|split-ca|@balena\/dockerignore$|debug$)/ },
      ({ path }) => ({
        path,
        namespace: 'unused',
      }),
    );
    onResolve(
      { filter: /^\.\/(service|plugin|secret|config|task|node|session|buildkit)$/ },
      ({ path, importer }) =>
        importer.includes('/node_modules/dockerode/') ? { path, namespace: 'unused' } : undefined,
    );
    onResolve({ filter: /^readable-stream$/ }, () => ({ path: 'node:stream', external: true }));
    onLoad({ filter: /.*/, namespace: 'unused' }, () => ({
      contents:
        'module.exports = new Proxy(function () {}, { get: (_, key) => (key === "__esModule" ? false : module.exports), apply: () => module.exports });',
    }));
  },
};

/** The two of its 90 spinners that ora uses by default. */
const SPINNERS = ['dots', 'line'];

/** Drops unused spinners, and replaces tldts's trie, which is optimized for speed, by a smaller one. */
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

/** The suffixes as scripts/suffix-parse.ts expects them. */
const suffixes = async (): Promise<string> =>
  brotliCompressSync(await suffixText(), {
    params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY },
  }).toString('base64');

await rm(join(root, 'dist'), { recursive: true, force: true });
const cli = await build({
  ...shared,
  entryPoints: { cli: 'wizard/cli/main.ts' },
  outdir: 'dist',
  target: 'node20',
  define: { ...shared.define, SUFFIXES: JSON.stringify(await suffixes()) },
  splitting: true,
  chunkNames: '[name]-[hash]',
  // Keeps the package small. For a stack trace (--debug) use `npm run build -- --sourcemap`: it builds the same bundle.
  minify: true,
  // THIRD-PARTY.txt has the complete licences.
  legalComments: 'none',
  plugins: [unused, smaller],
  // Bundled CommonJS packages load Node's modules with `require`.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
// The version check must also parse on versions of Node.js that are too old for the rest.
await build({
  ...shared,
  entryPoints: ['wizard/bin.ts'],
  outfile: 'dist/fedi-setup.js',
  target: 'node14',
  plugins: [
    {
      name: 'cli',
      setup: ({ onResolve }) =>
        onResolve({ filter: /^\.\/cli\/main\.ts$/ }, () => ({ path: './cli.js', external: true })),
    },
  ],
});
await chmod(join(root, 'dist/fedi-setup.js'), 0o755);
await writeFile(join(root, 'dist/THIRD-PARTY.txt'), await thirdParty(cli.metafile as Metafile));

/** Lists name, version and licence of every bundled package, then each licence text once. */
async function thirdParty(metafile: Metafile): Promise<string> {
  // Its data is bundled by scripts/suffix-text.ts.
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
