/** What `status` sees: containers, figures that do not answer, readings of `maintain`, the exit code. The engine is a small model. */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { configOf } from '../../../wizard/answers/config.ts';
import { appOf } from '../../../wizard/apps/index.ts';
import type { App, Jobs } from '../../../wizard/apps/app.ts';
import { main } from '../../../wizard/cli/main.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Container, Engine, Output } from '../../../wizard/docker/engine.ts';
import { memoryIn } from '../../../wizard/docker/docker.ts';
import { keepLast, readLast } from '../../../wizard/last-reading.ts';
import { sizesIn } from '../../../wizard/maintain/clean-up.ts';
import { waited } from '../../../wizard/time.ts';
import { earlier, look, partsOf } from '../../../wizard/status/look.ts';
import { askPeople, peopleIn } from '../../../wizard/status/people.ts';
import { listServices, verdictOf } from '../../../wizard/status/services.ts';
import type { SiteState } from '../../../wizard/status/state.ts';
import { canForecast } from '../../../wizard/disk-record.ts';
import { INFO } from '../../support/checks.ts';
import { OK, fakeContainer } from '../../support/fake-engine.ts';
import { captureOutput } from '../../support/output.ts';
import { tempFolder, writeTree } from '../../support/temp.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const never = new Promise<never>(() => undefined);

let containers: Container[] = [];
let exec: (id: string) => Promise<Output> = () => Promise.resolve(OK);
let memory: (id: string) => Promise<number | undefined> = () => Promise.resolve(50 * 1024 ** 2);
let folder = '';

const engine = {
  info: () => Promise.resolve(INFO),
  listed: () => Promise.resolve([]),
  containers: () => Promise.resolve(containers),
  image: (reference: string) => Promise.resolve({ id: reference, digests: [], bytes: 1000 }),
  memoryOf: (id: string) => memory(id),
  exec: (id: string) => exec(id),
} as unknown as Engine;

vi.mock('../../../wizard/docker/docker.ts', async (original) => ({
  ...(await original<object>()),
  connect: () => Promise.resolve(engine),
}));

const output = captureOutput();
const FEDI = `name: fedi
bind: 127.0.0.155
apps:
  mastodon: { domain: m.fedi.test, admin: anna, email: anna@fedi.test }
  snac: { domain: s.fedi.test, admin: anna, email: anna@fedi.test }
tls: { mode: internal }
`;
const CONFIG: Config = configOf({
  name: 'fedi',
  bind: '127.0.0.155',
  apps: 'mastodon,snac',
  'apps.mastodon.domain': 'm.fedi.test',
  'apps.mastodon.admin': 'anna',
  'apps.mastodon.email': 'anna@fedi.test',
  'apps.mastodon.release': 'v4.6.5',
  'apps.snac.domain': 's.fedi.test',
  'apps.snac.admin': 'anna',
  'apps.snac.email': 'anna@fedi.test',
  'tls.mode': 'internal',
  'mail.mode': 'none',
});
const SERVICES = ['caddy', 'mastodon_gate', 'mastodon_valkey', 'mastodon_web', 'mastodon_sidekiq', 'snac'];
const COMPOSE = `services:\n${SERVICES.map((name) => `  ${name}: { restart: ${name === 'mastodon_gate' ? '"no"' : 'always'} }\n`).join('')}`;

beforeEach(() => {
  folder = tempFolder();
  writeTree(folder, {
    'fedi.yaml': FEDI,
    'compose.yaml': COMPOSE,
    '.fedi/manifest.json': JSON.stringify({ version: 1, generation: 1, files: {} }),
  });
  containers = SERVICES.map((name) => fakeContainer(name, name === 'mastodon_gate' ? { state: 'exited', health: undefined } : {})); // prettier-ignore
  exec = () => Promise.resolve(OK);
  memory = () => Promise.resolve(50 * 1024 ** 2);
});

const change = (service: string, more: Partial<Container>): void => {
  containers = containers.map((one) => (one.service === service ? { ...one, ...more } : one));
};
const see = (): Promise<SiteState> =>
  look({ folder, config: CONFIG, engine, info: Promise.resolve(INFO), now: () => NOW, limitMs: 200 });
const run = (...argv: string[]): Promise<number> => main(['status', ...argv, '--dir', folder]);

