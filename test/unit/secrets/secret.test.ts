/** A secret is never printed by accident. */
import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { format, inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Problem, gather, messageOf } from '../../../wizard/problem.ts';
import { Secret, reveal } from '../../../wizard/secrets/secret.ts';

const HUSH = 'correct horse battery staple';
const secret = new Secret(HUSH);

function printed(print: (to: Console) => void): string {
  const stream = new PassThrough();
  print(new Console(stream));
  return String(stream.read());
}

const WAYS: Record<string, () => unknown> = {
  'a template string': () => `${secret}`,
  'String()': () => String(secret),
  'toString()': () => secret.toString(),
  '+': () => 'password: ' + (secret as unknown as string),
  'join()': () => [secret, secret].join(),
  'concat()': () => 'a'.concat(secret as unknown as string),
  'Number()': () => String(Number(secret)),
  'valueOf()': () => inspect(secret.valueOf()),
  JSON: () => JSON.stringify({ a: [secret] }),
  inspect: () => inspect(secret),
  'inspect, everything': () =>
    inspect({ a: { b: secret } }, { showHidden: true, depth: Infinity, getters: true, customInspect: false }),
  'util.format': () => format('%s %o %O %j %d', secret, secret, secret, secret, secret),
  'console.log': () => printed((to) => to.log(secret, { secret }, '%s', secret)),
  'console.table': () => printed((to) => to.table([{ secret }])),
  'console.dir': () => printed((to) => to.dir({ secret }, { showHidden: true, depth: null })),
  'Object.entries': () => inspect(Object.entries(secret)),
  'own properties, symbols included': () =>
    inspect(Reflect.ownKeys(secret).map((key) => Reflect.get(secret, key) as unknown)),
  spread: () => inspect({ ...secret }),
  'Object.assign': () => JSON.stringify(Object.assign({}, secret)),
  structuredClone: () => inspect(structuredClone({ secret })),
  'an error message': () => new Error(`wrong: ${secret}`).stack,
  'an error cause': () => inspect(new Error('wrong', { cause: secret })),
  'a Problem': () =>
    inspect(new Problem(1, `wrong: ${secret}`, { cause: secret })) +
    JSON.stringify(gather(2, 't', [`${secret}`, `${secret}`], 'n')),
  'something thrown': () => messageOf(secret),
  'a URL': () => new URL(`https://user:${secret}@x.org/`).href,
  encodeURIComponent: () => encodeURIComponent(secret as unknown as string),
  'a date': () => String(new Date(secret as unknown as string)),
};

test.each(Object.entries(WAYS))('%s', (_, way) => {
  expect(String(way())).not.toMatch(/correct|horse|battery|staple/);
});

describe('reveals its value on request', () => {
  test('reveal', () => {
    expect(secret.reveal()).toBe(HUSH);
    expect([reveal(secret), reveal('plain')]).toEqual([HUSH, 'plain']);
  });
  test('is masked in every representation', () => {
    expect([`${secret}`, JSON.stringify(secret), inspect(secret)]).toEqual([
      '[hidden]',
      '"[hidden]"',
      '[hidden]',
    ]);
  });
});
