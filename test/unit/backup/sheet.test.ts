/** The recovery sheet is written and read; what else `--password-file` accepts. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { accessOf } from '../../../wizard/backup/access.ts';
import { parseRecovery, sheetText } from '../../../wizard/backup/sheet.ts';
import type { Recovery } from '../../../wizard/backup/sheet.ts';
import { parseRepository } from '../../../wizard/config/backup.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { BACKUP_SECRETS, publicLine } from '../../../wizard/secrets/backup.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { contextOf } from '../../support/checks.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const BUCKET = 's3.example.org/bucket';
const OTHER = 's3.example.net/other/fedi';
const TO = 's3:https://s3.example.org/bucket,sftp://anna@backup.example.org/srv,/mnt/a';

async function siteWith(to: string, keys = 'AK'): Promise<{ text: string; store: Store }> {
  const folder = tempFolder();
  writeTree(folder, { '.fedi/ssh/known_hosts': 'backup.example.org ssh-ed25519 AAAA\n' });
  const store = await Store.open(folder);
  await store.ensure(BACKUP_SECRETS, new Date());
  store.put('backup.s3-secret', 'free', 'correct+horse', new Date());
  store.put(`backup.s3-secret:${OTHER}`, 'free', 'another+horse', new Date());
  const { config } = contextOf({ 'backup.to': to, 'backup.s3-key': keys });
  return { text: await sheetText(folder, config, store, '1.2.3'), store };
}

const keysOf = ({ s3 }: Recovery): unknown =>
  Object.fromEntries(Object.entries(s3).map(([name, { key, secret }]) => [name, [key, secret?.reveal()]]));

test('has all that an empty host needs', async () => {
  const { text, store } = await siteWith(TO);
  const found = parseRecovery(text, 'sheet');
  expect(found.password.reveal()).toBe(store.get('backup.password').reveal());
  expect(found.repositories.map((one) => one.text)).toEqual(TO.split(','));
  expect(keysOf(found)).toEqual({ '': ['AK', 'correct+horse'] });
  expect(text).toMatch(/^s3-key: AK\ns3-secret: correct\+horse\n(?!s3-keys)/m);
  expect(found.sshKey?.reveal()).toBe(store.get('backup.ssh-key').reveal());
  expect(found.knownHosts).toBe('backup.example.org ssh-ed25519 AAAA\n');
  expect(text).toContain(
    'install fedi-setup 1.2.3, then:\n#   fedi-setup restore --password-file THIS-FILE --dir /',
  );
});

test('has the key of each bucket', async () => {
  const { text, store } = await siteWith(`${TO},s3:https://${OTHER}`, `AK,${OTHER}=AK2`);
  expect(keysOf(parseRecovery(text, 'sheet'))).toEqual({
    '': ['AK', 'correct+horse'],
    [OTHER]: ['AK2', 'another+horse'],
  });
  const own = await siteWith(`s3:https://${OTHER}`, `${OTHER}=AK2`);
  expect(own.text).not.toContain('correct+horse');
  expect(keysOf(parseRecovery(own.text, 'sheet'))).toEqual({ [OTHER]: ['AK2', 'another+horse'] });
  // secrets.json has no access keys.
  expect(keysOf(parseRecovery(store.recoveryText(), 'export'))).toEqual({
    '': [undefined, 'correct+horse'],
    [OTHER]: [undefined, 'another+horse'],
  });
});

test('the key of a bucket opens no other one', async () => {
  const { store } = await siteWith(TO);
  const engine = { volume: async () => ({ device: undefined }) } as unknown as Engine;
  const accessTo = async (bucket: string, keys: string): Promise<unknown> => {
    const { config } = contextOf({ 'backup.to': `s3:https://${OTHER}`, 'backup.s3-key': keys });
    const parsed = parseRepository(`s3:https://${bucket}`);
    if ('problem' in parsed) throw new Error(parsed.problem);
    const { s3 } = await accessOf({ folder: '/srv/fedi', config, engine }, store, 'restic:1', parsed.value);
    return [s3?.key, s3?.secret.reveal()];
  };
  expect(await accessTo(OTHER, `AK,${OTHER}=AK2`)).toEqual(['AK2', 'another+horse']);
  expect(await accessTo(BUCKET, `AK,${OTHER}=AK2`)).toEqual(['AK', 'correct+horse']);
  const problem = await problemFrom(() => accessTo(BUCKET, `${OTHER}=AK2`));
  expect([problem.exit, problem.message]).toEqual([2, `The key of the bucket ${BUCKET} is missing.`]);
});

test('has no key that its repositories do not need', async () => {
  const { text } = await siteWith('/mnt/a');
  expect(text).not.toMatch(/PRIVATE KEY|correct\+horse|known-hosts/);
});

test('a secrets export and a bare password are accepted too', async () => {
  const { store } = await siteWith(TO);
  const exported = parseRecovery(store.recoveryText(), 'export');
  expect(exported.password.reveal()).toBe(store.get('backup.password').reveal());
  expect(exported.sshKey?.reveal()).toContain('PRIVATE KEY');
  expect(parseRecovery('  a-long-password\n', 'file').password.reveal()).toBe('a-long-password');
});

test.each(['', 'two words', '{"version":1,"secrets":{}}', 'a: [', '- a\n- b', '# only a comment\n'])(
  'refuses %j without quoting it',
  async (text) => {
    const problem = await problemFrom(() => parseRecovery(text, 'x.yaml'));
    expect(problem.exit).toBe(2);
    expect(problem.message).toBe('x.yaml is not a recovery sheet, a secrets export or a password.');
  },
);

test('ssh-keygen reads the key and derives the same public line', async () => {
  const { store } = await siteWith(TO);
  const pem = store.get('backup.ssh-key').reveal();
  const path = join(tempFolder(), 'key');
  writeFileSync(path, pem, { mode: 0o600 });
  const line = publicLine(pem, 'fedi-setup-fedi');
  expect(line).toMatch(/^ecdsa-sha2-nistp256 [A-Za-z0-9+/=]+ fedi-setup-fedi$/);
  const { status, stdout } = spawnSync('ssh-keygen', ['-y', '-f', path], { encoding: 'utf8' });
  if (status === null) return; // not installed
  expect(line.startsWith(stdout.trim().split(' ').slice(0, 2).join(' '))).toBe(true);
});
