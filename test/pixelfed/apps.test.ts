/** Mastodon, Pixelfed and snac behind one Caddy: each proven, none in the way of another, more and less of them. */
import { afterAll, describe, expect, test } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

const site = testSite('three', 91, 'snac.fedi.test');
const { FEDI_APPS: _mastodon, ...mastodon } = mastodonAnswers('social.fedi.test');
const { FEDI_APPS: _pixelfed, ...pixelfed } = pixelfedAnswers('pix.fedi.test');
const env: NodeJS.ProcessEnv = { ...site.env, ...mastodon, ...pixelfed, FEDI_MAIL_MODE: 'catcher' };
delete env['FEDI_APPS'];
afterAll(() => site.remove());

const command = (...words: string[]): Promise<Run> =>
  tool([...words, '--dir', site.folder, '--json'], { env });
/** App → what its receipt found wrong. */
const open = (run: Run): Record<string, unknown[]> => {
  const apps: Record<string, unknown[]> = {};
  for (const { event, app, id, ok, seen } of run.events)
    if (event === 'proof') (apps[String(app)] ??= []).push(...(ok === true ? [] : [[id, seen]]));
  return apps;
};
const own = (prefix: string): Record<string, string> =>
  Object.fromEntries(Object.entries(site.containers()).filter(([name]) => name.startsWith(prefix)));

describe.sequential('three apps on one host', { timeout: PATIENCE_MS }, () => {
  test('one domain for two of them is refused', async () => {
    const run = await tool(
      ['apply', '--dir', site.folder, '--apps', 'mastodon,pixelfed', '--pixelfed-domain', 'social.fedi.test'],
      { env },
    );
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('Each needs its own');
    expect(site.containers()).toEqual({});
  });

  test('two at once: both receipts', async () => {
    const run = await command('apply', '--apps', 'snac,mastodon');
    expect(open(run)).toEqual({ snac: [], mastodon: [] });
    expect(run.code).toBe(0);
  });

  test('Pixelfed is added: it is proven with its password, the others keep their containers', async () => {
    const before = { ...own('mastodon'), ...own('snac') };
    const run = await command('add', 'pixelfed');
    expect(run.stderr).toBe('');
    expect(open(run)).toEqual({ snac: [], mastodon: [], pixelfed: [] });
    expect(run.code).toBe(0);
    expect({ ...own('mastodon'), ...own('snac') }).toEqual(before);
    expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual(['pixelfed']);
    const login = run.events.find(
      ({ event, app, id }) => event === 'proof' && app === 'pixelfed' && id === 'login',
    );
    expect(login?.['title']).toContain('as in a browser');
  });

  test('all three at once: nothing to do', async () => {
    expect((await command('apply')).events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
  });

  test('databases and queues are out of each other’s reach', () => {
    const reach = (from: string, host: string): boolean => {
      try {
        docker('exec', site.containers()[from] ?? 'none', 'getent', 'hosts', host);
        return true;
      } catch {
        return false;
      }
    };
    expect(reach('pixelfed_web', 'pixelfed_db')).toBe(true);
    for (const host of ['mastodon_db', 'mastodon_valkey', 'mastodon_web'])
      expect([host, reach('pixelfed_web', host)]).toEqual([host, false]);
    for (const host of ['pixelfed_db', 'pixelfed_valkey', 'pixelfed_web'])
      expect([host, reach('mastodon_web', host)]).toEqual([host, false]);
  });

  test('one broken: the others are proven', async () => {
    docker('stop', `${site.name}-pixelfed_db-1`, `${site.name}-pixelfed_web-1`);
    const run = await command('prove');
    expect(run.code).toBe(5);
    expect(open(run)).toMatchObject({ snac: [], mastodon: [] });
    expect(open(run)['pixelfed']?.length).toBeGreaterThan(0);
    expect(open(await command('apply'))).toEqual({ snac: [], mastodon: [], pixelfed: [] });
  });

  test('Pixelfed is removed: its data stay, the others keep their containers', async () => {
    const before = { ...own('mastodon'), ...own('snac') };
    const run = await command('remove', 'pixelfed', '--confirm', 'pixelfed');
    expect(run.code).toBe(0);
    expect(own('pixelfed')).toEqual({});
    expect({ ...own('mastodon'), ...own('snac') }).toEqual(before);
    expect(docker('volume', 'ls', '--quiet')).toContain(`${site.name}_pixelfed_db`);
  });
});
