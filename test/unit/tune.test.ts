/** `doctor --tune`: which change it proposes for which figures, and how it reads what containers print. */
import { describe, expect, test } from 'vitest';
import { decide } from '../../wizard/tune/decide.ts';
import type { AppFigures, ContainerFigures, Figures } from '../../wizard/tune/figures.ts';
import {
  containerFigures,
  databaseFigures,
  parsePrinted,
  sidekiqIn,
  valkeyFigures,
} from '../../wizard/tune/read.ts';

const MIB = 1024 ** 2;
const WEB: ContainerFigures = {
  service: 'mastodon_web',
  memory: 600 * MIB,
  limit: 1536 * MIB,
  kills: 0,
  cores: 0.5,
  throttled: undefined,
  backlog: { seen: 0, of: 5, most: 0 },
  sidekiq: undefined,
  puma: 2,
  horizon: 0,
};
const WORKER: ContainerFigures = {
  ...WEB,
  service: 'mastodon_sidekiq',
  sidekiq: { busy: 1, threads: 15 },
  puma: 0,
};
const DB = { service: 'mastodon_db', kind: 'PostgreSQL', connections: 40, most: 100, hits: 9_900_000, misses: 100_000 } as const; // prettier-ignore
const VALKEY = { service: 'mastodon_valkey', used: 50 * MIB, most: 512 * MIB, evicted: 0 };
const APP: AppFigures = {
  id: 'mastodon',
  name: 'Mastodon',
  size: '4gb',
  larger: '8gb',
  largerMiB: 7000,
  waiting: 0,
  oldest: undefined,
  containers: [WEB, WORKER],
  databases: [DB],
  valkeys: [VALKEY],
};
const site = (app: Partial<AppFigures> = {}, more: Partial<Figures> = {}): Figures => ({
  memory: 16_384 * MIB,
  available: 8192 * MIB,
  cores: 4,
  pressure: 0.05,
  apps: [{ ...APP, ...app }],
  unseen: [],
  ...more,
});
const LARGER = 'fedi-setup apply --mastodon-size 8gb';
const late = { waiting: 900, oldest: 400 };
const slow = { ...WEB, backlog: { seen: 5, of: 5, most: 12 } };
const busy = { ...WORKER, sidekiq: { busy: 14.8, threads: 15 } };

describe('one change', () => {
  test('none, if all is well', () => expect(decide(site())).toBeUndefined());
  test.each([
    [
      'killed for memory',
      { containers: [{ ...WORKER, kills: 2 }] },
      '2 processes in mastodon_sidekiq',
      LARGER,
    ],
    ['few connections left', { databases: [{ ...DB, connections: 92 }] }, '92 of 100 connections', LARGER],
    ['evicted keys', { valkeys: [{ ...VALKEY, evicted: 7 }] }, 'evicted 7 keys', LARGER],
    ['Valkey nearly full', { valkeys: [{ ...VALKEY, used: 480 * MIB }] }, '480 MB of 512 MB', LARGER],
    ['memory near the limit', { containers: [{ ...WEB, memory: 1500 * MIB }] }, '1.5 GB of 1.5 GB', LARGER],
    ['requests wait', { containers: [slow] }, 'In 5 of 5 samples, up to 12 requests waited', LARGER],
    [
      'late jobs, all threads busy',
      { ...late, containers: [WEB, busy] },
      '14.8 of 15 threads are busy',
      LARGER,
    ],
    ['a small cache', { databases: [{ ...DB, misses: 2_000_000 }] }, 'answered 83 % of', LARGER],
    ['late jobs, free threads', { ...late, containers: [WEB, WORKER] }, 'only 1.0 of 15 threads', ''],
    ['a CPU limit', { containers: [{ ...WEB, throttled: 0.8 }] }, 'in 80 % of all periods', ''],
  ] as const)('%s', (_name, app, because, command) => {
    const proposal = decide(site(app));
    expect(proposal?.because).toContain(because);
    expect(proposal?.command).toBe(command);
  });

  test('busy cores: no larger size', () => {
    for (const app of [{ containers: [slow] }, { ...late, containers: [WEB, busy] }])
      expect(decide(site(app, { pressure: 0.9 }))).toMatchObject({
        change: expect.stringContaining('more processor cores; it has 4') as string,
        command: '',
      });
  });
  test('a host without memory for it', () => {
    expect(decide(site({ containers: [slow] }, { memory: 4096 * MIB }))).toMatchObject({
      change: expect.stringContaining('8gb, needs 6.8 GB, and the host has 4.0 GB') as string,
      command: '',
    });
  });
  test('the largest size', () => {
    const { larger: _l, largerMiB: _m, ...rest } = APP;
    const proposal = decide(
      site({ ...rest, larger: undefined, largerMiB: undefined, valkeys: [{ ...VALKEY, evicted: 1 }] }),
    );
    expect(proposal).toMatchObject({
      command: '',
      change: expect.stringContaining('no larger size') as string,
    });
  });
  test('the worst comes first', () => {
    const app = {
      ...late,
      containers: [slow, { ...WORKER, kills: 1 }],
      databases: [{ ...DB, connections: 99 }],
    };
    expect(decide(site(app))?.because).toContain('out of memory');
    expect(decide(site({ ...app, containers: [slow, WORKER] }))?.because).toContain('99 of 100 connections');
    expect(decide(site({ ...app, containers: [slow, WORKER], databases: [] }))?.because).toContain(
      'requests waited',
    );
  });
  test('what could not be seen proposes nothing', () => {
    const blind = { ...WEB, memory: undefined, limit: undefined, kills: undefined, backlog: undefined };
    expect(decide(site({ containers: [blind], databases: [], valkeys: [], waiting: undefined }, { pressure: undefined }))).toBeUndefined(); // prettier-ignore
  });
  test('a new database has not answered enough', () => {
    expect(decide(site({ databases: [{ ...DB, hits: 1000, misses: 1000 }] }))).toBeUndefined();
  });
});

