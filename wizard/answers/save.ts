/** Writes answers into fedi.yaml. Only values are replaced: comments, order and quoting of an existing file stay. */
import { isDeepStrictEqual } from 'node:util';
import { EXIT, Problem } from '../problem.ts';
import { parseYaml, places, printYaml } from '../yaml.ts';
import type { Yaml } from '../yaml.ts';
import type { Question, Value } from '../config/question.ts';
import type { Resolved } from './resolve.ts';
import { CONFIG_FILE, FORMAT } from './sources.ts';

const HEADER = `# yaml-language-server: $schema=.fedi/fedi.schema.json
# The answers of this site. Edit them, then run \`fedi-setup apply\`. This file contains no secrets.
`;

/** The answers to save: all regular ones, and advanced ones that were set explicitly. An empty value was cleared. */
export function worthSaving(
  questions: readonly Question[],
  { answers, provided, cleared }: Pick<Resolved, 'answers' | 'provided' | 'cleared'>,
): [string, Value][] {
  return questions
    .filter(
      ({ key, secret, topic }) =>
        !secret &&
        key !== 'apps' &&
        (cleared.has(key) || (answers[key] !== undefined && (topic !== 'more' || provided.has(key)))),
    )
    .map(({ key }) => [key, answers[key] ?? '']);
}

/** Returns the new text of fedi.yaml, verified by reading it back. Refuses YAML that cannot be edited in place. */
export function saveInto(text: string | undefined, saved: readonly (readonly [string, Value])[]): string {
  const there = text === undefined ? null : parseYaml(text);
  const values = saved.filter(
    ([key, value]) => value !== '' || (getIn(there, key.split('.')) ?? undefined) !== undefined,
  );
  if (text === undefined || text.trim() === '') {
    const tree: Record<string, Yaml> = { version: FORMAT };
    for (const [key, value] of values) setIn(tree, key.split('.'), value);
    return HEADER + printYaml(tree);
  }
  const edited = editOrNothing(text, values);
  const wanted = (parseYaml(text) ?? {}) as Record<string, Yaml>;
  for (const [key, value] of values) {
    if (!same(getIn(wanted, key.split('.')), value)) setIn(wanted, key.split('.'), value);
  }
  if (edited === undefined || !isDeepStrictEqual(parseYaml(edited), wanted)) {
    const keys = values
      .filter(([key, value]) => !same(getIn(parseYaml(text), key.split('.')), value))
      .map(([key, value]) => `${key}: ${String(value)}`);
    throw new Problem(
      EXIT.USAGE,
      `${CONFIG_FILE} uses YAML syntax that fedi-setup cannot edit without losing something.`,
      {
        means: 'Nothing was changed.',
        next: `Set these by hand: ${keys.join(', ')}`,
      },
    );
  }
  return edited;
}

const same = (a: Yaml | undefined, b: Value): boolean =>
  a !== undefined && a !== null && typeof a !== 'object' && String(a) === String(b);

function getIn(tree: Yaml | undefined, path: readonly string[]): Yaml | undefined {
  return path.reduce<Yaml | undefined>(
    (node, part) =>
      typeof node === 'object' && node !== null && !Array.isArray(node) ? node[part] : undefined,
    tree,
  );
}

function setIn(tree: Record<string, Yaml>, path: readonly string[], value: Value): void {
  const [head, ...rest] = path as [string, ...string[]];
  if (rest.length === 0) tree[head] = value;
  else {
    const below = tree[head];
    if (typeof below !== 'object' || below === null || Array.isArray(below)) tree[head] = {};
    setIn(tree[head] as Record<string, Yaml>, rest, value);
  }
}

/** Returns the text with all values set; undefined if the result is not valid YAML. */
function editOrNothing(text: string, values: readonly (readonly [string, Value])[]): string | undefined {
  try {
    let edited = text;
    for (const [key, value] of values) edited = setText(edited, key.split('.'), value);
    parseYaml(edited);
    return edited;
  } catch {
    return undefined;
  }
}

/** A value as one line of YAML. */
const scalar = (value: Value): string => printYaml(value).trimEnd();

function setText(text: string, path: readonly string[], value: Value): string {
  if (same(getIn(parseYaml(text), path), value)) return text;
  const all = places(text);
  const at = (key: readonly string[]): (typeof all)[number] | undefined =>
    all.find((place) => place.path.join('.') === key.join('.'));

  const here = at(path);
  if (here?.value) {
    const space =
      here.value.start === here.value.end && !/\s/.test(text[here.value.start - 1] ?? ' ') ? ' ' : '';
    return text.slice(0, here.value.start) + space + scalar(value) + text.slice(here.value.end);
  }

  // Add a line after the block of the deepest parent that exists.
  for (let depth = path.length - 1; depth >= 0; depth--) {
    const parent = path.slice(0, depth);
    const children = all.filter(
      (place) => place.path.length === depth + 1 && parent.every((part, i) => place.path[i] === part),
    );
    const [first] = children;
    if (depth > 0 && first === undefined) continue;
    const column =
      first === undefined ? 0 : first.keyStart - (text.lastIndexOf('\n', first.keyStart - 1) + 1);
    const inside = all.filter(
      (place) => place.path.length > depth && parent.every((part, i) => place.path[i] === part),
    );
    const lastEnd = Math.max(0, ...inside.map((place) => place.value?.end ?? place.keyStart));
    const newline = text.includes('\r\n') ? '\r\n' : '\n';
    const lineEnd = text.indexOf('\n', lastEnd);
    const cut = lineEnd < 0 ? text.length : lineEnd + 1;
    const lines = path
      .slice(depth)
      .map(
        (part, i, rest) =>
          `${' '.repeat(column + 2 * i)}${part}:${i === rest.length - 1 ? ` ${scalar(value)}` : ''}${newline}`,
      );
    const before = text.slice(0, cut);
    return `${before}${before === '' || before.endsWith('\n') ? '' : newline}${lines.join('')}${text.slice(cut)}`;
  }
  return text;
}

/** Comments out the blocks of removed apps. Throws if that is not safe. */
export function withoutApps(text: string, apps: readonly string[]): string {
  const tree = parseYaml(text);
  return apps.reduce((rest, id) => {
    if (getIn(tree, ['apps', id]) === undefined) return rest;
    const edited = commentOut(rest, ['apps', id], `Removed. \`fedi-setup add ${id}\` asks for these again.`);
    if (edited !== undefined) return edited;
    throw new Problem(EXIT.USAGE, `${CONFIG_FILE} uses YAML syntax that fedi-setup cannot edit safely.`, {
      means: 'Nothing was changed.',
      next: `Remove apps.${id} by hand, then run \`fedi-setup apply\`.`,
    });
  }, text);
}

/** Returns the text with a block commented out; undefined if its YAML syntax does not allow that. */
function commentOut(text: string, path: readonly string[], why: string): string | undefined {
  const inside = places(text).filter((place) => path.every((part, i) => place.path[i] === part));
  const [head] = inside;
  if (head === undefined || inside.some(({ flow }) => flow)) return undefined;
  const lines = text.split('\n');
  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const first = head.line - 1;
  const last = Math.max(...inside.map(({ line, value }) => (value ? lineOf(value.end) : line)));
  const block = lines.slice(first, last).map((line) => line.replace(/^(?=.*\S)/, '# '));
  const edited = [...lines.slice(0, first), `# ${why}`, ...block, ...lines.slice(last)].join('\n');
  try {
    return getIn(parseYaml(edited), path) === undefined ? edited : undefined;
  } catch {
    return undefined;
  }
}
