/** Pixelfed removed from a site and added again: what is removed, what stays, and the other server unchanged. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const site = testSite('pixelfed-remove', 104, 'snac.fedi.test');
const disk = mkdtempSync(join(tmpdir(), 'fedi-media-'));
const { FEDI_APPS: _apps, ...pixelfed } = pixelfedAnswers('pix.fedi.test');
const env: NodeJS.ProcessEnv = { ...site.env, ...pixelfed };
delete env['FEDI_APPS'];
afterAll(() => {
  site.remove();
  // Its content belongs to the app's user.
  rmSync(disk, { recursive: true, force: true });
});

const command = (...words: string[]): Promise<Run> =>
  tool([...words, '--dir', site.folder, '--json'], { env });
const open = (run: Run): unknown[] =>
  run.events
    .filter(({ event, ok }) => event === 'proof' && ok !== true)
    .map(({ app, id, seen }) => [app, id, seen]);
const own = (prefix: string): Record<string, string> =>
  Object.fromEntries(Object.entries(site.containers()).filter(([name]) => name.startsWith(prefix)));
const volumes = (): string[] =>
  docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`)
    .split('\n')
    .map((name) => name.replace(`${site.name}_`, ''))
    .filter((name) => !name.startsWith('caddy_'))
    .toSorted();
const password = (): string | undefined =>
  (JSON.parse(site.read('secrets.json')) as { secrets: Record<string, { value: string }> }).secrets[
    'pixelfed.admin'
  ]?.value;
const sql = (query: string): string =>
  docker('exec', site.containers()['pixelfed_db'] ?? 'none', 'sh', '-c', 'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -h 127.0.0.1 -u "$MARIADB_USER" -NBe "$0" "$MARIADB_DATABASE"', query); // prettier-ignore
const served = async (): Promise<boolean> =>
  client(
    site.bind,
    site.read('trust/root.crt'),
  )('https://pix.fedi.test/api/v1/instance').then(
    ({ status }) => status === 200,
    () => false,
  );

const ALL = ['pixelfed_db', 'pixelfed_storage', 'pixelfed_tmp', 'pixelfed_valkey', 'snac_data'];

describe.sequential('Pixelfed is removed', () => {
  let first = '';
  let snac: Record<string, string> = {};

  test('a site with two apps, its media in a data directory', async () => {
    env['FEDI_PIXELFED_MEDIA_DIR'] = join(disk, 'media');
    const run = await command('apply', '--apps', 'snac,pixelfed');
    expect([run.code, run.stderr, open(run)]).toEqual([0, '', []]);
    expect(volumes()).toEqual(ALL);
    first = password() ?? '';
    snac = own('snac');
    sql("update users set name = 'Anna, the first'");
  });

  test.each([
    ['without a confirmation', []],
    ['with the name of the site', ['--confirm', site.name]],
    ['with another app', ['--confirm', 'snac']],
    ['its data too, without a confirmation', ['--data']],
  ])('not %s: exit 3, and lists what would be removed', async (_, words) => {
    const before = [site.containers(), volumes(), site.read('fedi.yaml')];
    const run = await command('remove', 'pixelfed', ...words);
    expect([run.code, run.stderr]).toEqual([3, expect.stringContaining('pixelfed_storage')]);
    expect(run.stderr).toContain(words.includes('--data') ? 'ALL ITS DATA' : 'its data stay');
    expect([site.containers(), volumes(), site.read('fedi.yaml')]).toEqual(before);
  });

  test('a plan of it changes nothing', async () => {
    const before = [site.containers(), volumes(), site.read('fedi.yaml')];
    const run = await command('remove', 'pixelfed', '--data', '--confirm', 'pixelfed', '--dry-run');
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect([site.containers(), volumes(), site.read('fedi.yaml')]).toEqual(before);
  });

  test('removes its containers; keeps data, secrets and the other server', async () => {
    const run = await command('remove', 'pixelfed', '--confirm', 'pixelfed');
    expect([run.code, open(run)]).toEqual([0, []]);
    expect(own('pixelfed')).toEqual({});
    expect(own('snac')).toEqual(snac);
    expect(volumes()).toEqual(ALL);
    expect(password()).toBe(first);
    expect(docker('network', 'ls', '--format', '{{.Name}}')).not.toContain(`${site.name}_pixelfed`);
    for (const path of ['caddy/sites/pixelfed.caddy', 'env/pixelfed.env', 'env/pixelfed-db.env'])
      expect(existsSync(join(site.folder, path))).toBe(false);
    expect(site.read('fedi.yaml')).toMatch(/^ *# .*pix\.fedi\.test/m);
    expect(await served()).toBe(false);
    expect((await command('apply')).events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
    // None of its containers runs and uses its data.
    expect((await command('remove', 'pixelfed', '--data', '--confirm', 'pixelfed', '--dry-run')).code).toBe(
      0,
    );
    expect(volumes()).toEqual(ALL);
  });

  test('added again: the same server, with account, password and photos', async () => {
    const run = await command('add', 'pixelfed');
    expect([run.code, run.stderr, open(run)]).toEqual([0, '', []]);
    expect(run.events.some(({ event }) => event === 'admin')).toBe(false);
    expect(sql('select name from users')).toBe('Anna, the first');
    expect(password()).toBe(first);
    expect(own('snac')).toEqual(snac);
    expect(await served()).toBe(true);
  });

  test('with its data: removes its volumes, keeps the directory and the other server', async () => {
    const run = await command('remove', 'pixelfed', '--data', '--confirm', 'pixelfed');
    expect([run.code, open(run)]).toEqual([0, []]);
    expect(volumes()).toEqual(['snac_data']);
    expect(own('pixelfed')).toEqual({});
    expect(own('snac')).toEqual(snac);
    expect(run.events.find(({ id, state }) => id === `volume.${site.name}_pixelfed_storage` && state === 'done')).toMatchObject({ note: `data stay in ${join(disk, 'media')}: sudo rm -r ${join(disk, 'media')}` }); // prettier-ignore
    expect(readdirSync(join(disk, 'media/app/public'))).toContain('avatars');
    // Nothing of it is left.
    expect((await command('remove', 'pixelfed', '--data', '--confirm', 'pixelfed')).code).toBe(2);
  });

  test('added after that: a new server, with its own password', async () => {
    const run = await command('add', 'pixelfed');
    expect([run.code, run.stderr, open(run)]).toEqual([0, '', []]);
    expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual(['pixelfed']);
    expect(password()).not.toBe(first);
    expect(sql('select name from users')).toBe('anna');
    expect(own('snac')).toEqual(snac);
  });
});
