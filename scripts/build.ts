/** Bundles wizard/ into dist/: nothing to install, and each command loads only what it needs. */
import { chmod, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'esbuild';
import { minifySync } from 'rolldown/utils';
import type { BuildOptions, Metafile, OutputFile, Plugin } from 'esbuild';
import { shrink } from './shrink.ts';
import { suffixText } from './suffix-text.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };

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

/** tldts's trie is optimized for speed. A smaller one replaces it. */
const suffixes: Plugin = {
  name: 'suffixes',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^tldts$/ }, () => ({ path: join(root, 'scripts/suffix-parse.ts') })),
};

await rm(join(root, 'dist'), { recursive: true, force: true });
const cli = await build({
  ...shared,
  entryPoints: { cli: 'wizard/cli/main.ts' },
  outdir: 'dist',
  target: 'node20',
  splitting: true,
  chunkNames: '[name]-[hash]',
  // Keeps the package small. For a stack trace (--debug) use `npm run build -- --sourcemap`: it builds the same bundle.
  minify: true,
  // THIRD-PARTY.txt has the complete licences.
  legalComments: 'none',
  write: false,
  plugins: [suffixes, ...shrink()],
  // Bundled CommonJS packages load Node's modules with `require`. `@__PURE__`: other chunks do not need it.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = /* @__PURE__ */ __createRequire(import.meta.url);",
  },
});
await writeSmaller(cli.outputFiles);
// The version check must also parse on versions of Node.js that are too old for the rest.
await build({
  ...shared,
  entryPoints: ['wizard/bin.ts'],
  outfile: 'dist/fedi-setup.js',
  target: 'node14',
  minify: true,
  plugins: [
    {
      name: 'cli',
      setup: ({ onResolve }) =>
        onResolve({ filter: /^\.\/cli\/main\.ts$/ }, () => ({ path: './cli.js', external: true })),
    },
  ],
});
await writeFile(
  join(root, 'dist/suffixes.br'),
  brotliCompressSync(await suffixText(), {
    params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY },
  }),
);
await chmod(join(root, 'dist/fedi-setup.js'), 0o755);
await writeFile(join(root, 'dist/THIRD-PARTY.txt'), await thirdParty(cli.metafile as Metafile));

/** Writes the bundle after a second minifier: it shortens more code, and names that compress better. */
async function writeSmaller(files: readonly OutputFile[]): Promise<void> {
  await mkdir(join(root, 'dist'), { recursive: true });
  for (const file of files.filter(({ path }) => path.endsWith('.js'))) {
    const map = files.find((one) => one.path === `${file.path}.map`)?.text;
    const smaller = minifySync(file.path, file.text, {
      module: true,
      compress: { target: 'node20' },
      ...(map === undefined ? {} : { sourcemap: true, inputMap: JSON.parse(map) as never }),
    });
    const [error] = smaller.errors;
    if (error !== undefined) throw new Error(`${file.path}: ${error.message}`);
    await writeFile(file.path, smaller.code);
    if (smaller.map !== undefined) await writeFile(`${file.path}.map`, JSON.stringify(smaller.map));
  }
}

/** The copyright notices at the top of a licence, and its conditions without the title, which not every copy has. */
function partsOf(text: string): { notices: string; conditions: string } {
  const paragraphs = text.split(/\n\s*\n/);
  const isHead = (one: string): boolean =>
    /^(\(?(The )?(MIT|ISC|BSD 3-Clause) License( \(MIT\))?\)?$|Copyright )/.test(one);
  const first = paragraphs.findIndex((one) => !isHead(one));
  if (first < 0) return { notices: '', conditions: text };
  const notices = paragraphs.slice(0, first).filter((one) => one.startsWith('Copyright '));
  return { notices: notices.join('\n'), conditions: paragraphs.slice(first).join('\n\n') };
}

/**
 * Lists name, version and licence of every bundled package, then each licence once: its packages, their copyright notices,
 * the conditions.
 */
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
  // By the words of the conditions, since line breaks differ.
  const licences = new Map<string, { conditions: string; holders: Map<string, string[]> }>();
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
    const more = (await readdir(join(root, folder))).filter((file) => /^notice/i.test(file));
    for (const file of [...files, ...more].toSorted()) {
      const text = (await readFile(join(root, folder, file), 'utf8')).replaceAll('\r\n', '\n').trim();
      const { notices, conditions } = partsOf(text);
      const words = conditions.replace(/\s+/g, ' ');
      const licence = licences.get(words) ?? { conditions, holders: new Map<string, string[]>() };
      licence.holders.set(notices, [...(licence.holders.get(notices) ?? []), name]);
      licences.set(words, licence);
    }
  }
  const texts = [...licences.values()].map(({ conditions, holders }) => {
    const names = [...holders.values()].flat().toSorted().join(', ');
    const notices = [...holders].map(([notice, of]) =>
      holders.size > 1 ? `${of.join(', ')}:\n${notice}` : notice,
    );
    return `${'-'.repeat(80)}\n${names}\n\n${[...notices, conditions].filter(Boolean).join('\n\n')}\n`;
  });
  return `Packages that are part of this bundle:\n\n${packages.join('\n')}\n\n${texts.join('\n')}`;
}
