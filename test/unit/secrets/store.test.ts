/** secrets.json: no value changes silently. */
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { SITE_SECRETS, STORE_FILE, Store, fingerprint, randomToken } from '../../../wizard/secrets/store.ts';
import type { SecretSpec } from '../../../wizard/secrets/store.ts';
import { problemFrom } from '../../support/problem.ts';
import { modeOf, tempFolder } from '../../support/temp.ts';

const NOW = new Date('2026-01-02T03:04:05Z');
const LATER = new Date('2027-01-02T03:04:05Z');
const SPECS: SecretSpec[] = [
  { name: 'a.seal', class: 'forever', about: '', make: randomToken },
  { name: 'a.key', class: 'forever', about: '', make: async () => randomToken() },
  { name: 'a.token', class: 'free', about: '', make: randomToken },
  { name: 'a.given', class: 'free', about: '' },
];

const umask = process.umask();
afterEach(() => {
  process.umask(umask);
});

async function filled(): Promise<{ store: Store; folder: string; path: string }> {
  const folder = tempFolder();
  const store = await Store.open(folder);
  await store.ensure(SPECS, NOW);
  await store.save();
  return { store, folder, path: join(folder, STORE_FILE) };
}

describe('making', () => {
  test('generates missing secrets, once', async () => {
    const { store, folder } = await filled();
    expect(store.existed).toBe(false);
    expect(store.list().map(({ name }) => name)).toEqual(['a.seal', 'a.key', 'a.token']);
    const again = await Store.open(folder);
    expect(again.existed).toBe(true);
    expect(await again.ensure(SPECS, LATER)).toEqual([]);
    expect(again.list()).toEqual(store.list());
    for (const { name } of store.list()) expect(again.get(name).reveal()).toBe(store.get(name).reveal());
  });

  test('tokens have 256 bits and are unique', () => {
    const tokens = Array.from({ length: 1000 }, randomToken);
    expect(new Set(tokens).size).toBe(1000);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/);
  });

  test('every site has its own key', () => {
    expect(SITE_SECRETS.map(({ name }) => name)).toContain('site.key');
  });

  test('a missing secret was lost; find returns undefined', async () => {
    const store = await Store.open(tempFolder());
    expect(() => store.get('nope')).toThrow('has no nope');
    expect(store.find('nope')).toBeUndefined();
    expect(store.has('nope')).toBe(false);
  });
});

describe('changing', () => {
  test('a permanent secret never changes', async () => {
    const { store } = await filled();
    const before = store.get('a.seal').reveal();
    const { exit, message, means } = await problemFrom(() =>
      store.put('a.seal', 'forever', 'hunter2', LATER),
    );
    expect([exit, message, means]).toEqual([
      3,
      expect.stringContaining('a.seal'),
      expect.stringContaining('make the existing data unreadable'),
    ]);
    expect(`${message}${means}`).not.toContain('hunter2');
    await problemFrom(() => store.put('a.seal', 'free', 'other', LATER));
    expect(store.get('a.seal').reveal()).toBe(before);
    store.put('a.seal', 'forever', before, LATER);
    expect(store.list()[0]?.created).toBe(NOW.toISOString());
  });

  test('others change, and keep every earlier value with the time of its end', async () => {
    const { store, folder, path } = await filled();
    const first = store.get('a.token').reveal();
    store.put('a.token', 'free', 'second', LATER);
    store.put('a.token', 'free', 'second', LATER);
    store.put('a.token', 'free', 'third', LATER);
    await store.save();
    expect((await Store.open(folder)).get('a.token').reveal()).toBe('third');
    const { superseded } = (
      JSON.parse(readFileSync(path, 'utf8')) as { secrets: Record<string, { superseded: unknown }> }
    ).secrets['a.token'] as { superseded: unknown };
    expect(superseded).toEqual([
      { value: first, until: LATER.toISOString() },
      { value: 'second', until: LATER.toISOString() },
    ]);
  });

  test('a pending value applies at once, and replaces the old one when it is settled', async () => {
    const { store, folder } = await filled();
    const first = store.get('a.token').reveal();
    store.announce('a.token', 'second');
    store.announce('a.token', 'third');
    await store.save();
    const again = await Store.open(folder);
    expect([again.get('a.token').reveal(), again.coming(), again.previous('a.token')]).toEqual([
      'second',
      ['a.token'],
      [],
    ]);
    again.settle('a.token', LATER);
    again.settle('a.token', LATER);
    again.put('a.token', 'free', 'fourth', LATER);
    expect([again.get('a.token').reveal(), again.coming()]).toEqual(['fourth', []]);
    expect(again.previous('a.token').map((one) => one.reveal())).toEqual(['second', first]);
  });

  test('a withdrawn pending value leaves the old one', async () => {
    const { store, folder } = await filled();
    const before = store.recoveryText();
    store.announce('a.token', 'second');
    store.withdraw('a.token');
    store.withdraw('a.key');
    store.withdraw('nope');
    await store.save();
    expect((await Store.open(folder)).recoveryText()).toBe(before);
  });

  test('a missing secret cannot have a pending value', async () => {
    const { store } = await filled();
    store.announce('nope', 'x');
    store.settle('nope', LATER);
    expect([store.has('nope'), store.coming()]).toEqual([false, []]);
  });

  test('records that a value was shown; a new value was not', async () => {
    const { store, folder } = await filled();
    store.markShown('a.token');
    store.markShown('nope');
    await store.save();
    const again = await Store.open(folder);
    expect([again.wasShown('a.token'), again.wasShown('a.seal'), again.wasShown('nope')]).toEqual([
      true,
      false,
      false,
    ]);
    again.put('a.token', 'free', 'new', LATER);
    expect(again.wasShown('a.token')).toBe(false);
  });

  // apply.prepare stored every secret answer as `free`, so tls.root lost its class `steps`.
  test('setting a value does not change the class of a secret', async () => {
    const { store } = await filled();
    store.put('x', 'steps', 'one', NOW);
    store.put('x', 'free', 'two', LATER);
    expect(store.list().find(({ name }) => name === 'x')?.class).toBe('steps');
  });

  test('nothing reaches the disk before save', async () => {
    const { store, path } = await filled();
    const before = readFileSync(path, 'utf8');
    store.put('a.token', 'free', 'second', LATER);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });
});