describe('whether the site runs', () => {
  test('all containers do', async () => {
    const { state, apps, services, memory: used } = await see();
    expect([state, ...apps.map((app) => app.state)]).toEqual(['runs', 'runs', 'runs']);
    expect(services.filter(({ fault, remark }) => fault !== null || remark !== null)).toEqual([]);
    expect(used.site).toBe(5 * 50 * 1024 ** 2);
    expect(await run()).toBe(0);
    expect(output.text).toContain('✔ snac and Mastodon run.');
  });
  test('one is stopped', async () => {
    change('mastodon_sidekiq', { state: 'exited', exitCode: 137, health: undefined });
    expect(await run()).toBe(1);
    expect(output.text).toContain('✖ Mastodon does not run completely; snac runs.');
    expect(output.text).toContain('  ! mastodon_sidekiq has stopped, with exit code 137\n');
  });
  test('one is missing, one is unhealthy, one stops again and again', async () => {
    containers = containers.filter(({ service }) => service !== 'caddy');
    change('snac', { health: 'unhealthy', startedAt: '2026-06-15T11:00:00Z' });
    change('mastodon_web', { state: 'restarting', exitCode: 3 });
    const { services, apps } = await see();
    expect(services.flatMap(({ service, fault }) => (fault === null ? [] : `${service} ${fault}`))).toEqual([
      'caddy does not exist',
      'mastodon_web stops again and again, with exit code 3',
      'snac is unhealthy',
    ]);
    expect(apps.map(({ state }) => state)).toEqual(['fails', 'fails']);
    expect(await run()).toBe(1);
  });
  test('there are no containers', async () => {
    containers = [];
    expect(await run()).toBe(1);
    expect(output.text).toContain('✖ The site does not run.\n');
    expect(output.text).toContain('  ! It has no containers: `fedi-setup apply` starts it.\n');
  });
  test('a restore was interrupted: the Compose file is hidden, and containers may be left', async () => {
    rmSync(join(folder, 'compose.yaml'));
    writeTree(folder, { '.fedi/restore.json': '{}' });
    const { state, apps } = await see();
    expect([state, ...apps.map((app) => app.state)]).toEqual(['down', 'down', 'down']);
    expect(await run()).toBe(1);
    expect(output.text).toContain('  ! A restore was interrupted: run it again.\n');
  });
  test('those that start, and those that wait for them, are no fault', async () => {
    change('mastodon_gate', { state: 'running' });
    change('mastodon_web', { state: 'created', health: undefined });
    change('snac', { health: 'starting' });
    const { state, services } = await see();
    expect([state, services.filter(({ isStarting }) => isStarting).map(({ service }) => service)]).toEqual([
      'starts',
      ['mastodon_gate', 'mastodon_web', 'snac'],
    ]);
    expect(await run()).toBe(0);
  });
  test('a container that was only created, while nothing starts, is one', async () => {
    change('mastodon_web', { state: 'created', health: undefined });
    expect((await see()).state).toBe('fails');
  });
  test('a job whose container was removed is done; a container of the administrator is only listed', async () => {
    containers = containers.filter(({ service }) => service !== 'mastodon_gate');
    containers.push(fakeContainer('my_own', { state: 'exited', exitCode: 1, health: undefined }));
    const { state, services } = await see();
    expect(state).toBe('runs');
    expect(services.map(({ service, seen }) => `${service}: ${seen}`)).toEqual(
      expect.arrayContaining(['mastodon_gate: done (container removed)', 'my_own: exited with code 1']),
    );
  });
  test('a container that restarted often is a remark', async () => {
    change('snac', { restarts: 7 });
    expect(await run()).toBe(0);
    expect(output.text).toContain('  ! snac was restarted 7 times\n');
  });
  test('nothing at all is complete', () => expect(verdictOf([])).toBe('runs'));
});

