/** Whether this host could delete its backups. */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeRecord } from '../../../wizard/backup-record.ts';
import { isRemovable } from '../../../wizard/backup/backup.ts';
import type { Access } from '../../../wizard/backup/restic.ts';
import { checkBackups } from '../../../wizard/checks/backups.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Engine } from '../../../wizard/docker/engine.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import { tempFolder } from '../../support/temp.ts';

const NOW = new Date('2026-11-30T06:00:00Z');
const repository = { kind: 'local', text: '/mnt/a', path: tmpdir() } as const;
const config = { name: 'fedi', backup: undefined, tls: { isLab: false } } as unknown as Config;

function siteFolder(): string {
  const folder = tempFolder();
  mkdirSync(join(folder, '.fedi'));
  return folder;
}

/** restic, whose `forget` ends with this code. */
function resticThat(forgets: number): { access: Access; calls: string[] } {
  const calls: string[] = [];
  const engine = {
    run: async ({ argv }: { argv: readonly string[] }) => {
      const command = argv.find((word) => ['backup', 'forget'].includes(word)) ?? '';
      calls.push(command);
      return {
        code: command === 'forget' ? forgets : 0,
        stdout: command === 'backup' ? '{"message_type":"summary","snapshot_id":"abc123"}\n' : '',
        stderr: '',
      };
    },
  } as unknown as Engine;
  return { access: { engine, image: 'restic', repository, password: new Secret('x'), ssh: '/ssh' }, calls };
}

test.each([
  [0, true],
  [1, false],
])('`forget` ends with %i', async (code, is) => {
  const folder = siteFolder();
  const { access, calls } = resticThat(code);
  const found = await isRemovable(access, { folder, config, now: () => NOW });
  expect([found, calls]).toEqual([{ at: NOW.toISOString(), is }, ['backup', 'forget']]);
});

test('the answer counts for 30 days', async () => {
  const folder = siteFolder();
  const { access, calls } = resticThat(1);
  const removable = { at: '2026-11-01T00:00:00Z', is: true };
  await writeRecord(folder, { repositories: { '/mnt/a': { id: 'x', removable } } });
  const site = { folder, config };
  expect(await isRemovable(access, { ...site, now: () => NOW })).toEqual(removable);
  expect(calls).toEqual([]);
  const later = new Date('2026-12-02T00:00:00Z');
  expect(await isRemovable(access, { ...site, now: () => later })).toEqual({
    at: later.toISOString(),
    is: false,
  });
});

test.each([
  [[true, true], 'an intruder on this host could delete all of them'],
  [[true, false], 'this host cannot delete those in /mnt/1'],
])('`doctor` shows it: %j', async (all, seen) => {
  const folder = siteFolder();
  const last = { at: NOW.toISOString(), snapshot: 'a', bytes: 1 };
  await writeRecord(folder, {
    repositories: Object.fromEntries(
      all.map((is, i) => [`/mnt/${i}`, { id: 'x', last, removable: { at: NOW.toISOString(), is } }]),
    ),
  });
  expect((await checkBackups({ folder, config, now: () => NOW }))?.seen).toContain(seen);
});
