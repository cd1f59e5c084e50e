/** The recovery sheet is written and read; what else `--password-file` accepts. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseRecovery, sheetText } from '../../../wizard/backup/sheet.ts';
import { BACKUP_SECRETS, publicLine } from '../../../wizard/secrets/backup.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { contextOf } from '../../support/checks.ts';
import { problemFrom } from '../../support/problem.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const TO = 's3:https://s3.example.org/bucket,sftp://anna@backup.example.org/srv,/mnt/a';

async function siteWith(to: string): Promise<{ text: string; store: Store }> {
  const folder = tempFolder();
  writeTree(folder, { '.fedi/ssh/known_hosts': 'backup.example.org ssh-ed25519 AAAA\n' });
  const store = await Store.open(folder);
  await store.ensure(BACKUP_SECRETS, new Date());
  store.put('backup.s3-secret', 'free', 'correct+horse', new Date());
  const { config } = contextOf({ 'backup.to': to, 'backup.s3-key': 'AK' });
  return { text: await sheetText(folder, config, store, '1.2.3'), store };
}

test('has all that an empty host needs', async () => {
  const { text, store } = await siteWith(TO);
  const found = parseRecovery(text, 'sheet');
  expect(found.password.reveal()).toBe(store.get('backup.password').reveal());
  expect(found.repositories.map((one) => one.text)).toEqual(TO.split(','));
  expect([found.s3Key, found.s3Secret?.reveal()]).toEqual(['AK', 'correct+horse']);
  expect(found.sshKey?.reveal()).toBe(store.get('backup.ssh-key').reveal());
  expect(found.knownHosts).toBe('backup.example.org ssh-ed25519 AAAA\n');
  expect(text).toContain(
    'install fedi-setup 1.2.3, then:\n#   fedi-setup restore --password-file THIS-FILE --dir /',
  );
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