describe('what does not answer is unknown', () => {
  test('a command in a container that never ends', async () => {
    exec = () => never;
    expect((await see()).apps.map(({ jobs }) => jobs)).toEqual([null, null]);
  });
  test('one that fails, and one that prints something else', async () => {
    exec = (id) => Promise.resolve(id === 'snac' ? { ...OK, code: 1 } : { ...OK, stdout: 'NOAUTH\n' });
    expect((await see()).apps.map(({ jobs }) => jobs)).toEqual([null, null]);
  });
  test('memory of one container: the sum is unknown, not too small', async () => {
    memory = (id) => (id === 'snac' ? never : Promise.resolve(1));
    expect((await see()).memory.site).toBeNull();
    memory = () => Promise.reject(new Error('no'));
    expect((await see()).memory.site).toBeNull();
  });
  test('certificates, people and versions without an answer', async () => {
    const { certificates, apps } = await see();
    expect(certificates).toEqual([
      { name: 'm.fedi.test', to: null, issuer: null },
      { name: 's.fedi.test', to: null, issuer: null },
    ]);
    expect(apps.map(({ people, version }) => [people, version])).toEqual([
      [null, 'v4.6.5'],
      [null, null],
    ]);
  });
});

test('without an answer, people and version are those of the last reading, with its time', async () => {
  const at = '2026-06-15T10:00:00.000Z';
  await keepLast(folder, {
    people: { snac: { accounts: 3, active: undefined, posts: 9, version: '2.96', at } },
  });
  expect((await see()).apps.map(({ people, version }) => [people, version])).toEqual([
    [null, 'v4.6.5'],
    [{ accounts: 3, active: null, posts: 9, at }, '2.96'],
  ]);
});

test('what maintain found and status does not look at now is shown with its time', async () => {
  const at = '2026-06-15T10:00:00.000Z';
  const found = ['check data', 'check disk', 'check backups', 'backup', 'verify'].map((key) => ({ key, text: `About ${key}.` })); // prettier-ignore
  await keepLast(folder, { problems: { at, found } });
  expect(earlier((await readLast(folder)).problems, ['disk', 'backups'])).toEqual([
    { what: 'About check data.', next: '', at },
    { what: 'About verify.', next: '', at },
  ]);
  expect((await see()).advice.map(({ what }) => what)).toContain('About verify.');
});

test('the last reading is bounded, and only the owner may read it', async () => {
  const many = Array.from({ length: 500 }, (_, i) => ({ key: `k${i}`, text: 'x'.repeat(5000) }));
  await keepLast(folder, { problems: { at: 'T', found: many } });
  const path = join(folder, '.fedi/reading.json');
  expect(readFileSync(path).length).toBeLessThan(60_000);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeTree(folder, { '.fedi/reading.json': '{"people":' });
  expect(await readLast(folder)).toEqual({});
});

describe('events and flags', () => {
  test('--json: one event, with null for what is unknown, and control characters escaped', async () => {
    const at = '2026-06-15T10:00:00.000Z';
    await keepLast(folder, { problems: { at, found: [{ key: 'verify', text: 'bad \u001b[2J' }] } });
    exec = () => never;
    expect(await run('--json')).toBe(0);
    const lines = output.text.trim().split('\n');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^\{"event":"status",/);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      event: 'status',
      folder,
      site: 'fedi',
      runs: true,
      state: 'runs',
      proven: false,
      receipt: null,
      maintained: null,
      memory: { site: 5 * 50 * 1024 ** 2 },
      apps: [
        { id: 'snac', jobs: null },
        { id: 'mastodon', jobs: null, people: null },
      ],
    });
    expect(output.text).not.toContain('\u001b');
    output.clear();
    await run();
    expect(output.text).toContain('bad \\x1b[2J');
  });
  test.each([[[]], [['--json']]])('--watch without a terminal is refused: %o', async (more) => {
    expect(await run('--watch', ...more)).toBe(2);
  });
  test('--all lists the containers', async () => {
    expect(await run('--all')).toBe(0);
    expect(output.text).toMatch(/^Containers\n {2}caddy +running \(healthy\)$/m);
  });
});

