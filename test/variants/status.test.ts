/** `status` of a site with Mastodon and snac: real queues, stopped and paused containers, readings, and --watch. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { App, Jobs } from '../../wizard/apps/app.ts';
import { appOf } from '../../wizard/apps/index.ts';
import { connect } from '../../wizard/docker/docker.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';
import { closeTerminals, terminal } from '../support/terminal.ts';

const PATIENCE_MS = 20 * 60_000;
const site = testSite('stat', 151);
const env = {
  ...site.env,
  ...mastodonAnswers(`m.${site.domain}`),
  FEDI_APPS: 'mastodon,snac',
};
const run = (...argv: string[]): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment() });
const id = (service: string): string => site.containers()[service] ?? 'none';

interface Seen {
  readonly state: string;
  readonly runs: boolean;
  readonly apps: readonly {
    readonly id: string;
    readonly state: string;
    readonly version: string | null;
    readonly people: Readonly<Record<string, unknown>> | null;
    readonly jobs: Readonly<Record<string, unknown>> | null;
  }[];
  readonly memory: { readonly total: number; readonly site: number | null };
  readonly disk: { readonly at: string | null; readonly parts: readonly { readonly what: string }[] };
}

async function see(): Promise<Seen & { readonly code: number; mastodon: Seen['apps'][number] }> {
  const { code, events } = await run('status', '--json');
  const seen = events.find(({ event }) => event === 'status') as unknown as Seen;
  return { ...seen, code, mastodon: seen.apps.find((app) => app.id === 'mastodon')! };
}

afterEach(closeTerminals);
afterAll(() => site.remove());
beforeAll(async () => {
  const first = await site.apply([], { env });
  expect(first.code, first.stderr).toBe(0);
}, PATIENCE_MS);

describe.sequential('status', { timeout: PATIENCE_MS }, () => {
  test('a site that runs: everything is known but what maintain measures', async () => {
    const { stdout, code } = await run('status');
    expect(code, stdout).toBe(0);
    expect(stdout).toMatch(/^✔ .* run\.\n {2}Site test-stat in /);
    const seen = await see();
    expect(seen).toMatchObject({ state: 'runs', runs: true, disk: { at: null, parts: [] } });
    expect(seen.mastodon).toMatchObject({
      state: 'runs',
      version: expect.stringMatching(/^v\d/),
      people: { accounts: 1, at: null },
      jobs: { waiting: 0, failed: 0 },
    });
    expect(seen.apps.find((app) => app.id === 'snac')).toMatchObject({
      version: expect.stringMatching(/^\d/),
      people: { accounts: 1, at: null },
      jobs: { waiting: expect.any(Number) as number },
    });
    expect(seen.memory.site).toBeGreaterThan(20 * 1024 ** 2);
    expect(seen.memory.site).toBeLessThan(seen.memory.total);
    const certificates = stdout.split('\n').find((line) => line.startsWith('Certificates'));
    expect(certificates).toMatch(/2 served, the first expires in \d+ (?:hours|days)/);
  });

  test('the workers are stopped: exit code 1, and three jobs wait, with their age', async () => {
    docker('stop', id('mastodon_sidekiq'));
    docker(
      ...`exec ${id('mastodon_web')} bundle exec rails runner`.split(' '),
      '3.times { PostProcessMediaWorker.perform_async(0) }',
    );
    const { stdout, code } = await run('status');
    expect(code, stdout).toBe(1);
    expect(stdout).toContain('✖ Mastodon does not run completely; snac runs.\n');
    expect(stdout).toMatch(/^ {2}! mastodon_sidekiq has stopped, with exit code \d+$/m);
    expect(stdout).toMatch(/^ {2}jobs +3 wait, the oldest for \d+ (?:s|min), in default 3$/m);
    const { mastodon, runs } = await see();
    expect(runs).toBe(false);
    expect(mastodon.jobs).toMatchObject({ waiting: 3, queues: { default: 3 } });
    expect(mastodon.jobs?.['oldestSeconds']).toBeGreaterThanOrEqual(0);
  });

  test('an external Redis is asked in the same words, by a client in the app’s container', async () => {
    const jobsWith = (hasValkey: boolean): Jobs =>
      (appOf('mastodon') as App).jobs?.({ app: 'mastodon', hasValkey, sidekiq: 'one' } as never) as Jobs;
    const engine = await connect();
    const seen = await Promise.all(
      [true, false].map(async (hasValkey) => {
        const { service, look, parse } = jobsWith(hasValkey);
        const { code, stdout, stderr } = await engine.exec(id(service), look);
        expect(code, stderr).toBe(0);
        return parse(stdout, new Date());
      }),
    );
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[1]).toMatchObject({ waiting: 3, queues: { default: 3 } });
  });

  test('jobs that failed for good, and those that are due later', async () => {
    const add = (key: string): string =>
      docker('exec', id('mastodon_valkey'), 'sh', '-c', `REDISCLI_AUTH="$VALKEY_PASSWORD" valkey-cli zadd ${key} 1 a 2 b`); // prettier-ignore
    add('dead');
    add('retry');
    expect((await run('status')).stdout).toContain('; 2 due later; 2 failed\n');
  });

  test('a server that hangs: its figures are unknown, and the command ends', async () => {
    const signal = (name: string): string =>
      docker('exec', id('mastodon_valkey'), 'sh', '-c', `for one in /proc/[0-9]*; do if [ "$(cat "$one/comm")" = valkey-server ]; then kill -${name} "\${one#/proc/}"; fi; done`); // prettier-ignore
    signal('STOP');
    const seen = await see();
    expect([seen.code, seen.mastodon.jobs]).toEqual([1, null]);
    signal('CONT');
    expect((await see()).mastodon.jobs).toMatchObject({ waiting: 3 });
  });

  test('what maintain measured is shown with its age, people too while the app is down', async () => {
    await run('maintain');
    const { disk } = await see();
    expect(disk.at).not.toBeNull();
    expect(disk.parts.map(({ what }) => what)).toEqual(
      expect.arrayContaining(['database', 'media', 'data', 'other']),
    );
    docker('stop', id('mastodon_web'));
    const { mastodon } = await see();
    expect(mastodon.people).toMatchObject({ accounts: 1, at: expect.any(String) as string });
    docker('start', id('mastodon_web'));
  });

  test('--watch: draws what changes, ends by Ctrl-C, and restores the screen', async () => {
    const watched = terminal(['status', '--watch', '--dir', site.folder], { env: environment(), rows: 50 });
    await watched.until('mastodon_sidekiq has stopped');
    docker('start', id('mastodon_sidekiq'));
    await watched.until(() => !watched.screen().includes('has stopped'));
    watched.key('ctrl-c');
    expect(await watched.exit).toMatchObject({ code: 130 });
    expect(watched.raw()).toContain('\u001b[?1049h');
    expect(watched.raw().trimEnd().endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
  });

  test('all of it runs again, and the jobs are done', async () => {
    await expect.poll(async () => (await see()).mastodon.jobs?.['waiting'], { timeout: 60_000 }).toBe(0);
    await expect.poll(async () => (await see()).code, { timeout: 60_000 }).toBe(0);
  });

  test('no containers', async () => {
    expect((await run('uninstall', '--confirm', site.name)).code).toBe(0);
    const { stdout, code } = await run('status');
    expect([code, stdout]).toEqual([1, expect.stringContaining('✖ The site does not run.')]); // prettier-ignore
  });
});
