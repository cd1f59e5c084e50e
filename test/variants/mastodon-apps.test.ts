/** Several apps on one host: one is added, removed or broken; the others are not affected. */
import { afterAll, describe, expect, test } from 'vitest';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

const site = testSite('apps', 80, 'snac.fedi.test');
const DOMAIN = 'social.fedi.test';
const { FEDI_APPS: _, ...mastodon } = mastodonAnswers(DOMAIN);
const env = { ...site.env, ...mastodon };
delete env.FEDI_APPS;
afterAll(() => site.remove());

const command = (...words: string[]): Promise<Run> =>
  tool([...words, '--dir', site.folder, '--json'], { env });
const proven = (run: Run): Record<string, unknown> => {
  const apps: Record<string, unknown> = {};
  for (const { event, app, ok } of run.events)
    if (event === 'proof') apps[String(app)] = apps[String(app)] !== false && ok;
  return apps;
};
const volumes = (): string[] =>
  docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`).split('\n');

describe.sequential('apps on one host', { timeout: PATIENCE_MS }, () => {
  test('adding an app without its domain: exit 2, and nothing changes', async () => {
    expect((await site.apply()).code).toBe(0);
    const [before, yaml] = [site.containers(), site.read('fedi.yaml')];
    const { FEDI_MASTODON_DOMAIN: _domain, ...without } = env;
    const run = await tool(['add', 'mastodon', '--dir', site.folder], { env: without });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--mastodon-domain');
    expect(site.containers()).toEqual(before);
    expect(site.read('fedi.yaml')).toBe(yaml);
  });

  test.each([
    ['a domain that is taken', ['add', 'mastodon', '--mastodon-domain', site.domain], 'Each needs its own'],
    ['an app that exists', ['add', 'snac'], 'already runs snac'],
    ['an unknown app', ['add', 'mastodonn'], 'Did you mean mastodon?'],
    ['removal of the only app', ['remove', 'snac', '--confirm', 'snac'], 'uninstall'],
    [
      'removal of an app that is not installed',
      ['remove', 'mastodon', '--confirm', 'mastodon'],
      'no mastodon to remove',
    ],
  ])('refuses %s with an explanation', async (_title, words, expected) => {
    const run = await command(...words);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(expected);
  });

  test('adding an app: both are proven, the first keeps its container, its password is not shown', async () => {
    const before = site.containers();
    const run = await command('add', 'mastodon');
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    expect(proven(run)).toEqual({ snac: true, mastodon: true });
    expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual(['mastodon']);
    expect(site.containers()['snac']).toBe(before['snac']);
    expect((await site.apply([], { env })).events.map(({ event }) => event)).toEqual([
      'begin',
      'unchanged',
      'end',
    ]);
  });

  test('one is broken: the other keeps running', async () => {
    docker('stop', `${site.name}-mastodon_web-1`);
    const run = await command('prove');
    expect(run.code).toBe(5);
    expect(proven(run)).toEqual({ snac: true, mastodon: false });
    expect((await site.apply([], { env })).code).toBe(0);
  });

  test('removing an app asks for its name', async () => {
    const before = site.containers();
    const run = await command('remove', 'mastodon');
    expect(run.code).toBe(3);
    expect(site.containers()).toEqual(before);
  });

  test('removing an app: the other keeps its container, the data and answers stay', async () => {
    const before = site.containers();
    const run = await command('remove', 'mastodon', '--confirm', 'mastodon');
    expect(run.code).toBe(0);
    expect(proven(run)).toEqual({ snac: true });
    expect(Object.keys(site.containers()).toSorted()).toEqual(['caddy', 'snac']);
    expect(site.containers()['snac']).toBe(before['snac']);
    expect(volumes()).toContain(`${site.name}_mastodon_db`);
    expect(site.read('fedi.yaml')).toContain(`#     domain: ${DOMAIN}`);
  });

  test('added again: the same data, only with the same domain', async () => {
    const other = await command('add', 'mastodon', '--mastodon-domain', 'other.fedi.test');
    expect(other.code).toBe(3);
    expect(other.stderr).toContain(`belong to ${DOMAIN}`);
    const run = await command('add', 'mastodon');
    expect(run.code).toBe(0);
    expect(run.events.some(({ event, id }) => event === 'act' && id === 'mastodon.owner')).toBe(false);
  });

  test('removing an app with its data: only its data are deleted', async () => {
    const run = await command('remove', 'mastodon', '--data', '--confirm', 'mastodon');
    expect(run.code).toBe(0);
    expect(volumes().filter((name) => name.includes('mastodon'))).toEqual([]);
    expect(volumes()).toContain(`${site.name}_snac_data`);
    expect(proven(await command('prove'))).toEqual({ snac: true });
  });

  test('added as new: a new owner, whose password is tested and shown', async () => {
    const run = await command('add', 'mastodon');
    expect(run.code, run.stderr).toBe(0);
    const login = run.events.find(
      ({ event, app, id }) => event === 'proof' && app === 'mastodon' && id === 'login',
    );
    expect(login?.['title']).toContain('as in a browser');
    expect(run.events.filter(({ event }) => event === 'admin').map(({ app }) => app)).toEqual(['mastodon']);
  });
});