describe('jobs', () => {
  const mastodon = (appOf('mastodon') as App).jobs?.(CONFIG.apps.find(({ id }) => id === 'mastodon')!.options) as Jobs; // prettier-ignore
  const snac = (appOf('snac') as App).jobs?.({ app: 'snac' }) as Jobs;
  const seconds = (ago: number): number => NOW.getTime() / 1000 - ago;

  test('of Sidekiq: each queue with its oldest job, later and dead jobs', () => {
    const commands = mastodon.look.stdin?.trim().split('\n') ?? [];
    expect(commands.slice(0, 2)).toEqual(['llen queue:default', 'lindex queue:default -1']);
    const replies: Record<string, string> = {
      'llen queue:default': '3',
      'lindex queue:default -1': JSON.stringify({ class: 'X', enqueued_at: seconds(12.5) }),
      'llen queue:push': '2',
      // From Sidekiq 8 on, in milliseconds.
      'lindex queue:push -1': JSON.stringify({ enqueued_at: seconds(60) * 1000 }),
      'zcard retry': '4',
      'zcard dead': '5',
    };
    const stdout = commands.map((line) => `${replies[line] ?? (line.startsWith('lindex') ? '' : '0')}\n`).join(''); // prettier-ignore
    expect(mastodon.parse(stdout, NOW)).toMatchObject({
      waiting: 5,
      oldest: NOW.getTime() - 60_000,
      later: 4,
      failed: 5,
      queues: { default: 3, push: 2, mailers: 0 },
    });
    expect(() => mastodon.parse(stdout.split('\n').slice(1).join('\n'), NOW)).toThrow('lines');
    expect(() => mastodon.parse(stdout.replace('3', 'WRONGTYPE'), NOW)).toThrow('not a number');
  });

  test('the state has their age, and queues without jobs are left out', async () => {
    const commands = mastodon.look.stdin?.trim().split('\n') ?? [];
    const stdout = commands.map((line) => (line === 'llen queue:pull' ? '1\n' : line === 'lindex queue:pull -1' ? `{"enqueued_at":${seconds(400)}}\n` : line.startsWith('lindex') ? '\n' : '0\n')).join(''); // prettier-ignore
    exec = (id) => Promise.resolve({ ...OK, stdout: id === 'mastodon_valkey' ? stdout : '' });
    const { apps, advice } = await see();
    expect(apps.find(({ id }) => id === 'mastodon')?.jobs).toEqual({
      waiting: 1,
      oldestSeconds: 400,
      later: 0,
      failed: 0,
      queues: { pull: 1 },
    });
    expect(advice.map(({ what }) => what)).toContain(
      'Jobs of Mastodon have waited for too long: 7 min in pull.',
    );
  });

  test('in an external Redis: the same commands, by a client in a container of the app', () => {
    for (const [id, service] of [
      ['mastodon', 'mastodon_web'],
      ['pixelfed', 'pixelfed_web'],
    ]) {
      const jobs = (hasValkey: boolean) =>
        (appOf(id ?? '') as App).jobs?.({ app: id, hasValkey, sidekiq: 'one' } as never);
      expect(jobs(false)).toMatchObject({ service, look: { stdin: jobs(true)?.look.stdin } });
      expect(jobs(false)?.look.argv.join(' ')).toContain('connect_redis');
    }
  });

  test('of snac: a file for each, named by when it is due', () => {
    expect(snac.parse(`${seconds(30)}.000001.json\n`.replace(/(\d+)\.000001/, '$1.000001'), NOW)).toMatchObject({ waiting: 1, oldest: NOW.getTime() - 30_000 + 0.001 }); // prettier-ignore
    expect(snac.parse(`${seconds(-60)}.000000.json\n`, NOW)).toMatchObject({ waiting: 0, oldest: undefined, later: 1 }); // prettier-ignore
    expect(() => snac.parse('other.json\n', NOW)).toThrow('not a time');
  });

  test('of Horizon', () => {
    const pixelfed = (appOf('pixelfed') as App).jobs?.({ app: 'pixelfed', hasValkey: true } as never) as Jobs;
    const commands = pixelfed.look.stdin?.trim().split('\n') ?? [];
    const replies: Record<string, string> = {
      'llen pixelfed-queues:high': '2',
      'lindex pixelfed-queues:high 0': JSON.stringify({ pushedAt: String(seconds(5)) }),
      'zcard pixelfed-queues:feed:delayed': '7',
      'zcard pixelfed-horizon:failed_jobs': '1',
    };
    const stdout = commands.map((line) => `${replies[line] ?? (line.startsWith('lindex') ? '' : '0')}\n`).join(''); // prettier-ignore
    expect(pixelfed.parse(stdout, NOW)).toMatchObject({
      waiting: 2,
      oldest: NOW.getTime() - 5000,
      later: 7,
      failed: 1,
    });
  });
});

