/** Messages about how a container reaches an app of the same site. */
import { expect, test } from 'vitest';
import { problemOf } from '../../../wizard/prove/neighbours.ts';

const NAME = 'social.example.org';

// prettier-ignore
test.each([
  ['found', { addresses: ['192.0.2.7'] }, 'Pixelfed', undefined],
  ['no address', { addresses: [] }, undefined, /finds no address of social\.example\.org\. Give the containers DNS servers/],
  ['split-horizon DNS, for an app that rejects private addresses', { addresses: ['192.0.2.7', '10.0.0.7'] }, 'Pixelfed', /resolves to 10\.0\.0\.7, and Pixelfed rejects servers at private address.*"dns": \["9\.9\.9\.9"\]/],
  ['split-horizon DNS, by IPv6 alone', { addresses: ['192.0.2.7', 'fd00::7'] }, 'Mastodon', /resolves to fd00::7, and Mastodon rejects/],
  ['split-horizon DNS, for an app that accepts them', { addresses: ['10.0.0.7'] }, undefined, undefined],
  ['no hairpin', { addresses: ['192.0.2.7'], error: 'timed out' }, 'Pixelfed', /the container cannot reach .*\(192\.0\.2\.7\): timed out\. .*hairpin NAT/],
  ['another machine on the private network', { addresses: ['10.0.0.7'], error: 'refused' }, undefined, /\(10\.0\.0\.7\).*refused\. Is that an address of this site\?/],
] as const)('%s', (_, sight, refusedBy, words) => {
  const problem = problemOf(NAME, sight, refusedBy);
  if (words === undefined) expect(problem).toBeUndefined();
  else expect(problem).toMatch(words);
});
