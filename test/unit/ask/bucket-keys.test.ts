/** The wizard asks for the secret of each bucket for backups that has its own key. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Store } from '../../../wizard/secrets/store.ts';
import { dialogue, endDialogue } from '../../support/dialogue.ts';
import type { Dialogue } from '../../support/dialogue.ts';
import { tempFolder } from '../../support/temp.ts';

vi.mock('@inquirer/prompts', () => import('../../support/prompts.ts'));
vi.mock('node:tty', () => ({ isatty: () => true }));
afterEach(endDialogue);

const A = 's3.a.example/fedi';
const B = 's3.b.example/fedi';
const KEYS = 'Access key of the bucket for backups';
const SECRETS = 'Secret key of the bucket for backups';
const OF_A = `Secret key of ${A}`;
const OF_B = `Secret key of ${B}`;

const open = (to: string, dir = join(tempFolder(), 'fedi'), more: NodeJS.ProcessEnv = {}): Dialogue =>
  dialogue(['--dir', dir], {
    FEDI_NAME: 'test-bucket-keys',
    FEDI_BIND: '127.0.0.45',
    FEDI_APPS: 'snac',
    FEDI_DOMAIN: 'rest.example.org',
    FEDI_ADMIN: 'rest',
    FEDI_EMAIL: 'rest@example.org',
    FEDI_MAIL_MODE: 'none',
    FEDI_TLS_MODE: 'internal',
    FEDI_BACKUP_TO: to,
    ...more,
  });

test('one prompt for each, with help and a way back', async () => {
  const run = open(`s3:https://${A},s3:https://${B}`);
  await run.asked(KEYS);
  expect(run.words()).toContain(`one for each: ${A}=KEY,${B}=KEY`);
  expect(await run.answer(KEYS, `${A}=AK1`)).toContain(`${B} has no key.`);
  await run.answer(KEYS, `${A}=AK1,${B}=AK2`);
  await run.answer(OF_A, '?');
  await run.asked(OF_A);
  expect(run.words()).toContain('--backup-s3-secret-file');
  expect((await run.next()).kind).toBe('password');
  await run.answer(OF_A, 'wrong');
  await run.answer(OF_B, '<');
  await run.answer(OF_A, 'one');
  await run.answer(OF_B, 'two');
  await run.asked('What now?');
  const review = run.words();
  expect(review).toContain(`${KEYS} ${A}=AK1,${B}=AK2`);
  expect(review).toContain(`${SECRETS} [hidden]`);
  // From the first one, back leads to the keys.
  await run.answer('What now?', `Change: ${KEYS}`);
  await run.answer(KEYS, `AK0,${B}=AK2`);
  await run.answer('What now?', `Change: ${SECRETS}`);
  await run.answer('Secret key of all other buckets', 'zero');
  await run.answer(OF_B, '<');
  await run.answer('Secret key of all other buckets', '<');
  await run.asked('What now?');
});

test('one key for all: one prompt', async () => {
  const run = open(`s3:https://${A},s3:https://${B}`);
  await run.answer(KEYS, 'AK');
  await run.answer(SECRETS, 'one');
  await run.asked('What now?');
});

test('a bucket that gets its own key: its secret is asked for, those in secrets.json may be left out', async () => {
  const folder = join(tempFolder(), 'fedi');
  mkdirSync(folder);
  const store = await Store.open(folder);
  store.put('backup.s3-secret', 'free', 'zero', new Date());
  await store.save();
  const one = open(`s3:https://${A},s3:https://${B}`, folder, { FEDI_BACKUP_S3_KEY: 'AK0' });
  await one.asked('What now?');
  expect(one.words()).toContain(`${SECRETS} [hidden], unchanged`);
  await one.leave();
  const own = open(`s3:https://${A},s3:https://${B}`, folder, { FEDI_BACKUP_S3_KEY: `AK0,${B}=AK2` });
  const other = await own.asked('Secret key of all other buckets');
  expect(own.words()).toContain('Leave it empty if it is there already.');
  await other.enter('');
  await own.answer(OF_B, 'two');
  await own.asked('What now?');
});
