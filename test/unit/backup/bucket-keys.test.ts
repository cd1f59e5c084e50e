/** Keys of buckets in a restore: from flags and the recovery sheet, and what the restored site keeps. */
import { expect, test } from 'vitest';
import { givenKeys, keepSecrets, keyOf } from '../../../wizard/backup/bucket-keys.ts';
import type { Access } from '../../../wizard/backup/restic.ts';
import type { Recovery } from '../../../wizard/backup/sheet.ts';
import { parseRepository } from '../../../wizard/config/backup.ts';
import type { Repository } from '../../../wizard/config/backup.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const A = 's3.a.example/fedi';
const B = 's3.b.example/fedi';
const repository = (name: string): Repository => {
  const parsed = parseRepository(`s3:https://${name}`);
  if ('problem' in parsed) throw new Error(parsed.problem);
  return parsed.value;
};
const BOTH = [repository(A), repository(B)];
const recoveryWith = (s3: Record<string, [key: string | undefined, secret: string]>): Recovery => ({
  password: new Secret('x'),
  repositories: BOTH,
  s3: Object.fromEntries(
    Object.entries(s3).map(([name, [key, secret]]) => [name, { key, secret: new Secret(secret) }]),
  ),
});
const keysFor = (recovery: Recovery, keys?: string, secrets?: string): unknown => {
  const given = givenKeys({ keys, secrets }, BOTH, recovery);
  return [A, B].map((name) => {
    const { key, secret } = keyOf(name, given, recovery);
    return [key, secret.reveal()];
  });
};

const SHEET = recoveryWith({ '': ['AK0', 'zero'], [B]: ['AK2', 'two'] });
const EXPORT = recoveryWith({ '': [undefined, 'zero'], [B]: [undefined, 'two'] });

test.each([
  [
    'the sheet alone',
    SHEET,
    undefined,
    undefined,
    [
      ['AK0', 'zero'],
      ['AK2', 'two'],
    ],
  ],
  [
    'a key for all',
    SHEET,
    'AK9',
    'nine',
    [
      ['AK9', 'nine'],
      ['AK9', 'nine'],
    ],
  ],
  [
    'a key for one',
    SHEET,
    `${B}=AK9`,
    `${B}=nine`,
    [
      ['AK0', 'zero'],
      ['AK9', 'nine'],
    ],
  ],
  [
    'a new secret for one',
    SHEET,
    undefined,
    `${B}=nine`,
    [
      ['AK0', 'zero'],
      ['AK2', 'nine'],
    ],
  ],
  [
    'a secrets export, which has no access keys',
    EXPORT,
    `AK0,${B}=AK2`,
    undefined,
    [
      ['AK0', 'zero'],
      ['AK2', 'two'],
    ],
  ],
  [
    'a password alone',
    recoveryWith({}),
    `${A}=AK1,${B}=AK2`,
    `${A}=one\n${B}=two`,
    [
      ['AK1', 'one'],
      ['AK2', 'two'],
    ],
  ],
] as const)('%s', (_, recovery, keys, secrets, expected) => {
  expect(keysFor(recovery, keys, secrets)).toEqual(expected);
});

test.each([
  [
    'a bucket that has none',
    recoveryWith({ [A]: ['AK1', 'one'] }),
    undefined,
    undefined,
    `The key of the bucket ${B} is missing.`,
  ],
  [
    'a key without its secret',
    recoveryWith({ [A]: ['AK1', 'one'] }),
    `${B}=AK2`,
    undefined,
    `The key of the bucket ${B} is missing.`,
  ],
  [
    'a key of another bucket',
    SHEET,
    's3.c.example/fedi=AK',
    undefined,
    '--backup-s3-key: s3.c.example/fedi is not among the repositories',
  ],
  [
    'a secret of another bucket',
    SHEET,
    undefined,
    's3.c.example/fedi=x',
    '--backup-s3-secret-file: Line 1 is for a bucket without its own key.',
  ],
] as const)('%s: refused', async (_, recovery, keys, secrets, words) => {
  const problem = await problemFrom(() => keysFor(recovery, keys, secrets));
  expect([problem.exit, problem.message]).toEqual([2, expect.stringContaining(words)]);
});

test('the restored site gets newer secrets, each for the key that it uses', async () => {
  const folder = tempFolder();
  const answers = `version: 1\napps:\n  snac:\n    domain: s.example.org\n    admin: anna\n    email: anna@example.org\ntls:\n  mode: internal\nbackup:\n  to: s3:https://${A},s3:https://${B},s3:https://s3.c.example/fedi\n  s3-key: AK0,${B}=AK2,s3.c.example/fedi=AK3\n`;
  writeTree(folder, {
    'fedi.yaml': answers,
    '.fedi/manifest.json': JSON.stringify({ version: 1, generation: 1, files: {} }),
    '.fedi/generations/0001/fedi.yaml': answers,
    '.fedi/generations/0001/images.lock.yaml': '{}\n',
  });
  const store = await Store.open(folder);
  for (const name of ['', `:${B}`, ':s3.c.example/fedi'])
    store.put(`backup.s3-secret${name}`, 'free', 'old', new Date());
  await store.save();
  const access = { repository: repository(B), s3: { key: 'AK2', secret: new Secret('two') } } as Access;
  const sheet = recoveryWith({ '': ['AK0', 'zero'], 's3.c.example/fedi': ['AK4', 'four'] });
  await keepSecrets(folder, access, sheet, new Date());
  const now = await Store.open(folder);
  expect(
    ['', `:${B}`, ':s3.c.example/fedi'].map((name) => now.get(`backup.s3-secret${name}`).reveal()),
  ).toEqual([
    'zero',
    'two',
    // The sheet has a newer access key than the restored fedi.yaml.
    'old',
  ]);
});
