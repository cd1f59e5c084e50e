/** Every call of fedi-setup in the documentation is valid, and every flag and key there exists. */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ALL_QUESTIONS } from '../../../wizard/answers/questions.ts';
import { keyOfFlag } from '../../../wizard/answers/resolve.ts';
import { flagsOf, readArgv, refuseSurplus } from '../../../wizard/cli/argv.ts';
import { COMMANDS } from '../../../wizard/commands/index.ts';
import { toolCommands } from '../../../wizard/commands/tool.ts';

const at = (path: string): URL => new URL(`../../../${path}`, import.meta.url);
const read = (path: string): string => readFileSync(at(path), 'utf8');

/** Pages that are not generated: generated ones follow the code. */
const PAGES = [
  'README.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...['docs/', 'docs/guides/', 'docs/reference/'].flatMap((folder) =>
    readdirSync(at(folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}${name}`),
  ),
].filter((path) => !read(path).startsWith('<!-- Generated'));

const all = flagsOf(COMMANDS);
const TOOLS = (await toolCommands()).map(({ name }) => name);
const KEYS = new Set(ALL_QUESTIONS.map(({ key }) => key));

/** Code spans, each on one line. */
const spansOf = (text: string): string[] =>
  [...text.replaceAll(/^ *```[^]*?^ *```$/gm, '').matchAll(/`([^`]+)`/g)].map(([, span = '']) =>
    span.replaceAll(/\s+/g, ' '),
  );

/** Lines of code blocks. Continued lines are joined. */
const linesOf = (text: string): string[] =>
  [...text.matchAll(/^ *```[a-z]*\n([^]*?)^ *```$/gm)].flatMap(([, block = '']) =>
    block.replaceAll(/\s*\\\n\s*/g, ' ').split('\n'),
  );

/** The arguments of each call. */
const callsOf = (text: string): string[][] =>
  [...spansOf(text), ...linesOf(text)]
    .flatMap((line) => /(?:^|[ $]|&& )(?:npx )?fedi-setup( [^#|&…]*|$)/.exec(line)?.[1] ?? [])
    .map((rest) => rest.trim().split(' ').filter(Boolean))
    // Prose: the name of the program, or of its package.
    .filter(([first]) => first !== 'COMMAND' && first !== '-source');

/** Why a call is refused; undefined: it is valid. */
async function refusal(argv: readonly string[]): Promise<string | undefined> {
  if (argv.some((word) => TOOLS.includes(word))) return undefined;
  try {
    const line = await readArgv(argv, all);
    const [name = '', ...words] = line.words;
    const command = COMMANDS.find((one) => one.name === name);
    if (command === undefined) return `there is no command ${name}`;
    await refuseSurplus(command, line, words, COMMANDS);
    const unknown = Object.keys(line.answers).find((flag) => 'problem' in keyOfFlag(flag));
    return unknown === undefined ? undefined : `there is no --${unknown}`;
  } catch (error) {
    return String(error);
  }
}

test('finds pages and calls', () => {
  expect(PAGES).toEqual(expect.arrayContaining(['README.md', 'docs/guides/mail.md', 'docs/decisions.md']));
  expect(PAGES.map(read).flatMap(callsOf).length).toBeGreaterThan(60);
});

describe.each(PAGES)('%s', (page) => {
  test('contains only valid calls of fedi-setup', async () => {
    const refused = await Promise.all(
      callsOf(read(page)).map(async (argv) => {
        const why = await refusal(argv);
        return why === undefined ? [] : [`${argv.join(' ')}: ${why}`];
      }),
    );
    expect(refused.flat()).toEqual([]);
  });

  test('names only flags and keys that exist', () => {
    const spans = spansOf(read(page));
    const flags = spans.flatMap((span) => /^--([a-z0-9-]+)(?= |$)/.exec(span)?.[1] ?? []);
    expect(flags.filter((flag) => !all.has(flag) && 'problem' in keyOfFlag(flag))).toEqual([]);
    const keys = spans.filter((span) => /^(apps|mail|tls|images)\.(?!lock)[a-z0-9.-]+$/.test(span));
    expect(keys.filter((key) => !KEYS.has(key))).toEqual([]);
  });
});
