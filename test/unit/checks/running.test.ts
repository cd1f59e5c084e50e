/** The checks of what a running site does: jobs, mail, migrations, what it keeps, and its files. The engine is a small model. */
import { chmodSync, chownSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { App, JobFigures, Jobs } from '../../../wizard/apps/app.ts';
import { appOf } from '../../../wizard/apps/index.ts';
import { configOf } from '../../../wizard/answers/config.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { differencesIn } from '../../../wizard/commands/differences.ts';
import type { CheckContext } from '../../../wizard/checks/check.ts';
import { wrongJobs } from '../../../wizard/checks/jobs.ts';
import { backupsWillNeed, growthOf } from '../../../wizard/checks/retention.ts';
import type { Reading } from '../../../wizard/disk-record.ts';
import type { Engine, Output } from '../../../wizard/docker/engine.ts';
import { CONFIG_LABEL } from '../../../wizard/render/site.ts';
import { contextOf, runCheck } from '../../support/checks.ts';
import { OK, fakeContainer } from '../../support/fake-engine.ts';
import { smtpServer } from '../../support/smtp.ts';
import type { Behaviour } from '../../support/smtp.ts';
import { modeOf, tempFolder, writeTree } from '../../support/temp.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const ago = (seconds: number): number => NOW.getTime() - seconds * 1000;
const ANSWERS: Answers = {
  apps: 'mastodon,pixelfed',
  ...Object.fromEntries(
    ['mastodon', 'pixelfed'].flatMap((id) => [
      [`apps.${id}.domain`, `${id}.example.org`],
      [`apps.${id}.admin`, 'anna'],
      [`apps.${id}.email`, 'anna@example.org'],
    ]),
  ),
};
const CONFIG = configOf({
  'tls.mode': 'acme',
  'mail.mode': 'none',
  name: 'fedi',
  bind: '0.0.0.0',
  ...ANSWERS,
});
const appIn = (id: string) => CONFIG.apps.find((app) => app.id === id)!;
const jobsOf = (id: string): Jobs => (appOf(id) as App).jobs?.(appIn(id).options) as Jobs;

describe('jobs', () => {
  const HOST = 'ed933acb4637';
  const containers = ['mastodon_web', 'mastodon_sidekiq'].map((service) =>
    fakeContainer(service, { id: service === 'mastodon_sidekiq' ? `${HOST}aaaa` : 'b'.repeat(64) }),
  );
  const ALL = ['default', 'push', 'ingress', 'mailers', 'pull', 'scheduler'];
  const worker = (more: object = {}) => ({ process: `${HOST}:8:1`, host: HOST, queues: ALL, isPaused: false, ...more }); // prettier-ignore
  const IDLE: JobFigures = {
    waiting: 0,
    oldest: undefined,
    later: 0,
    failed: 0,
    failedAt: { newest: undefined, hundredth: undefined },
    queues: {},
    oldestIn: {},
    workers: [worker()],
  };
  const wrong = (more: Partial<JobFigures>, present = containers): string[] =>
    wrongJobs(appIn('mastodon'), jobsOf('mastodon'), { ...IDLE, ...more }, present, NOW).map(
      ({ level, what }) => `${level}: ${what}`,
    );
  const rows: [string, Partial<JobFigures>, (string | RegExp)[]][] = [
    ['all well', {}, []],
    ['no worker', { workers: [], waiting: 3 }, ['blocker: No process takes the background jobs of Mastodon; 3 wait.']],
    ['unknown workers', { workers: undefined }, []],
    ['a queue that nobody takes', { workers: [worker({ queues: ['default', 'push', 'ingress', 'mailers', 'scheduler'] })] }, ['blocker: No process takes jobs of Mastodon from the queue pull.']],
    ['a queue of newer versions, empty', { queues: { fasp: 0 } }, []],
    ['a queue of newer versions with jobs', { queues: { fasp: 2 } }, ['blocker: No process takes jobs of Mastodon from the queue fasp (2 wait).']],
    ['paused', { workers: [worker({ isPaused: true })] }, ['warning: A process with background jobs of Mastodon is paused: mastodon_sidekiq.']],
    ['a second scheduler elsewhere', { workers: [worker(), worker({ process: 'vps2:7:3', host: 'vps2' })] }, ['warning: 2 processes take jobs of Mastodon from the queue scheduler: mastodon_sidekiq; vps2:7:3, which no service of this site runs.']],
    ['a second container of the same service', { workers: [worker(), worker({ process: `${HOST}:9:3` })] }, []],
    ['several workers, one scheduler', { workers: [worker(), worker({ process: 'b', queues: ['pull'] })] }, []],
    ['slow', { oldest: ago(7300), oldestIn: { push: ago(301), pull: ago(7300), default: ago(299) } }, ['warning: Jobs of Mastodon have waited for too long: 2 hours in pull, 5 min in push.']],
    ['failed long ago', { failed: 7, failedAt: { newest: ago(90_000), hundredth: undefined } }, []],
    ['failed today', { failed: 7, failedAt: { newest: ago(60), hundredth: undefined } }, ['advice: Jobs of Mastodon failed for good within a day, the last one 60 s ago; 7 are kept.']],
    ['many failed today', { failed: 700, failedAt: { newest: ago(60), hundredth: ago(80_000) } }, ['warning: More than 100 jobs of Mastodon failed for good within a day, the last one 60 s ago; 700 are kept.']],
  ]; // prettier-ignore
  test.each(rows)('%s', (_, more, expected) => expect(wrong(more)).toEqual(expected));
  test('a container that has just started has no worker yet', () => {
    const young = [fakeContainer('mastodon_sidekiq', { startedAt: new Date(ago(20)).toISOString() })];
    expect(wrong({ workers: [] }, young)).toEqual([]);
  });

  /** The output of a look, with a reply to each command; `''` for lists and texts, 0 for numbers. */
  const output = (id: string, replies: Readonly<Record<string, string>>): JobFigures => {
    const { look, parse } = jobsOf(id);
    const lines = (look.stdin ?? '')
      .trim()
      .split('\n')
      .map((line) => {
        const key = Object.keys(replies).find((start) => line.startsWith(start));
        return key === undefined ? (/^(llen|zcard)/.test(line) ? '0' : '') : replies[key];
      });
    return parse(`${lines.join('\n')}\n`, NOW);
  };
  test('the processes of Sidekiq; one that is gone has no description', () => {
    const info = JSON.stringify({ hostname: HOST, queues: ['default', 'push', 'push'] });
    const seen = output('mastodon', { 'sort processes': `${HOST}:8:1\n${info}\nfalse\ngone:1:1\n\n`, 'zrange dead -1 -1': JSON.stringify({ failed_at: ago(500) / 1000, retried_at: ago(9) }) }); // prettier-ignore
    expect(seen.workers).toEqual([worker({ queues: ['default', 'push'] })]);
    expect(seen.failedAt).toEqual({ newest: ago(9), hundredth: undefined });
    expect(output('mastodon', {}).workers).toEqual([]);
    expect(output('mastodon', { 'sort processes': 'NOPERM no permission' }).workers).toBeUndefined();
  });
  test('a job that cannot be read has no time, and the rest is known', () => {
    const seen = output('mastodon', { 'llen queue:push': '2', 'lindex queue:push': 'x', 'zcard dead': '1', 'zrange dead -1 -1': 'null' }); // prettier-ignore
    expect(seen).toMatchObject({ waiting: 2, oldest: undefined, failed: 1, failedAt: { newest: undefined } });
  });
  test('the supervisors of Horizon: those of one master are one process', () => {
    const seen = output('pixelfed', { 'sort pixelfed-horizon:supervisors': 'host-a-x1Y2\nrunning\n{"redis:high,default":2,"redis:feed":0}\nhost-a-x1Y2\npaused\n{"redis:mmo":1}\nold\n\n', 'sort pixelfed-horizon:failed_jobs by nosort limit 0': String(ago(60) / 1000) }); // prettier-ignore
    expect(seen.workers).toEqual([
      { process: 'host-a-x1Y2', host: 'host-a', queues: ['high', 'default'], isPaused: false },
      { process: 'host-a-x1Y2', host: 'host-a', queues: ['mmo'], isPaused: true },
    ]);
    expect(seen.failedAt.newest).toBe(ago(60));
  });
  test('what cannot be counted is said', async () => {
    const engine = {
      containers: async () => [fakeContainer('mastodon_valkey')],
      exec: async () => ({ code: 124, stdout: '', stderr: '' }),
    };
    const looked = await runCheck(
      'jobs',
      contextOf({ ...ANSWERS, apps: 'mastodon' }, { exists: true, engine }),
    );
    expect(looked).toMatchObject({ seen: 'Mastodon: not checked', found: [{ level: 'warning', what: 'The background jobs of Mastodon could not be counted: no answer in time.' }] }); // prettier-ignore
    const away = contextOf(ANSWERS, { exists: true, engine: { containers: async () => [] } });
    expect(await runCheck('jobs', away)).toEqual({
      seen: 'Mastodon: not checked, since mastodon_valkey is not running; Pixelfed: not checked, since pixelfed_valkey is not running',
      found: [],
    });
  });
});

describe('migrations', () => {
  const context = (done: Output, more: Partial<Engine> = {}): CheckContext =>
    contextOf(
      { ...ANSWERS, apps: 'pixelfed' },
      {
        exists: true,
        images: { pixelfed: 'pixelfed:1' },
        engine: {
          containers: async () => [fakeContainer('pixelfed_web')],
          run: async () => ({ ...OK, stdout: '2020_01_01_a.php\n2021_01_01_b.php\n' }),
          exec: async () => done,
          ...more,
        },
      },
    );
  test('all there, one missing, and a database that does not answer', async () => {
    const all = await runCheck('migrations', context({ ...OK, stdout: '2020_01_01_a\n2021_01_01_b\n' }));
    expect(all).toEqual({ seen: 'Pixelfed: the database has all', found: [] });
    const calls: string[] = [];
    const compose: Engine['compose'] = async (_, argv) => (calls.push(argv.join(' ')), OK);
    const one = await runCheck('migrations', context({ ...OK, stdout: '2020_01_01_a\n' }, { compose }));
    expect(one?.found).toMatchObject([{ level: 'blocker', what: 'The database of Pixelfed lacks a migration of the installed version: 2021_01_01_b.' }]); // prettier-ignore
    expect(await one?.found[0]?.fix?.()).toBe('pixelfed_gate ran');
    expect(calls).toEqual(['run --rm --no-deps -T pixelfed_gate']);
    const none = await runCheck('migrations', context({ code: 1, stdout: '', stderr: 'refused' }));
    expect(none).toMatchObject({ seen: 'Pixelfed: not checked', found: [{ level: 'warning' }] });
  });
});

describe('mail', () => {
  /** Containers reach a scripted server at 127.0.0.1. */
  const run = async (behaviour: Behaviour, more: Partial<Engine> = {}) => {
    const server = await smtpServer(behaviour);
    const folder = tempFolder();
    writeTree(folder, {
      'secrets.json': JSON.stringify({
        version: 1,
        secrets: { 'mail.password': { class: 'free', value: 'secret' } },
      }),
    });
    try {
      return await runCheck(
        'mail',
        contextOf(
          {
            'mail.mode': 'smtp',
            'mail.host': '127.0.0.1',
            'mail.port': String(server.port),
            'mail.security': 'none',
            'mail.auth': 'plain',
            ...(behaviour.password === undefined ? {} : { 'mail.user': 'anna@fedi.test' }),
          },
          {
            folder,
            exists: true,
            caddy: 'caddy:test',
            engine: {
              containers: async () => [fakeContainer('snac')],
              run: async () => ({
                ...OK,
                stdout: `address 127.0.0.1\nport ${server.port} 0.01 127.0.0.1 \n`,
              }),
              pipe: async () => {
                const stream = connect(server.port, '127.0.0.1');
                return { stream, close: async () => void stream.destroy() };
              },
              ...more,
            },
          },
        ),
      );
    } finally {
      server.close();
    }
  };
  const PLAIN = { offers: ['AUTH PLAIN LOGIN'] };
  test('a server that accepts the log-in, and one without', async () => {
    const withUser = await run({ ...PLAIN, password: 'secret' });
    expect(withUser?.seen).toMatch(/^snac: 127\.0\.0\.1:\d+ accepts the log-in of anna@fedi\.test$/);
    expect(withUser?.found).toEqual([]);
    expect((await run({ offers: [] }))?.seen).toMatch(/ answers$/);
  });
  test('a wrong password, a refusal for now, no connection', async () => {
    const wrong = await run({ ...PLAIN, password: 'other' });
    expect(wrong?.found).toMatchObject([{ level: 'blocker', what: expect.stringMatching(/^Mail cannot be sent\. Log-in: .*535/), next: expect.stringMatching(/`fedi-setup mail test`/) }]); // prettier-ignore
    const later = await run({ greeting: '421 busy' });
    expect(later?.found).toMatchObject([{ level: 'warning', what: expect.stringMatching(/421 busy/) }]);
    const away = await run(
      {},
      { run: async () => ({ ...OK, stdout: 'address 127.0.0.1\nport 1 0  refused\n' }) },
    );
    expect(away?.found).toMatchObject([{ level: 'blocker', what: expect.stringMatching(/Connection: no connection/) }]); // prettier-ignore
  });
  test('an app that does not run is not tried', async () => {
    const none = await run({}, { containers: async () => [] });
    expect(none).toEqual({ seen: 'snac: not checked, since snac is not running', found: [] });
  });
});

describe('what is kept', () => {
  const reading = (daysAgo: number, more: Partial<Reading>): Reading => ({ at: new Date(ago(daysAgo * 86_400)).toISOString(), free: { '/': 100 }, volumes: {}, ...more }); // prettier-ignore
  const GIB = 1024 ** 3;
  test('growth needs readings of a week, and counts the last 30 days', () => {
    const size = ({ backups }: Reading): number | undefined => backups;
    const readings = [reading(50, { backups: 5 }), reading(20, { backups: 10 }), reading(10, {}), reading(0, { backups: 30 })]; // prettier-ignore
    expect(growthOf(readings, size, NOW)).toEqual({ bytes: 20, days: 20, last: 30 });
    expect(growthOf(readings.slice(3), size, NOW)).toBeUndefined();
    expect(growthOf([], size, NOW)).toBeUndefined();
  });
  test('backups grow until the oldest are removed', () => {
    const keep = { keep: { daily: 7, weekly: 4, monthly: 6 } };
    const readings = [reading(20, { backups: 100 }), reading(0, { backups: 300 })];
    const since = (days: number): string => new Date(ago(days * 86_400)).toISOString();
    expect(backupsWillNeed(keep, readings, since(80), NOW)).toBe(1000);
    expect(backupsWillNeed(keep, readings, since(200), NOW)).toBeUndefined();
    expect(backupsWillNeed(keep, readings.toReversed().map((one, i) => ({ ...one, at: readings[i]?.at ?? '' })), since(80), NOW)).toBeUndefined(); // prettier-ignore
  });
  test('copies without a clean-up, and backups that will not fit', async () => {
    const folder = tempFolder();
    const readings = [20, 0].map((days) => reading(days, { free: { '/': 5 * GIB }, cached: { a: (30 - days) * GIB }, backups: (30 - days) * GIB })); // prettier-ignore
    writeTree(folder, {
      '.fedi/metrics': readings.map((one) => `${JSON.stringify(one)}\n`).join(''),
      '.fedi/backups.json': JSON.stringify({ repositories: { '/mnt/a': { id: 'a', sameDisk: true, first: readings[0]?.at } } }), // prettier-ignore
    });
    const look = (more: Answers) => runCheck('retention', contextOf(more, { folder, now: () => NOW }));
    expect((await look({}))?.found).toEqual([]);
    expect(
      (await look({ 'cleanup.every': 0, 'backup.to': '/mnt/a' }))?.found.map(({ what }) => what),
    ).toEqual([
      'Copies of remote media grew by 20.0 GB in 20 days, to 30.0 GB, and no clean-up is scheduled.',
      'The backups on this disk will grow by 160.0 GB before the oldest are removed; only 5.0 GB is free.',
    ]);
    expect(
      (await look({ 'cleanup.every': 7, 'backup.to': '/mnt/a', 'backup.keep': '7/0/0' }))?.found,
    ).toEqual([]);
  });
});

describe('the site directory', () => {
  test('secrets that others can read, and files of another owner; the fixes', async () => {
    const folder = tempFolder();
    writeTree(folder, { 'secrets.json': '{}', 'env/a.env': 'A=1', 'env/b.env': 'B=1', '.fedi/x': '', 'compose.yaml': '' }); // prettier-ignore
    for (const [path, mode] of [['secrets.json', 0o600], ['env', 0o700], ['.fedi', 0o700], ['env/a.env', 0o600], ['env/b.env', 0o644]] as const) chmodSync(join(folder, path), mode); // prettier-ignore
    const look = () => runCheck('files', contextOf({}, { folder }));
    const open = await look();
    expect(open?.found.map(({ what }) => what)).toEqual([
      'Other users of this host can read secrets: env/b.env.',
    ]);
    expect(await open?.found[0]?.fix?.()).toBe('readable only by their owner: env/b.env');
    expect([modeOf(join(folder, 'env/b.env')), (await look())?.found]).toEqual([0o600, []]);
    if (process.getuid?.() !== 0) return;
    chownSync(join(folder, '.fedi/x'), 12_345, 12_345);
    const foreign = await look();
    expect(foreign?.found.map(({ what }) => what)).toEqual([`Files in ${folder} belong to user 12345, the directory to user 0: .fedi/x.`]); // prettier-ignore
    await foreign?.found[0]?.fix?.();
    expect([statSync(join(folder, '.fedi/x')).uid, (await look())?.found]).toEqual([0, []]);
  });
});

describe('the kernel', () => {
  const values: Record<string, number> = { 'vm.overcommit_memory': 1, 'net.core.rmem_max': 7_500_000, 'net.core.wmem_max': 7_500_000 }; // prettier-ignore
  const look = (more: Record<string, number>, answers: Answers = ANSWERS, info = {}) =>
    runCheck('kernel', contextOf(answers, { exists: true, info, host: { sysctl: async (name) => ({ ...values, ...more })[name] } })); // prettier-ignore
  test('advice only where it applies', async () => {
    expect((await look({}))?.found).toEqual([]);
    const memory = await look({ 'vm.overcommit_memory': 0 });
    expect(memory?.found).toMatchObject([{ level: 'advice', what: 'vm.overcommit_memory is 0; Valkey recommends 1.' }]); // prettier-ignore
    expect(memory?.found[0]?.next).toContain("printf 'vm.overcommit_memory = 1\\n' >>/etc/sysctl.d/60-fedi.conf"); // prettier-ignore
    const buffers = { 'net.core.rmem_max': 212_992 };
    expect((await look(buffers))?.found).toMatchObject([{ level: 'advice', what: 'UDP buffers are limited to 212992 bytes (net.core.rmem_max); HTTP/3 works best with 7500000.' }]); // prettier-ignore
    const bad = { 'vm.overcommit_memory': 0, ...buffers };
    expect((await look(bad, { ...ANSWERS, 'tls.mode': 'proxy', 'tls.port': 8080, bind: '127.0.0.1' }))?.found).toHaveLength(1); // prettier-ignore
    expect((await look(bad, {}))?.found).toHaveLength(1);
    expect(await look(bad, ANSWERS, { system: 'Docker Desktop' })).toBeUndefined();
  });
});

describe('answers, files and containers', () => {
  const SAME = { files: [], ownFiles: false, reload: false, images: [], containers: { create: [], recreate: [], remove: [] } }; // prettier-ignore
  const running = ['caddy', 'snac'].map((service) =>
    fakeContainer(service, { labels: { [CONFIG_LABEL]: 'a' } }),
  );
  const labels = { caddy: 'a', snac: 'a' };
  const rows: [string, Parameters<typeof differencesIn>, string[]][] = [
    ['none', [SAME, running, labels, []], []],
    ['a container that is only stopped', [{ ...SAME, containers: { ...SAME.containers, recreate: ['snac'] } }, running, labels, []], []],
    ['other settings, for which the image counts too', [{ ...SAME, containers: { ...SAME.containers, recreate: ['snac'] } }, running, { ...labels, snac: 'b' }, ['snac']], ['Running with other settings than those of the site: snac.']],
    ['another image', [SAME, running, labels, ['snac']], ['Running another image than images.lock.yaml names: snac.']],
    ['files', [{ ...SAME, files: [{ path: 'compose.yaml', kind: 'update', edited: true }, { path: 'env/snac.env', kind: 'update', edited: false }] }, running, labels, []], ['Changed by hand: compose.yaml.', 'Not as fedi.yaml and this version of fedi-setup say: env/snac.env.']],
    ['answers that were not applied: containers follow from that', [{ ...SAME, files: [{ path: 'env/snac.env', kind: 'update', edited: false }], containers: { ...SAME.containers, recreate: ['snac'] } }, running, { ...labels, snac: 'b' }, []], ['Not as fedi.yaml and this version of fedi-setup say: env/snac.env.']],
    ['an override', [{ ...SAME, ownFiles: true }, running, labels, []], ['A file of yours was changed since the last run: compose.override.yaml, env/….local.env or a file that you kept.']],
    ['a reload that failed', [{ ...SAME, reload: true }, running, labels, []], ['Caddy runs another configuration than that in caddy/Caddyfile.']],
    ['no Caddy', [{ ...SAME, reload: true }, [], labels, []], []],
    ['leftovers, a missing image', [{ ...SAME, containers: { ...SAME.containers, remove: ['mail'] }, images: [{ name: 'mail', reference: 'mail:1', action: 'pull' }] }, running, labels, []], ['Containers that the site no longer has: mail.', 'Images that are not on this host: mail:1.']],
  ]; // prettier-ignore
  test.each(rows)('%s', (_, input, expected) =>
    expect(differencesIn(...input).map(({ what }) => what)).toEqual(expected),
  );
});
