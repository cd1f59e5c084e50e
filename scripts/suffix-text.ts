/** Extracts the rules of the Public Suffix List (ICANN and private) from tldts, in a form small enough for the bundle. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { domainToASCII, domainToUnicode, pathToFileURL } from 'node:url';

/** tldts's trie: the edges of a node are adjacent, and all edge labels are one string. */
interface Flat {
  readonly nodeFlags: Uint8Array;
  readonly edgeStart: ArrayLike<number>;
  readonly edgeChild: ArrayLike<number>;
  readonly edgeLength: ArrayLike<number>;
  readonly labelText: string;
  readonly rulesRoot: number;
  readonly exceptionsRoot: number;
}

interface Node {
  readonly isRule: boolean;
  readonly isException: boolean;
  readonly below: ReadonlyMap<string, Node>;
}

const NOTHING: Node = { isRule: false, isException: false, below: new Map() };

function merge(a: Node, b: Node): Node {
  const labels = new Set([...a.below.keys(), ...b.below.keys()]);
  return {
    isRule: a.isRule || b.isRule,
    isException: a.isException || b.isException,
    below: new Map(
      [...labels].map((label) => [
        label,
        merge(a.below.get(label) ?? NOTHING, b.below.get(label) ?? NOTHING),
      ]),
    ),
  };
}

/** Punycode compresses badly. */
function readable(label: string): string {
  const text = domainToUnicode(label);
  return label.startsWith('xn--') && domainToASCII(text) === label ? text : label;
}

/** Similar text side by side compresses better: labels without others below them come first, then by what is below them. */
const print = (node: Node): string => {
  const labels = [...node.below].map(([label, one]) => ({
    mark: one.isException ? '!' : one.isRule ? '' : '/',
    label: readable(label),
    inner: one.below.size > 0 ? `(${print(one)})` : '',
  }));
  return labels
    .toSorted((a, b) => (a.inner === b.inner ? (a.label < b.label ? -1 : 1) : a.inner < b.inner ? -1 : 1))
    .map(({ mark, label, inner }) => `${mark}${label}${inner}`)
    .join(',')
    .replaceAll('),', ')');
};

/**
 * `com,uk(co,/sch(*))org`: from the top-level domain down; `/` marks a label that is not a suffix, `!` an exception. Labels are
 * in Unicode.
 */
export async function suffixText(): Promise<string> {
  const folder = dirname(createRequire(import.meta.url).resolve('tldts'));
  const file = join(folder, '../es6/src/data/trie.js');
  const flat = (await import(pathToFileURL(file).href)) as Flat;
  const offsets: number[] = [];
  for (let edge = 0, offset = 0; edge < flat.edgeLength.length; edge += 1) {
    offsets.push(offset);
    offset += flat.edgeLength[edge] ?? 0;
  }
  const read = (node: number, isException: boolean): Node => {
    const below = new Map<string, Node>();
    for (let edge = flat.edgeStart[node] ?? 0; edge < (flat.edgeStart[node + 1] ?? 0); edge += 1) {
      const offset = offsets[edge] ?? 0;
      const label = flat.labelText.slice(offset, offset + (flat.edgeLength[edge] ?? 0));
      below.set(label, read(flat.edgeChild[edge] ?? 0, isException));
    }
    const isFlagged = flat.nodeFlags[node] !== 0;
    return { isRule: isFlagged && !isException, isException: isFlagged && isException, below };
  };
  return print(merge(read(flat.rulesRoot, false), read(flat.exceptionsRoot, true)));
}