describe('NodeInfo', () => {
  test('its figures, and nothing from what is not one', () => {
    const usage = { users: { total: 5, activeMonth: 2 }, localPosts: 7 };
    expect(peopleIn({ software: { version: 'v1.2' }, usage })).toEqual({ accounts: 5, active: 2, posts: 7, version: '1.2' }); // prettier-ignore
    for (const document of [null, 3, [], {}, { usage: { users: { total: -1 }, localPosts: 'x' } }])
      expect(peopleIn(document)).toEqual({ accounts: undefined, active: undefined, posts: undefined, version: undefined }); // prettier-ignore
  });
  test('only a document of the same site is asked', async () => {
    const asked: string[] = [];
    const http = (href: string) => (async (url: string) => {
      asked.push(url);
      const value = url.endsWith('/.well-known/nodeinfo') ? { links: [{ href }] } : { usage: { localPosts: 1 } };
      return { status: 200, json: () => value };
    }) as never; // prettier-ignore
    const app = CONFIG.apps.find(({ id }) => id === 'snac')!;
    expect(await askPeople(http('https://s.fedi.test/nodeinfo_2_0'), app)).toMatchObject({ posts: 1 });
    for (const other of ['https://evil.test/x', 'http://s.fedi.test/x', 'x', ''])
      expect(await askPeople(http(other), app)).toBeUndefined();
    expect(asked.filter((url) => !url.includes('well-known'))).toEqual(['https://s.fedi.test/nodeinfo_2_0']);
  });
});

describe('arithmetic', () => {
  test.each([
    [0, '0 s'],
    [119, '119 s'],
    [120, '2 min'],
    [7199, '120 min'],
    [7200, '2 hours'],
    [400_000, '5 days'],
  ])('%i seconds: %s', (seconds, words) => expect(waited(seconds)).toBe(words));
  test('memory without the page cache, in both forms of cgroups', () => {
    expect(memoryIn({ usage: 100, stats: { inactive_file: 30 } })).toBe(70);
    expect(memoryIn({ usage: 100, stats: { total_inactive_file: 40, inactive_file: 30 } })).toBe(60);
    expect(memoryIn({ usage: 100, stats: { inactive_file: 300 } })).toBe(100);
    expect(memoryIn({})).toBeUndefined();
  });
  test('volumes by what is in them', () => {
    const reading = {
      at: 'T',
      free: {},
      volumes: {
        mastodon_db: 5,
        mastodon_system: 20,
        snac_data: 7,
        caddy_data: 90,
        mastodon_cache: 1,
        'mastodon_db_pg15_2026-01-02': 4,
      },
      cached: { mastodon_system: 12 },
      backups: 6,
    };
    expect(partsOf(CONFIG, reading)).toEqual([
      { what: 'media', bytes: 20, cached: 12 },
      { what: 'data', bytes: 7, cached: null },
      { what: 'backups', bytes: 6, cached: null },
      { what: 'database', bytes: 5, cached: null },
      { what: 'kept database', bytes: 4, cached: null },
      { what: 'other', bytes: 91, cached: null },
    ]);
    expect(partsOf(CONFIG, undefined)).toEqual([]);
  });
  test('sizes from du', () =>
    expect([...sizesIn('4\t/measured/a/cache\n12 /measured/a\nnothing\n')]).toEqual([
      ['/measured/a/cache', 4096],
      ['/measured/a', 12_288],
    ]));
  test('a forecast needs readings over a week', () => {
    const days = (...list: number[]) => list.map((day) => ({ at: new Date(NOW.getTime() - day * 86_400_000).toISOString(), free: {}, volumes: {} })); // prettier-ignore
    expect([[8, 0], [6, 0], [40, 0], []].map((list) => canForecast(days(...list), NOW))).toEqual([true, false, false, false]); // prettier-ignore
  });
  test('services without containers are missing', () =>
    expect(listServices(new Map([['snac', false]]), [], CONFIG, NOW)).toMatchObject([
      { service: 'snac', app: 'snac', seen: 'missing', fault: 'does not exist', container: null },
    ]));
});
