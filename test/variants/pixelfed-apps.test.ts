/** Mastodon, Pixelfed and snac behind one Caddy: each is proven, isolated from the others, added and removed. */
import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { composeUp, docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';
import { expectTimeoutsAreHarmless } from '../support/timeouts.ts';

const PATIENCE_MS = 30 * 60_000;

const site = testSite('three', 91, 'snac.fedi.test');
const { FEDI_APPS: _mastodon, ...mastodon } = mastodonAnswers('social.fedi.test');
const { FEDI_APPS: _pixelfed, ...pixelfed } = pixelfedAnswers('pix.fedi.test');
const env: NodeJS.ProcessEnv = { ...site.env, ...mastodon, ...pixelfed, FEDI_MAIL_MODE: 'catcher' };
delete env['FEDI_APPS'];
afterAll(() => site.remove());

const command = (...words: string[]): Promise<Run> =>
  tool([...words, '--dir', site.folder, '--json'], { env });
/** App → failed proofs of its receipt. */
const open = (run: Run): Record<string, unknown[]> => {
  const apps: Record<string, unknown[]> = {};
  for (const { event, app, id, ok, seen } of run.events)
    if (event === 'proof') (apps[String(app)] ??= []).push(...(ok === true ? [] : [[id, seen]]));
  return apps;
};
const own = (prefix: string): Record<string, string> =>
  Object.fromEntries(Object.entries(site.containers()).filter(([name]) => name.startsWith(prefix)));

/** SIGKILL at an event. */
const killedAt = (when: (event: Run['events'][number]) => boolean, ...words: string[]): Promise<Run> =>
  tool([...words, '--dir', site.folder, '--json'], {
    env,
    onEvent: (event, child) => void (when(event) && child.kill('SIGKILL')),
  });
const ALL = { snac: [], mastodon: [], pixelfed: [] };
const keepsContainers = async (work: () => Promise<unknown>): Promise<void> => {
  const others = (): Record<string, string> => ({ ...own('mastodon'), ...own('snac') });
  const before = others();
  await work();
  expect(others()).toEqual(before);
};

describe.sequential('three apps on one host', { timeout: PATIENCE_MS }, () => {
  test.each([
    ['one domain for two of them', ['--pixelfed-domain', 'social.fedi.test'], 'Each needs its own'],
    ['pages where another’s handles are', ['--mastodon-web-domain', 'pix.fedi.test'], 'Each needs its own'],
    [
      'a web domain that is another app’s domain, in capitals',
      ['--mastodon-web-domain', 'PIX.fedi.test'],
      'Each needs its own',
    ],
  ])('refuses %s', async (_, words, expected) => {
    const run = await tool(['apply', '--dir', site.folder, '--apps', 'mastodon,pixelfed', ...words], { env });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(expected);
    expect(site.containers()).toEqual({});
  });

  test('all three at once: three receipts, three passwords, and the addresses of the peers', async () => {
    const run = await command('apply', '--apps', 'snac,mastodon,pixelfed');
    expect(run.stderr).toBe('');
    expect(open(run)).toEqual(ALL);
    expect(run.code).toBe(0);
    expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual([
      'snac',
      'mastodon',
      'pixelfed',
    ]);
    for (const app of ['snac', 'mastodon', 'pixelfed'])
      expect(run.events.find((one) => one['id'] === 'neighbours' && one['app'] === app)).toMatchObject({
        ok: true,
      });
  });

  test('all three at once: nothing to do', async () => {
    const before = site.containers();
    expect((await command('apply')).events.map(({ event }) => event)).toEqual(['begin', 'unchanged', 'end']);
    expect(site.containers()).toEqual(before);
  });

  test('databases, queues and servers cannot reach each other', () => {
    const reach = (from: string, host: string): boolean => {
      try {
        docker('exec', site.containers()[from] ?? 'none', 'getent', 'hosts', host);
        return true;
      } catch {
        return false;
      }
    };
    expect(reach('pixelfed_web', 'pixelfed_db')).toBe(true);
    for (const [from, others] of [
      ['pixelfed_web', ['mastodon_db', 'mastodon_valkey', 'mastodon_web', 'mastodon_sidekiq', 'snac']],
      ['mastodon_sidekiq', ['pixelfed_db', 'pixelfed_valkey', 'pixelfed_web', 'pixelfed_horizon', 'snac']],
      ['snac', ['pixelfed_web', 'pixelfed_horizon', 'mastodon_web', 'mastodon_sidekiq']],
    ] as const)
      for (const host of others) expect([from, host, reach(from, host)]).toEqual([from, host, false]);
    for (const from of ['pixelfed_horizon', 'mastodon_sidekiq', 'snac'])
      expect(reach(from, 'mail')).toBe(true);
  });

  test.each([
    ['pixelfed', ['pixelfed_db', 'pixelfed_web']],
    ['mastodon', ['mastodon_db']],
    ['snac', ['snac']],
  ] as const)('%s is broken: the others are proven, and it recovers', async (app, services) => {
    docker('stop', ...services.map((service) => `${site.name}-${service}-1`));
    const run = await command('prove');
    expect(run.code).toBe(5);
    expect(open(run)).toMatchObject({ ...ALL, [app]: expect.arrayContaining([expect.anything()]) });
    expect(open(await command('apply'))).toEqual(ALL);
  });

  test('`docker compose` works without fedi-setup', async () => {
    execFileSync('docker', ['compose', 'down', '--timeout', '20'], { cwd: site.folder, stdio: 'ignore' });
    expect(site.containers()).toEqual({});
    await composeUp(site);
    const run = await command('prove');
    expect(open(run)).toEqual(ALL);
    expect(run.code).toBe(0);
  });

  test('removes Pixelfed, with a kill in between: its data stay, the others keep their containers', () =>
    keepsContainers(async () => {
      const words = ['remove', 'pixelfed', '--confirm', 'pixelfed'];
      const killed = await killedAt(
        ({ event, id, state }) => event === 'step' && id === 'up' && state === 'start',
        ...words,
      );
      expect(killed.signal).toBe('SIGKILL');
      const run = await command(...words);
      expect(run.code, run.stderr).toBe(0);
      expect(own('pixelfed')).toEqual({});
      expect(docker('volume', 'ls', '--quiet')).toContain(`${site.name}_pixelfed_db`);
      expect(open(run)).toEqual({ snac: [], mastodon: [] });
    }));

  test('adds it again, with a kill in between: the same server', () =>
    keepsContainers(async () => {
      const killed = await killedAt(
        ({ event, id, state }) => event === 'step' && id === 'up' && state === 'start',
        'add',
        'pixelfed',
      );
      expect(killed.signal).toBe('SIGKILL');
      const run = await command('add', 'pixelfed');
      expect(run.code, run.stderr).toBe(0);
      expect(open(run)).toEqual(ALL);
      // The account is the earlier one: none is created, no password is shown.
      expect(run.events.filter(({ event, id }) => event === 'act' && id === 'pixelfed.admin')).toEqual([]);
      expect(run.events.filter(({ event }) => event === 'admin')).toEqual([]);
      expect((await command('add', 'pixelfed')).stderr).toContain('This site already runs Pixelfed.');
    }));

  test('removes it, and its data later', () =>
    keepsContainers(async () => {
      expect((await command('remove', 'pixelfed', '--confirm', 'pixelfed')).code).toBe(0);
      const run = await command('remove', 'pixelfed', '--data', '--confirm', 'pixelfed');
      expect(run.code, run.stderr).toBe(0);
      expect(docker('volume', 'ls', '--quiet')).not.toContain(`${site.name}_pixelfed`);
      const again = await command('remove', 'pixelfed', '--confirm', 'pixelfed');
      expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('snac')]);
    }));

  test('adds it as new: proven with its password', () =>
    keepsContainers(async () => {
      const run = await command('add', 'pixelfed');
      expect(run.stderr).toBe('');
      expect(open(run)).toEqual(ALL);
      expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual(['pixelfed']);
      const login = run.events.find(
        ({ event, app, id }) => event === 'proof' && app === 'pixelfed' && id === 'login',
      );
      expect(login?.['title']).toContain('as in a browser');
    }));

  test('a health check ended by Docker does no harm in any service', async () => {
    await expectTimeoutsAreHarmless(site);
  });
});
