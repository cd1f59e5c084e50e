/** Caddyfiles: a value is a host or an address, and never becomes a directive. Checked by `caddy adapt`. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assetPath } from '../../wizard/assets.ts';
import { parseDomain, parseEmail } from '../../wizard/config/parse.ts';
import { encodeCaddy, fillCaddy } from '../../wizard/render/caddy.ts';
import { adapt } from '../support/caddy.ts';
import { nastyText } from '../support/nasty.ts';
import { tempFolder } from '../support/temp.ts';

const shipped = (path: string): string => readFileSync(assetPath(`caddy/${path}`), 'utf8');
const SNIPPET = shipped('Caddyfile')
  .replace('import tls/global.caddy', () => shipped('tls/acme/global.caddy'))
  .replace('import tls/known.caddy', () => shipped('tls/known.caddy'))
  .replace('import tls/site.caddy', () => shipped('tls/acme/site.caddy'))
  .replace('import sites/*.caddy', () => shipped('snac.caddy'))
  .replace('import custom/*.caddy', '');
const PLAIN = { SNAC_DOMAIN: 'plain.example.org', TLS_EMAIL: 'plain@example.org' };

/** The adapted JSON with every string that equals the value replaced by a plain one. */
const restored = (json: unknown, value: string, plain: string): unknown =>
  JSON.parse(JSON.stringify(json), (_, node: unknown) => (node === value ? plain : node));

/** Values that change more than their own place. */
function injected(variable: keyof typeof PLAIN, values: readonly string[]): string[] {
  const [baseline, ...results] = adapt(
    tempFolder(),
    [PLAIN, ...values.map((value) => ({ ...PLAIN, [variable]: value }))].map((one) =>
      // As site.ts derives it from the domain.
      fillCaddy(SNIPPET, { ...one, CONFIG_ID: 'none', SNAC_ADDRESS: `https://${one.SNAC_DOMAIN}` }),
    ),
  );
  expect(JSON.stringify(baseline)).toContain(PLAIN[variable]);
  return values.filter(
    (value, i) =>
      results[i] !== undefined &&
      JSON.stringify(restored(results[i], value, PLAIN[variable])) !==
        JSON.stringify(restored(baseline, value, PLAIN[variable])),
  );
}

const taken = (value: string): boolean => {
  try {
    return encodeCaddy(value) === value;
  } catch {
    return false;
  }
};

const valueOf = (parsed: { value: string } | { problem: string }): string =>
  'value' in parsed ? parsed.value : '';

describe('text that our parsers accept', () => {
  test('domains', () => {
    const domains = fc
      .sample(fc.oneof(fc.domain(), nastyText), { numRuns: 200 })
      .map((text) => valueOf(parseDomain(text)));
    const values = [...new Set(domains)].filter((value) => value !== '');
    expect(values.length).toBeGreaterThan(50);
    expect(injected('SNAC_DOMAIN', values)).toEqual([]);
  });

  test('e-mail addresses', () => {
    const values = fc
      .sample(fc.emailAddress(), { numRuns: 800 })
      .map((text) => valueOf(parseEmail(text)))
      .filter((value) => value !== '' && taken(value))
      .slice(0, 150);
    expect(values.length).toBeGreaterThan(50);
    expect(injected('TLS_EMAIL', values)).toEqual([]);
  });
});

/** Tokens with a meaning in a Caddyfile. */
const tokens = fc
  .array(
    fc.constantFrom(
      '(',
      ')',
      '&',
      '@',
      ':',
      '/',
      ',',
      '*',
      '$',
      '%',
      '~',
      '!',
      '?',
      '[',
      ']',
      '|',
      ';',
      "'",
      '=',
      '-',
      '.',
      'import',
      'http',
      'https',
      'a',
      'x.org',
      '80',
      'respond',
      'tls_site',
      '😀',
      '\u00a0',
      '\u2028',
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((pieces) => pieces.join(''));

describe('any text', () => {
  test('as an e-mail address', () => {
    const values = [...new Set(fc.sample(fc.oneof(tokens, nastyText), { numRuns: 400 }))]
      .filter((value) => taken(value) && !value.includes('\u0085'))
      .slice(0, 200);
    expect(values.length).toBeGreaterThan(50);
    expect(injected('TLS_EMAIL', values)).toEqual([]);
  });

  // As a site's address these are more than a name. parseDomain refuses them; the encoder does not.
  test.each(['http://x.org', ':8080', 'x.org:8443', 'x.org/path', 'x.org\u0085y.org'])(
    'as a domain: %s',
    (value) => {
      expect(() => fillCaddy('{$SNAC_DOMAIN}', { SNAC_DOMAIN: value })).toThrow('Caddyfile');
    },
  );
});

describe('encodeCaddy', () => {
  // Go counts NEL as space, \s of JavaScript does not: one token becomes two.
  test('refuses NEL', () => {
    expect(() => encodeCaddy('a\u0085b')).toThrow('Caddyfile');
  });

  test.each([
    '',
    ' ',
    'a b',
    'a\tb',
    'a\nb',
    'a\rb',
    'a"b',
    'a`b',
    'a\\b',
    '{',
    '}',
    '{$HOME}',
    '{env.HOME}',
    '#',
    'a#b',
    '<<EOF',
    '>',
    '\0',
    '\u001b',
    '\u007f',
    '\u00a0',
    '\u2028',
  ])('refuses %j', (value) => {
    expect(() => encodeCaddy(value)).toThrow('Caddyfile');
  });

  test.each(['x.org', 'xn--mnchen-3ya.de', 'a+b@x.org', '0123abcdef'])('accepts %s unchanged', (value) => {
    expect(encodeCaddy(value)).toBe(value);
  });
});

test('fillCaddy: replaces only named variables, each once; never uses defaults', () => {
  expect(fillCaddy('{$A} {$B:x} {args[0]} {$a} $A ${A}', { A: '1', B: '2' })).toBe(
    '1 2 {args[0]} {$a} $A ${A}',
  );
  expect(fillCaddy('{$A}', { A: '$&$1' })).toBe('$&$1');
  for (const text of ['{$NOPE}', '{$NOPE:x}']) expect(() => fillCaddy(text, {})).toThrow('{$NOPE}');
});
