/**
 * Plugins that leave out of the bundle what cannot be reached. Each rule fails the build when a package changed so that
 * the rule matches nothing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Modules that are replaced by a stand-in without a function, by the package that loads them. */
const UNUSED: Readonly<Record<string, readonly string[]>> = {
  // For BuildKit, Swarm, build contexts and plugins: 1.5 MB and 40 ms at the start.
  dockerode: [
    './service',
    './plugin',
    './secret',
    './config',
    './task',
    './node',
    './session',
    '@balena/dockerignore',
    'tar-fs',
  ],
  // For engines on other machines, and traces.
  'docker-modem': ['./ssh', 'split-ca', 'debug'],
};

/** The package that a file belongs to. */
const packageOf = (path: string): string | undefined =>
  /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];

/** Fails the build unless every one of `names` was marked with the function that it returns. */
function mustMatch(name: string, names: readonly string[]): { mark: (one: string) => void; plugin: Plugin } {
  const missing = new Set(names);
  return {
    mark: (one) => void missing.delete(one),
    plugin: {
      name,
      setup: ({ onEnd }) =>
        onEnd(({ errors }) => ({
          errors:
            errors.length > 0
              ? []
              : [...missing].map((one) => ({
                  text: `${one} is not part of the bundle: remove or correct its rule`,
                })),
        })),
    },
  };
}

function unused(): Plugin[] {
  const { mark, plugin } = mustMatch('unused-matched', [
    ...Object.entries(UNUSED).flatMap(([name, paths]) => paths.map((path) => `${name}: ${path}`)),
    'readable-stream',
  ]);
  const replace: Plugin = {
    name: 'unused',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /.*/ }, ({ path, importer }) => {
        const name = packageOf(importer) ?? '';
        if (!UNUSED[name]?.includes(path)) return undefined;
        mark(`${name}: ${path}`);
        return { path: 'unused', namespace: 'unused' };
      });
      // It duplicates Node's own module.
      onResolve({ filter: /^readable-stream$/ }, () => {
        mark('readable-stream');
        return { path: 'node:stream', external: true };
      });
      onLoad({ filter: /.*/, namespace: 'unused' }, () => ({
        contents:
          'module.exports = new Proxy(function () {}, { get: (_, key) => (key === "__esModule" ? false : module.exports), apply: () => module.exports });',
      }));
    },
  };
  return [replace, plugin];
}

/** Files with many methods or functions, of which we call few. */
const CLASSES = [
  ...['docker', 'container', 'image', 'network', 'exec', 'util'].map((name) => `dockerode/lib/${name}.js`),
  'docker-modem/lib/modem.js',
];
/** The only importer of dockerode. */
const CALLER = 'wizard/docker/docker.ts';
const METHOD = /^(?:\w+\.prototype|module\.exports)\.(\w+) = function[\s\S]*?^\}[;)]*$/gm;

