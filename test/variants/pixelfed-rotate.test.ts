/** Rotated secrets on a running site: no data are lost, the servers get the new value, the receipt confirms it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const site = testSite('rotate', 92, 'social.fedi.test');
const { FEDI_APPS: _mastodon, ...mastodon } = mastodonAnswers(site.domain);
const { FEDI_APPS: _pixelfed, ...pixelfed } = pixelfedAnswers('pix.fedi.test');
const env: NodeJS.ProcessEnv = { ...site.env, ...mastodon, ...pixelfed, FEDI_APPS: 'mastodon,pixelfed' };
afterAll(() => site.remove());

interface Entry {
  value: string;
  coming?: string;
  superseded?: { value: string }[];
}
const path = join(site.folder, 'secrets.json');
const entry = (name: string): Entry =>
  (JSON.parse(readFileSync(path, 'utf8')) as { secrets: Record<string, Entry> }).secrets[name] as Entry;
const rotate = (name: string): Promise<Run> =>
  tool(['secrets', 'rotate', name, '--confirm', name, '--dir', site.folder, '--json'], { env });
const failed = (run: Run): unknown[] =>
  run.events.filter(({ event, ok }) => event === 'proof' && ok !== true).map(({ id, seen }) => [id, seen]);
const same = (before: Record<string, string>): string[] =>
  Object.entries(site.containers())
    .filter(([name, id]) => before[name] === id)
    .map(([name]) => name);
/** Whether a server accepts a password over its network. */
const takes = (service: string, script: string, password: string): boolean => {
  try {
    docker('exec', '--env', `PASSWORD=${password}`, site.containers()[service] ?? 'none', 'sh', '-c', script);
    return true;
  } catch {
    return false;
  }
};
const LOG_IN: Readonly<Record<string, readonly [string, string]>> = {
  'mastodon.db': [
    'mastodon_db',
    'PGPASSWORD=$PASSWORD psql -h "$(hostname -i)" -U mastodon -d mastodon -c "select 1"',
  ],
  'pixelfed.db': ['pixelfed_db', 'MYSQL_PWD=$PASSWORD mariadb -h "$(hostname -i)" -u pixelfed -e "select 1"'],
  'pixelfed.db-root': ['pixelfed_db', 'MYSQL_PWD=$PASSWORD mariadb -u root -e "select 1"'],
};

describe.sequential('secrets rotate', () => {
  test('sets up two apps', async () => {
    const run = await site.apply([], { env });
    expect([run.code, run.stderr, failed(run)]).toEqual([0, '', []]);
  });

  test.each(Object.entries(LOG_IN))(
    '%s: the server accepts only the new one, and everything works',
    async (name, [service, script]) => {
      const { value: old } = entry(name);
      expect(takes(service, script, old)).toBe(true);
      const run = await rotate(name);
      expect(run.stderr).toBe('');
      expect(failed(run)).toEqual([]);
      expect(run.code).toBe(0);
      const { value, coming, superseded } = entry(name);
      expect(value).not.toBe(old);
      // After a successful proof the old one is deleted.
      expect([coming, superseded]).toEqual([undefined, undefined]);
      for (const text of [value, old]) expect(`${run.stdout}${run.stderr}`).not.toContain(text);
      expect([takes(service, script, old), takes(service, script, value)]).toEqual([false, true]);
    },
  );

  test('pixelfed.valkey: the other app keeps its containers', async () => {
    const before = site.containers();
    expect(failed(await rotate('pixelfed.valkey'))).toEqual([]);
    const kept = same(before);
    for (const name of ['mastodon_web', 'mastodon_valkey', 'pixelfed_db']) expect(kept).toContain(name);
    for (const name of ['pixelfed_web', 'pixelfed_valkey']) expect(kept).not.toContain(name);
  });

  test('pixelfed.app-key: data encrypted with the old one stay readable', async () => {
    const { value: old } = entry('pixelfed.app-key');
    const run = await rotate('pixelfed.app-key');
    expect(failed(run)).toEqual([]);
    const variables = site.read('env/pixelfed.env');
    expect(variables).toContain(`APP_PREVIOUS_KEYS=${old}\n`);
    expect(variables).toContain(`APP_KEY=${entry('pixelfed.app-key').value}\n`);
  });

  test('killed before and after the change in the server: the next run completes it', async () => {
    const name = 'pixelfed.db';
    const [service, script] = LOG_IN[name] as (typeof LOG_IN)[string];
    for (const isDone of [false, true]) {
      const killed = await tool(
        ['secrets', 'rotate', name, '--confirm', name, '--dir', site.folder, '--json'],
        {
          env,
          onEvent: ({ id, state }, child) => {
            if (id === `rotate.${name}` && state === (isDone ? 'done' : 'start')) child.kill('SIGKILL');
          },
        },
      );
      expect(killed.signal).toBe('SIGKILL');
      const run = await site.apply([], { env });
      expect([run.code, run.stderr, failed(run)]).toEqual([0, '', []]);
      const { value, coming } = entry(name);
      expect(coming).toBeUndefined();
      expect(takes(service, script, value)).toBe(true);
    }
  });

  test('killed while the container has the old root password: it can still be rotated', async () => {
    const root = 'pixelfed.db-root';
    const killed = await tool(
      ['secrets', 'rotate', root, '--confirm', root, '--dir', site.folder, '--json'],
      {
        env,
        onEvent: ({ id, state }, child) => {
          if (id === 'write' && state === 'start') child.kill('SIGKILL');
        },
      },
    );
    expect([killed.signal, entry(root).coming]).toEqual(['SIGKILL', undefined]);
    expect(failed(await rotate('pixelfed.db'))).toEqual([]);
    for (const name of [root, 'pixelfed.db']) {
      const [service, script] = LOG_IN[name] as (typeof LOG_IN)[string];
      expect(takes(service, script, entry(name).value)).toBe(true);
    }
  });

  test('the server does not run: nothing is lost, and the error says what to do', async () => {
    const { value: old } = entry('mastodon.db');
    const container = site.containers()['mastodon_db'] ?? 'none';
    docker('stop', container);
    const run = await rotate('mastodon.db');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('The container mastodon_db is not running');
    expect(entry('mastodon.db').value).toBe(old);
    docker('start', container);
    const again = await site.apply([], { env });
    expect(failed(again)).toEqual([]);
    expect(entry('mastodon.db').value).not.toBe(old);
  });

  test('refuses a permanent secret, and a rotation without confirmation', async () => {
    const before = readFileSync(path, 'utf8');
    const forever = await rotate('mastodon.encryption.primary');
    expect([forever.code, forever.stderr]).toEqual([3, expect.stringContaining('cannot be changed')]);
    const unsure = await tool(['secrets', 'rotate', 'pixelfed.db', '--dir', site.folder], { env });
    expect([unsure.code, unsure.stderr]).toEqual([3, expect.stringContaining('--confirm pixelfed.db')]);
    const unknown = await rotate('pixelfed.nothing');
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('takes one of: site.key')]);
    expect(readFileSync(path, 'utf8')).toBe(before);
  });
});
