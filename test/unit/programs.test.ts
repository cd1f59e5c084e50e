/** The programs in PHP, Ruby and shell that run in containers: each is a file, valid in its language, and in use. */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { client as connectPhp, laravel } from '../../wizard/apps/pixelfed/php.ts';
import { client as connectRuby } from '../../wizard/apps/mastodon/clients.ts';
import { rails } from '../../wizard/apps/mastodon/runner.ts';
import { readProgram } from '../../wizard/assets.ts';

const WIZARD = fileURLToPath(new URL('../../wizard/', import.meta.url));
const PATHS = readdirSync(WIZARD, { recursive: true, encoding: 'utf8' }).toSorted();
const read = (path: string): string => readFileSync(join(WIZARD, path), 'utf8');

const PROGRAMS = PATHS.filter((path) => /\bprograms\/[^/]+$/.test(path));
/** Path → text without comments. */
const MODULES = new Map(
  PATHS.filter((path) => path.endsWith('.ts')).map((path) => [
    path,
    read(path).replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, ''),
  ]),
);
/** A name of a program in the code: a literal, maybe with folders. */
const NAME = /['`/]([a-z-]+\.(?:php|rb|sh))['`]/g;

/** Checks the syntax of a text on standard input. */
const LINTS: Readonly<Record<string, { readonly argv: readonly string[]; readonly from: string }>> = {
  '.php': { argv: ['php', '-l'], from: 'php-cli' },
  '.rb': { argv: ['ruby', '-wc'], from: 'ruby' },
  '.sh': { argv: ['sh', '-n'], from: 'dash' },
};

const hasShellcheck = spawnSync('shellcheck', ['--version'], { stdio: 'ignore' }).status === 0;

/** What the interpreter says against a program; empty: nothing. */
function problemsIn(kind: string, text: string): string {
  const { argv, from } = LINTS[kind]!;
  const [interpreter = '', ...flags] = argv;
  const { status, stdout, stderr, error } = spawnSync(interpreter, flags, { input: text, encoding: 'utf8' });
  if (error !== undefined)
    throw new Error(`${interpreter} is missing: install the package ${from} (scripts/test does it)`);
  // A variable of a preamble is used by the programs after it.
  const warnings = stderr.split('\n').filter((line) => line !== '' && !line.includes('unused variable'));
  return status === 0 && warnings.length === 0 ? '' : `${stdout}${stderr}` || `status ${status}`;
}

test('finds the programs and the modules', () => {
  expect(PROGRAMS.length).toBeGreaterThan(30);
  expect([...new Set(PROGRAMS.map(extname))].toSorted()).toEqual(Object.keys(LINTS).toSorted());
  expect(MODULES.size).toBeGreaterThan(100);
});

test.each([
  ['.php', '<?php\n$a = ;'],
  ['.rb', 'puts(\n'],
  ['.sh', 'if true; do'],
])('the check of %s finds a mistake', (kind, text) => {
  expect(problemsIn(kind, text)).not.toBe('');
});

describe.each(PROGRAMS)('%s', (path) => {
  const text = read(path);
  const kind = extname(path);

  test('is valid', () => {
    expect(problemsIn(kind, text)).toBe('');
  });

  test('says in its head what it does, then an empty line', () => {
    const head = text.slice(0, -readProgram(path).length);
    const comment =
      kind === '.php'
        ? /^<\?php\n\/\*\*[^]+\*\/\n\n$/
        : kind === '.sh'
          ? /^#!\/bin\/(?:ba)?sh\n(# .+\n)+\n$/
          : /^(# .+\n)+\n$/;
    expect(head).toMatch(comment);
    expect(text).toMatch(/\S\n$/);
  });

  test('is used by a module next to its folder', () => {
    const folder = dirname(dirname(path));
    const near = [...MODULES].filter(([one]) => dirname(one) === folder || one === `${folder}.ts`);
    expect(
      near.some(([, code]) => [...code.matchAll(NAME)].some(([, name]) => name === basename(path))),
    ).toBe(true);
  });
});

test.skipIf(!hasShellcheck).each(PROGRAMS.filter((path) => path.endsWith('.sh')))(
  'shellcheck: %s',
  (path) => {
    const { stdout } = spawnSync('shellcheck', [join(WIZARD, path)], { encoding: 'utf8' });
    expect(stdout).toBe('');
  },
);

test('each program that the code names exists', () => {
  const missing = [...MODULES].flatMap(([path, code]) =>
    [...code.matchAll(NAME)]
      .map(([, name = '']) => name)
      .filter((name) =>
        [dirname(path), path.slice(0, -'.ts'.length)].every(
          (folder) => !PROGRAMS.includes(join(folder, 'programs', name)),
        ),
      )
      .map((name) => `${path}: ${name}`),
  );
  expect(missing).toEqual([]);
});

describe('valid with the program that comes before it', () => {
  const all = (folder: string, kind: string): string[] =>
    PROGRAMS.filter((path) => dirname(path) === folder && extname(path) === kind);
  const connects = (path: string): boolean => read(path).includes('in_words') && !path.includes('/client.');
  // It would end a text in quotes.
  const values = { nasty: `'); system('id'); //` };

  test.each(all('apps/pixelfed/programs', '.php'))('%s', (path) => {
    const name = basename(path);
    const text = connects(path) ? `<?php\n${connectPhp(name)[2]}` : laravel(name, values).stdin;
    expect(text).not.toContain('system');
    expect(problemsIn('.php', text ?? '')).toBe('');
  });

  test.each(all('apps/mastodon/programs', '.rb'))('%s', (path) => {
    const name = basename(path);
    const text = connects(path) ? connectRuby(name)[4] : rails(name, values).stdin;
    expect(text).not.toContain('system');
    expect(problemsIn('.rb', text ?? '')).toBe('');
  });
});

/** An interpreter's flag for a program in an argument, unless a file follows: by readProgram, or in a variable. */
const INLINE =
  /'(?:php',\s*'-r|ruby',\s*'-e|(?:ba|da)?sh',\s*'-c)',(?!\s*(?:readProgram\(|program,|`\$\{read\())/;
/** What programs in these languages contain and our code does not. */
const FOREIGN =
  /\$app\[|\becho [$'"]|PHP_EOL|\bgetenv\(|\bputs [\w$:]+[.[(]|\brequire '|\brescue\b|\bARGV\b|!\(values\['|\$values\b|\|\| exit\b/;
/** They have commands for the host: scripts that `completion` generates from the table of commands, and a sentence. */
const FOR_THE_HOST = ['commands/run/completion.ts', 'checks/machine.ts'];

test.each([
  `argv: ['php', '-r', 'phpinfo();']`,
  `argv: ['bundle', 'exec', 'ruby', '-e', TEXT]`,
  `argv: [\n'sh', '-c',\n \`cat $1\`, 'sh']`,
  `const A = "echo $app['db']->x(), PHP_EOL;"`,
  `const B = "puts redis.get('a')"`,
  `runner("Account.find_local!(values['name'])")`,
])('the rule finds %s', (code) => {
  expect([INLINE, FOREIGN].some((rule) => rule.test(code))).toBe(true);
});

test('no module has a program as a text', () => {
  const found = [...MODULES]
    .filter(([path]) => !FOR_THE_HOST.includes(path))
    .flatMap(([path, code]) =>
      [INLINE, FOREIGN].flatMap((rule) => rule.exec(code)?.[0] ?? []).map((part) => `${path}: ${part}`),
    );
  expect(found).toEqual([]);
});