describe('what containers print', () => {
  const look = (
    at: number,
    ...lines: string[]
  ): { at: number; printed: ReturnType<typeof parsePrinted> } => ({
    at,
    printed: parsePrinted(lines.join('\n')),
  });
  test('a container of cgroup v2, and one of v1', () => {
    const two = [
      look(0, 'memory.limit 1000', 'memory.kills 1', 'cpu.microseconds 1000000', 'listen.0BB8 00000000'),
      look(2000, 'memory.limit 1000', 'memory.kills 1', 'cpu.microseconds 4000000', 'listen.0BB8 0000000A', 'cpu.periods 10', 'cpu.throttled 5', 'title puma', 'title puma'), // prettier-ignore
    ];
    expect(containerFigures('web', two, 500)).toEqual({
      service: 'web',
      memory: 500,
      limit: 1000,
      kills: 1,
      cores: 1.5,
      throttled: 0.5,
      backlog: { seen: 1, of: 2, most: 10 },
      sidekiq: undefined,
      puma: 2,
      horizon: 0,
    });
    const one = [look(0, 'cpu.nanoseconds 0', 'memory.limit 9223372036854771712'), look(1000, 'cpu.nanoseconds 250000000', 'memory.limit 9223372036854771712')]; // prettier-ignore
    expect(containerFigures('web', one, undefined)).toMatchObject({
      cores: 0.25,
      limit: undefined,
      backlog: undefined,
    });
    expect(containerFigures('web', [], 1)).toBeUndefined();
  });
  test('Sidekiq says how many threads are busy', () => {
    expect(sidekiqIn(['sidekiq 7.3.9 mastodon [3 of 25 busy]', 'sidekiq 7.3.9 x [1 of 5 busy] stopping'])).toEqual({ busy: 4, threads: 30 }); // prettier-ignore
    expect(sidekiqIn(['puma'])).toBeUndefined();
  });
  test('servers', () => {
    const postgres = parsePrinted('connections 12\nconnections.most 100\nblocks.hit 900\nblocks.read 100\n');
    expect(databaseFigures('db', 'PostgreSQL', postgres)).toMatchObject({ connections: 12, most: 100, hits: 900, misses: 100 }); // prettier-ignore
    const mariadb = parsePrinted('Innodb_buffer_pool_read_requests\t1000\nInnodb_buffer_pool_reads\t100\nThreads_connected\t5\nmax_connections\t151\n'); // prettier-ignore
    expect(databaseFigures('db', 'MariaDB', mariadb)).toMatchObject({ connections: 5, most: 151, hits: 900, misses: 100 }); // prettier-ignore
    expect(databaseFigures('db', 'MariaDB', postgres)).toBeUndefined();
    const valkey = parsePrinted('used_memory:1000\r\nmaxmemory:2000\r\nevicted_keys:3\r\n');
    expect(valkeyFigures('v', valkey)).toEqual({ service: 'v', used: 1000, most: 2000, evicted: 3 });
    expect(valkeyFigures('v', postgres)).toBeUndefined();
  });
});