describe('the file', () => {
  test.each([0o000, 0o022, 0o077])(
    'has mode 0600 under umask %o, and no other file is written',
    async (mask) => {
      process.umask(mask);
      const { folder, path, store } = await filled();
      expect(modeOf(path)).toBe(0o600);
      chmodSync(path, 0o644);
      await store.save();
      expect(modeOf(path)).toBe(0o600);
      expect(readdirSync(folder)).toEqual([STORE_FILE]);
    },
  );

  const DAMAGED = [
    '',
    '{',
    'null',
    '[]',
    '5',
    '"x"',
    '{}',
    '{"version":2,"secrets":{}}',
    '{"version":1}',
    '{"version":1,"secrets":"x"}',
    'site.key: x',
  ];
  test.each(DAMAGED)('damaged: %j → exit 3, file unchanged', async (text) => {
    const folder = tempFolder();
    writeFileSync(join(folder, STORE_FILE), text);
    const { exit, next } = await problemFrom(() => Store.open(folder));
    expect([exit, next]).toEqual([3, expect.stringContaining('backup')]);
    expect(readFileSync(join(folder, STORE_FILE), 'utf8')).toBe(text);
  });

  // typeof null is "object", and entries were not checked: these opened and failed later, or read as undefined.
  test.each([
    '{"version":1,"secrets":null}',
    '{"version":1,"secrets":[]}',
    '{"version":1,"secrets":{"a":null}}',
    '{"version":1,"secrets":{"a":{}}}',
    '{"version":1,"secrets":{"a":"x"}}',
  ])('damaged content: %s → exit 3', async (text) => {
    const folder = tempFolder();
    writeFileSync(join(folder, STORE_FILE), text);
    expect((await problemFrom(() => Store.open(folder))).exit).toBe(3);
  });

  // V8 includes the text around the error in its message.
  test('damaged: the message contains nothing of the file', async () => {
    const folder = tempFolder();
    writeFileSync(join(folder, STORE_FILE), '{"version":1,"secrets":{"a":{"value":hunter2}}}');
    expect((await problemFrom(() => Store.open(folder))).message).not.toContain('hunter2');
  });

  test('reports a directory in its place', async () => {
    const folder = tempFolder();
    mkdirSync(join(folder, STORE_FILE));
    expect((await problemFrom(() => Store.open(folder))).exit).toBe(4);
  });

  // writeWhole renamed outside of the code that explains errors.
  test('reports a directory in its place when saving', async () => {
    const folder = tempFolder();
    const store = await Store.open(folder);
    mkdirSync(join(folder, STORE_FILE));
    await store.ensure(SPECS, NOW);
    expect((await problemFrom(() => store.save())).exit).toBe(1);
  });
});

describe('fingerprints', () => {
  test('identityFingerprint: permanent secrets only, in any order', async () => {
    const { store } = await filled();
    const identity = store.identityFingerprint(SPECS);
    expect(identity).toMatch(/^[0-9a-f]{16}$/);
    expect(store.identityFingerprint(SPECS.toReversed())).toBe(identity);
    expect(store.identityFingerprint(SPECS.filter((spec) => spec.class === 'forever'))).toBe(identity);
    expect(store.identityFingerprint(SPECS.slice(1))).not.toBe(identity);
    store.put('a.token', 'free', 'other', LATER);
    expect(store.identityFingerprint(SPECS)).toBe(identity);
    expect((await filled()).store.identityFingerprint(SPECS)).not.toBe(identity);
  });

  test('fingerprint and keyedHash differ between values and reveal nothing', async () => {
    expect(fingerprint('a')).not.toBe(fingerprint('b'));
    expect(fingerprint('a')).toBe(fingerprint('a'));
    const [one, two] = [await Store.open(tempFolder()), await Store.open(tempFolder())];
    for (const store of [one, two]) await store.ensure(SITE_SECRETS, NOW);
    expect(one.keyedHash('text')).toBe(one.keyedHash('text'));
    expect(one.keyedHash('text')).not.toBe(two.keyedHash('text'));
    expect(one.keyedHash('text')).toMatch(/^[0-9a-f]{24}$/);
  });
});

test('deletes superseded values, except those still needed', async () => {
  const { store, folder } = await filled();
  store.put('a.token', 'free', 'second', LATER);
  store.put('a.given', 'free', 'first', NOW);
  store.put('a.given', 'free', 'second', LATER);
  store.announce('a.token', 'third');
  store.forgetPrevious(['a.given']);
  await store.save();
  const again = await Store.open(folder);
  expect(again.previous('a.token')).toEqual([]);
  expect(again.previous('a.given').map((one) => one.reveal())).toEqual(['first']);
  expect([again.coming(), again.get('a.token').reveal()]).toEqual([['a.token'], 'third']);
});
