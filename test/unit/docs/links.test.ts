/** Every relative link of the documentation points to a file, and its anchor to a heading. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PAGES = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
].toSorted();

/** Without code blocks, which contain no links. */
const proseOf = (path: string): string =>
  readFileSync(join(ROOT, path), 'utf8').replaceAll(/^ *```[^]*?^ *```$/gm, '');

/** Anchors of the headings, as GitHub derives them. */
function anchorsOf(path: string): string[] {
  const seen = new Map<string, number>();
  return [...proseOf(path).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return times === 0 ? anchor : `${anchor}-${times}`;
  });
}

interface Link {
  readonly target: string;
  readonly path: string;
  readonly anchor: string | undefined;
}

/** Links to files of the repository. */
const linksOf = (page: string): Link[] =>
  // Links in code are no links.
  [
    ...proseOf(page)
      .replaceAll(/`[^`\n]*`/g, 'code')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#');
      return { target, path: path === '' ? page : normalize(join(dirname(page), path)), anchor };
    });

test('finds pages with links', () => {
  expect(PAGES).toEqual(
    expect.arrayContaining(['README.md', 'docs/guides/mail.md', 'docs/reference/options.md']),
  );
  expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(60);
  expect(linksOf('README.md').map(({ target }) => target)).toContain('docs/reference/commands.md#apply');
});

describe.each(PAGES)('%s', (page) => {
  test('links only to files and headings that exist', () => {
    const broken = linksOf(page).filter(
      ({ path, anchor }) =>
        !existsSync(join(ROOT, path)) || (anchor !== undefined && !anchorsOf(path).includes(anchor)),
    );
    expect(broken.map(({ target }) => target)).toEqual([]);
  });
});

test('every page of docs/ can be reached from README.md', () => {
  const reached = new Set(['README.md']);
  for (const page of reached)
    for (const { path } of linksOf(page))
      if (path.endsWith('.md') && existsSync(join(ROOT, path))) reached.add(path);
  expect(PAGES.filter((page) => !reached.has(page))).toEqual([]);
});
