/** Replaces tldts in the bundle (scripts/build.ts), with the same results for wizard/config/suffix.ts. */
import { readFileSync } from 'node:fs';
import { domainToUnicode } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

interface Node {
  kind: '' | '/' | '!';
  readonly below: Map<string, Node>;
}

function read(text: string): Node {
  const root: Node = { kind: '/', below: new Map() };
  const open = [root];
  let last = root;
  for (const [, sign = '', kind = '', label = ''] of text.matchAll(/([(),]*)([/!]?)([^(),/!]*)/g)) {
    for (const one of sign) {
      if (one === '(') open.push(last);
      if (one === ')') open.pop();
    }
    if (label === '') continue;
    last = { kind: kind as Node['kind'], below: new Map() };
    open.at(-1)?.below.set(label, last);
  }
  return root;
}

/** A label as it is on the list: in Unicode. */
const readable = (label: string): string => (label.startsWith('xn--') ? domainToUnicode(label) : '') || label;

export interface Parsed {
  readonly publicSuffix: string;
  /** Whether the suffix is on the list. tldts separates ICANN's rules from private ones, which is not needed here. */
  readonly isIcann: boolean;
  readonly isPrivate: boolean;
  readonly domain: string | null;
}

/** @param text returns the output of scripts/suffix-text.ts; called at the first lookup */
export function parserOf(text: () => string): (hostname: string) => Parsed {
  let root: Node | undefined;
  return (hostname) => {
    const labels = hostname.split('.');
    let node: Node | undefined = (root ??= read(text()));
    // Number of labels in the suffix, counted from the end; without a rule it is 1.
    let length = 0;
    for (let depth = 1; depth <= labels.length; depth += 1) {
      const label = readable(labels.at(-depth) ?? '');
      node = node.below.get(label) ?? node.below.get('*');
      if (node === undefined) break;
      if (node.kind === '') length = depth;
      if (node.kind === '!') {
        length = depth - 1;
        break;
      }
    }
    const suffix = Math.max(length, 1);
    return {
      publicSuffix: labels.slice(-suffix).join('.'),
      isIcann: length > 0,
      isPrivate: false,
      domain: labels.length > suffix ? labels.slice(-suffix - 1).join('.') : null,
    };
  };
}

/** The build writes the file. It is read at the first lookup. */
export const parse = parserOf(() =>
  brotliDecompressSync(readFileSync(new URL('suffixes.br', import.meta.url))).toString(),
);
