/** The suffix list of the bundle compared with tldts, which it replaces there. */
import { domainToASCII } from 'node:url';
import { expect, test } from 'vitest';
import { parserOf } from '../../../scripts/suffix-parse.ts';
import { suffixText } from '../../../scripts/suffix-text.ts';
import { partsOf } from '../../../wizard/config/suffix.ts';

/** Every name on the list, from its text: a label replaces `*`. */
function namesIn(text: string): string[] {
  const names: string[] = [];
  const open: string[] = [];
  let last = '';
  for (const [, sign = '', label = ''] of text.matchAll(/([(),]*)[/!]?([^(),/!]*)/g)) {
    for (const one of sign) {
      if (one === '(') open.push(last);
      if (one === ')') open.pop();
    }
    if (label === '') continue;
    last = [label === '*' ? 'any' : domainToASCII(label), open.at(-1)].filter(Boolean).join('.');
    names.push(last);
  }
  return names;
}

test('returns the results of tldts for every rule, one and two levels below it', async () => {
  const text = await suffixText();
  const ours = parserOf(() => text);
  const names = namesIn(text);
  expect(names.length).toBeGreaterThan(10_000);
  const extra = ['localhost', 'a.test', 'b.a.test', 'example.org', 'me.duckdns.org', 'x.y.co.uk'];
  const tried = [...extra, ...names].flatMap((one) => [one, `a.${one}`, `b.a.${one}`]);
  expect(
    tried.flatMap((name) => {
      const { publicSuffix, isIcann, domain } = ours(name);
      const parts = [isIcann ? publicSuffix : undefined, domain ?? undefined];
      const { suffix, registered } = partsOf(name);
      return parts[0] === suffix && parts[1] === registered ? [] : [[name, ...parts]];
    }),
  ).toEqual([]);
});
