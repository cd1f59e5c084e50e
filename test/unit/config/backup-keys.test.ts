/** Keys of buckets for backups: one for all, or one for each; the same by flag, variable, answers file and fedi.yaml. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  answersFileSource,
  environmentSource,
  flagSource,
  yamlSource,
} from '../../../wizard/answers/sources.ts';
import { saveInto } from '../../../wizard/answers/save.ts';
import { resolve } from '../../../wizard/answers/resolve.ts';
import type { Resolved, Source } from '../../../wizard/answers/resolve.ts';
import { backupOf } from '../../../wizard/config/backup.ts';
import { bucketOf, parseSecrets, secretFor, secretLines } from '../../../wizard/config/backup-keys.ts';
import { tempFolder } from '../../support/temp.ts';

const A = 's3.a.example/fedi/x';
const B = 's3.b.example:9000/other';
const TO = `/mnt/a,s3:https://${A},sftp://anna@c.example/srv,s3:http://${B}`;

const REST = environmentSource({
  FEDI_APPS: 'snac',
  FEDI_DOMAIN: 'rest.example.org',
  FEDI_ADMIN: 'rest',
  FEDI_EMAIL: 'rest@example.org',
  FEDI_MAIL_MODE: 'none',
  FEDI_TLS_MODE: 'internal',
  FEDI_BACKUP_TO: TO,
});

const file = (text: string): string => {
  const path = join(tempFolder(), 'file');
  writeFileSync(path, text);
  return path;
};
const withKeys = (keys: string, ...more: Source[]): Promise<Resolved> =>
  resolve([...more, new Map([['backup.s3-key', { text: keys, from: '--backup-s3-key' }]]), REST]);
const keysOf = ({ answers }: Resolved): unknown => backupOf(answers)?.s3Keys;

describe('keys', () => {
  test.each([
    ['AK', { '': 'AK' }],
    ['  AK with spaces ', { '': 'AK with spaces' }],
    [`${A}=AK1,${B}=AK2`, { [A]: 'AK1', [B]: 'AK2' }],
    [`AK0,${B}=AK2`, { '': 'AK0', [B]: 'AK2' }],
    [` s3:https://${A}/ = AK1 , s3:http://${B}=AK2, `, { [A]: 'AK1', [B]: 'AK2' }],
    [`S3.A.example/fedi/x=AK1,${B}=AK1`, { [A]: 'AK1', [B]: 'AK1' }],
  ])('%s', async (text, keys) => {
    const resolved = await withKeys(text);
    expect(resolved.problems).toEqual([]);
    expect(keysOf(resolved)).toEqual(keys);
    // The canonical spelling is read again as the same.
    expect(keysOf(await withKeys(String(resolved.answers['backup.s3-key'])))).toEqual(keys);
  });

  test.each([
    [`${A}=AK1`, `${B} has no key. Add ${B}=KEY`],
    [`${A}=AK1,${B}=`, `${B} has no key.`],
    [`${A}=AK1,${B}`, `${B} has no key.`],
    [
      `${A}=AK1,${B}=AK2,s3.c.example/bucket=AK3`,
      `s3.c.example/bucket is not in backup.to, which has ${A} and ${B}.`,
    ],
    [`${A}=AK1,${A}/=AK2,${B}=AK3`, `${A} has two keys.`],
    [`AK0,AK1`, 'Only one key may be without HOST/BUCKET='],
    ['/mnt/a=AK', '/mnt/a is a directory, which needs no key.'],
    ['sftp://anna@c.example/srv=AK', 'is an SFTP server'],
    ['AK=x', '“AK” is not a bucket.'],
    ['=AK', 'is not a bucket.'],
    ['https://user:pw@h.example/b=AK', 'That is not a bucket.'],
    [`${A}=AK 1,${B}=AK2`, `The key of ${A} has a space or = in it.`],
    [`${A}=AK1=,${B}=AK2`, `The key of ${A} has a space or = in it.`],
    [',', 'A value is required.'],
    [`${A}=AK1\n${B}=AK2`, 'an invisible character'],
  ])('%s: refused', async (text, words) => {
    const { problems, answers } = await withKeys(text);
    expect(problems).toEqual([expect.stringContaining(words)]);
    expect(problems[0]).toMatch(/^--backup-s3-key: /);
    expect(answers['backup.s3-key']).toBeUndefined();
  });

  test('without any, the message shows how to give each its own', async () => {
    const { problems } = await resolve([REST]);
    expect(problems).toEqual([expect.stringContaining(`one for each: ${A}=KEY,${B}=KEY`)]);
  });

  test('a bucket that is no longer a place: the message says where its key is', async () => {
    const saved = yamlSource(`backup:\n  s3-key: ${A}=AK1,${B}=AK2\n`);
    const fewer = new Map([['backup.to', { text: `s3:https://${A}`, from: '--backup-to' }]]);
    const { problems } = await resolve([fewer, saved, REST]);
    expect(problems).toEqual([`fedi.yaml line 2 (backup.s3-key): ${B} is not in backup.to, which has ${A}.`]);
  });
});

test('by flag, variable, answers file and fedi.yaml', async () => {
  const [keys, secrets] = [`${A}=AK1,${B}=AK2`, `${A}=one+/=\n${B}=two`];
  const written = saveInto(undefined, [['backup.s3-key', keys]]);
  for (const sources of [
    [await flagSource({ 'backup-s3-key': keys, 'backup-s3-secret-file': file(`${secrets}\n`) })],
    [environmentSource({ FEDI_BACKUP_S3_KEY: keys, FEDI_BACKUP_S3_SECRET: secrets })],
    [await answersFileSource(file(`FEDI_BACKUP_S3_KEY=${keys}\nFEDI_BACKUP_S3_SECRET="${secrets}"\n`))],
    [yamlSource(written), environmentSource({ FEDI_BACKUP_S3_SECRET: secrets })],
  ]) {
    const resolved = await resolve([...sources, REST]);
    expect(resolved.problems).toEqual([]);
    expect(keysOf(resolved)).toEqual({ [A]: 'AK1', [B]: 'AK2' });
    expect(resolved.secrets['backup.s3-secret']).toBe(secrets);
    expect(JSON.stringify(resolved.answers)).not.toMatch(/one\+|two/);
  }
});

describe('secrets', () => {
  const KEYS = { [A]: 'AK1', [B]: 'AK2' };
  const WITH_ALL = { ...KEYS, '': 'AK0' };

  test.each([
    ['one key: the whole text', { '': 'AK' }, ` ${A}=x\n y `, { '': ` ${A}=x\n y ` }],
    ['a line each', KEYS, `${A}=a/b+c==\r\n\n  s3:http://${B} = x y \n`, { [A]: 'a/b+c==', [B]: 'x y' }],
    ['one of them', KEYS, `${B}=x`, { [B]: 'x' }],
    [
      'the one for all others',
      WITH_ALL,
      `bucket/Secret+of=tests\n${A}=x`,
      { '': 'bucket/Secret+of=tests', [A]: 'x' },
    ],
    ['one that begins with /', WITH_ALL, `/x=`, { '': '/x=' }],
  ])('%s', (_, keys, text, secrets) => {
    const parsed = parseSecrets(text, keys);
    expect(parsed).toEqual({ value: secrets });
    expect(parseSecrets(secretLines(secrets), keys)).toEqual(parsed);
  });

  test.each([
    [
      'one for several keys',
      KEYS,
      'hidden',
      `Line 1 is not HOST/BUCKET=SECRET. The keys are those of ${A} and ${B}.`,
    ],
    [
      'of an unknown bucket',
      WITH_ALL,
      `${A}=hidden\nhidden.example/hidden=hidden`,
      'Line 2 is for a bucket without its own key.',
    ],
    ['two for one', KEYS, `${A}=hidden\n${A}=hidden2`, `${A} has two secrets.`],
    ['two without a bucket', WITH_ALL, 'hidden\nhidden2', 'Line 2 is the second one without HOST/BUCKET=.'],
    ['an empty one', KEYS, `${A}=`, `${A} has no secret after the =.`],
    ['none', KEYS, ' \n', 'A value is required.'],
  ])('%s: refused, and not quoted', (_, keys, text, words) => {
    const parsed = parseSecrets(text, keys);
    expect(parsed).toEqual({ problem: expect.stringContaining(words) });
    expect(JSON.stringify(parsed)).not.toContain('hidden');
  });

  test('each has its own name in secrets.json', () => {
    expect([secretFor(WITH_ALL, A), secretFor(WITH_ALL, 'c.example/bucket')]).toEqual([
      `backup.s3-secret:${A}`,
      'backup.s3-secret',
    ]);
    expect([secretFor(KEYS, A), 'backup.s3-secret', 'backup.password'].map(bucketOf)).toEqual([
      A,
      '',
      undefined,
    ]);
  });

  test('one that does not fit the keys is refused with its origin', async () => {
    const { problems } = await withKeys(
      `${A}=AK1,${B}=AK2`,
      environmentSource({ FEDI_BACKUP_S3_SECRET: 'hidden' }),
    );
    expect(problems).toEqual([expect.stringMatching(/^FEDI_BACKUP_S3_SECRET: Line 1 is not HOST/)]);
    expect(problems[0]).not.toContain('hidden');
  });
});