/** @returns texts without the methods that are called neither in `caller` nor in what is left of the texts themselves */
export function calledMethods(caller: string, texts: readonly string[]): string[] {
  const withoutComments = (text: string): string => text.replace(/^ *\/?\*.*$/gm, '');
  const names = (text: string): string[] =>
    [...withoutComments(text).matchAll(/\.(\w+)/g)].map(([, name = '']) => name);
  const defined = texts.flatMap((text) => [...text.matchAll(METHOD)]);
  const called = new Set([
    ...[...withoutComments(caller).matchAll(/\.(\w+)\(/g)].map(([, name = '']) => name),
    ...texts.flatMap((text) => names(text.replace(METHOD, ''))),
  ]);
  // What a called method calls is called too.
  for (let before = -1; before !== called.size;) {
    before = called.size;
    for (const [text, name = ''] of defined)
      if (called.has(name)) names(text).forEach((one) => called.add(one));
  }
  return texts.map((text) => text.replace(METHOD, (all, name: string) => (called.has(name) ? all : '')));
}

/** Bundlers keep all methods of a class, and dockerode has over 100. */
function methods(): Plugin[] {
  const { mark, plugin } = mustMatch('methods-matched', CLASSES);
  const remove: Plugin = {
    name: 'methods',
    async setup({ onLoad }) {
      const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
      const texts = await Promise.all(CLASSES.map((path) => read(`node_modules/${path}`)));
      const smaller = calledMethods(await read(CALLER), texts);
      onLoad({ filter: /\/(dockerode|docker-modem)\/lib\/\w+\.js$/ }, ({ path }) => {
        const index = CLASSES.findIndex((one) => path.endsWith(`/node_modules/${one}`));
        const contents = smaller[index];
        if (contents === undefined) return undefined;
        if (contents !== texts[index]) mark(CLASSES[index] ?? '');
        return { contents, loader: 'js' };
      });
    },
  };
  return [remove, plugin];
}

interface Table {
  readonly file: string;
  /** How packages name a row. */
  readonly use: RegExp;
  readonly kept: readonly string[];
  readonly keep: (text: string, kept: readonly string[]) => string;
}

/** Tables with many rows that nothing names. */
const TABLES: readonly Table[] = [
  {
    file: 'cli-spinners/spinners.json',
    use: /\bcliSpinners\.(\w+)/g,
    kept: ['dots', 'line'],
    keep: (text, kept) => {
      const all = Object.entries(JSON.parse(text) as Record<string, unknown>);
      return JSON.stringify(Object.fromEntries(all.filter(([name]) => kept.includes(name))));
    },
  },
  {
    file: '@inquirer/figures/dist/index.js',
    use: /\bfigures\.(\w+)/g,
    kept: ['circle', 'circleDouble', 'circleFilled', 'line', 'pointer', 'tick'],
    keep: (text, kept) =>
      text.replace(/^ {4}(\w+): '.*',\n/gm, (row, name: string) => (kept.includes(name) ? row : '')),
  },
];

function tables(): Plugin[] {
  const { mark, plugin } = mustMatch(
    'tables-matched',
    TABLES.flatMap(({ file, kept }) => [file, ...kept]),
  );
  const shorten: Plugin = {
    name: 'tables',
    setup({ onLoad, onEnd }) {
      onLoad({ filter: /\/(spinners\.json|figures\/dist\/index\.js)$/ }, async ({ path }) => {
        const table = TABLES.find(({ file }) => path.endsWith(`/node_modules/${file}`));
        if (table === undefined) return undefined;
        const text = await readFile(path, 'utf8');
        const contents = table.keep(text, table.kept);
        if (contents.length < text.length / 2) mark(table.file);
        return { contents, loader: path.endsWith('.json') ? 'json' : 'js' };
      });
      // A row that a package names must be there.
      onEnd(async ({ metafile }) => {
        const paths = Object.keys(metafile?.inputs ?? {}).filter((path) => path.startsWith('node_modules/'));
        const texts = await Promise.all(paths.map((path) => readFile(join(root, path), 'utf8')));
        const names = (use: RegExp): string[] =>
          texts.flatMap((text) => [...text.matchAll(use)].map(([, name = '']) => name));
        const lost = TABLES.flatMap(({ use, kept }) => {
          const used = names(use);
          used.forEach(mark);
          return used.filter((name) => !kept.includes(name));
        });
        return { errors: [...new Set(lost)].map((name) => ({ text: `${name} is used and was left out` })) };
      });
    },
  };
  return [shorten, plugin];
}

/** What ora loads, and what it gets instead: modules with the same functions that are in the bundle for other packages. */
const SAME: Readonly<Record<string, string>> = { chalk: 'yoctocolors', 'string-width': 'fast-string-width' };

function same(): Plugin[] {
  const { mark, plugin } = mustMatch('same-matched', Object.keys(SAME));
  const replace: Plugin = {
    name: 'same',
    setup: ({ onResolve, resolve }) =>
      onResolve({ filter: /^(chalk|string-width)$/ }, ({ path, importer, kind, resolveDir }) => {
        if (packageOf(importer) !== 'ora') return undefined;
        mark(path);
        return resolve(SAME[path] ?? path, { importer, kind, resolveDir });
      }),
  };
  return [replace, plugin];
}

/** All of them. */
export const shrink = (): Plugin[] => [...unused(), ...methods(), ...tables(), ...same()];
