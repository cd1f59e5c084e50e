/**
 * `doctor --tune` on a site with Mastodon and Pixelfed under load: real Puma, Sidekiq, PostgreSQL, MariaDB and Valkey. What runs
 * in them may be a stand-in.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AppFigures, ContainerFigures, Figures } from '../../wizard/tune/figures.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';

const PATIENCE_MS = 20 * 60_000;
const site = testSite('tuntune', 181);
const env = {
  ...site.env,
  ...mastodonAnswers(`m.${site.domain}`),
  ...pixelfedAnswers(`p.${site.domain}`),
  FEDI_APPS: 'mastodon,pixelfed',
};
const id = (service: string): string => site.containers()[service] ?? 'none';

interface Seen extends Figures {
  readonly text: string;
  readonly proposal: { readonly change: string; readonly because: string; readonly command: string } | null;
  app(name: string): AppFigures;
  container(service: string): ContainerFigures;
}

async function see(): Promise<Seen> {
  const run = await tool(['doctor', '--tune', '--json', '--dir', site.folder], { env: environment() });
  expect(run.code, run.stderr).toBe(0);
  const event = run.events.find((one) => one.event === 'tune') as unknown as Seen;
  return {
    ...event,
    app: (name) => event.apps.find((one) => one.id === name)!,
    container: (service) =>
      event.apps.flatMap(({ containers }) => containers).find((one) => one.service === service)!,
  };
}

const inside = (service: string, script: string): string => docker('exec', id(service), 'sh', '-c', script);
/** Processes that hold something until the test ends. */
const holding: ChildProcess[] = [];
const hold = (service: string, script: string): void =>
  void holding.push(spawn('docker', ['exec', '--interactive', id(service), 'sh', '-c', script], { stdio: ['pipe', 'ignore', 'inherit'] })); // prettier-ignore
const postgres = `PGPASSWORD=$POSTGRES_PASSWORD exec psql -h 127.0.0.1 -U "$POSTGRES_USER" -d "$POSTGRES_DB"`;

afterEach(() => {
  for (const one of holding.splice(0)) one.stdin?.end();
});
afterAll(() => site.remove());
beforeAll(async () => {
  const first = await site.apply([], { env });
  expect(first.code, first.stderr).toBe(0);
}, PATIENCE_MS);

describe.sequential('doctor --tune', { timeout: PATIENCE_MS }, () => {
  test('a site without load: its figures, and what cannot be seen', async () => {
    const seen = await see();
    expect(seen.container('mastodon_web')).toMatchObject({
      backlog: { most: 0 },
      puma: expect.any(Number) as number,
    });
    expect(seen.container('mastodon_web').puma).toBeGreaterThan(0);
    expect(seen.container('mastodon_sidekiq').sidekiq).toMatchObject({ threads: 5 });
    for (const one of ['mastodon_web', 'pixelfed_web', 'mastodon_db']) {
      expect(seen.container(one).memory, one).toBeGreaterThan(1024 ** 2);
      expect(seen.container(one).limit, one).toBeGreaterThan(seen.container(one).memory ?? Infinity);
      expect(seen.container(one).cores, one).toBeGreaterThanOrEqual(0);
      expect(seen.container(one).kills, one).toBe(0);
    }
    expect(seen.app('mastodon').databases).toMatchObject([{ kind: 'PostgreSQL', most: 60 }]);
    expect(seen.app('pixelfed').databases).toMatchObject([{ kind: 'MariaDB' }]);
    for (const name of ['mastodon', 'pixelfed']) {
      expect(seen.app(name)).toMatchObject({ size: '2gb', larger: '4gb', waiting: 0 });
      expect(seen.app(name).valkeys[0]?.used).toBeGreaterThan(0);
      expect(seen.app(name).valkeys[0]?.evicted).toBe(0);
      expect(seen.app(name).databases[0]?.hits).toBeGreaterThan(0);
    }
    expect(seen.unseen).toEqual([expect.stringContaining('Busy threads of Puma')]);
    const { stdout } = await tool(['doctor', '--tune', '--dir', site.folder], { env: environment() });
    expect(stdout).toMatch(/^ {2}mastodon_sidekiq: .* of 5 threads busy$/m);
    expect(stdout).toMatch(/^ {2}pixelfed_db: MariaDB, \d+ of \d+ connections/m);
  });

  test('connections of PostgreSQL: nearly all are in use', async () => {
    // 60, of which three are for the superuser.
    hold(
      'mastodon_db',
      `for i in $(seq 52); do (${postgres} -c 'select pg_sleep(600)') & done; cat; kill $(jobs -p)`,
    );
    await expect
      .poll(
        () =>
          Number(
            inside(
              'mastodon_db',
              `${postgres} -qAt -c "select count(*) from pg_stat_activity where backend_type = 'client backend'"`,
            ),
          ),
        { timeout: 60_000 },
      ) // prettier-ignore
      .toBeGreaterThan(54);
    const { proposal } = await see();
    expect(proposal?.because).toMatch(/^5\d|60 of 60 connections of PostgreSQL in mastodon_db/);
    expect(proposal?.command).toBe('fedi-setup apply --mastodon-size 4gb');
    inside('mastodon_db', `${postgres} -qAt -c "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()"`); // prettier-ignore
  });

  test('a full Valkey drops keys', async () => {
    const valkey = `REDISCLI_AUTH="$VALKEY_PASSWORD" valkey-cli`;
    const before = inside('pixelfed_valkey', `${valkey} config get maxmemory | tail -n 1`);
    const policy = inside('pixelfed_valkey', `${valkey} config get maxmemory-policy | tail -n 1`);
    inside('pixelfed_valkey', `${valkey} config set maxmemory-policy allkeys-lru; ${valkey} config set maxmemory 3mb; ${valkey} eval "for i = 1, 3000 do redis.call('set', 'tun' .. i, string.rep('x', 1000)) end" 0`); // prettier-ignore
    const { proposal } = await see();
    expect(proposal?.because).toMatch(/^Valkey in pixelfed_valkey was full and evicted \d+ keys/);
    expect(proposal?.command).toBe('fedi-setup apply --pixelfed-size 4gb');
    inside('pixelfed_valkey', `${valkey} config set maxmemory ${before}; ${valkey} config set maxmemory-policy ${policy}; ${valkey} config resetstat`); // prettier-ignore
  });

  test('requests wait before Puma', async () => {
    // A stopped Puma accepts nothing: its connections wait, as when all of its threads are busy.
    const signal = (name: string): string =>
      inside('mastodon_web', `for one in /proc/[0-9]*; do case $(tr '\\0' ' ' <$one/cmdline) in puma*) kill -${name} \${one#/proc/} ;; esac; done`); // prettier-ignore
    signal('STOP');
    hold(
      'mastodon_web',
      'for i in $(seq 20); do (curl -s -m 60 http://127.0.0.1:3000/health >/dev/null) & done; cat',
    );
    const { proposal, container } = await see();
    signal('CONT');
    expect(container('mastodon_web').backlog?.most).toBeGreaterThan(5);
    expect(proposal?.because).toMatch(
      /^In 5 of 5 samples, up to \d+ requests waited in front of mastodon_web/,
    );
  });

  test('a server that does not answer, and a container that does not run, are named', async () => {
    docker('stop', id('pixelfed_db'));
    const { unseen } = await see();
    docker('start', id('pixelfed_db'));
    expect(unseen).toContain('pixelfed_db does not run.');
  });

  test('--fix does not go with it', async () => {
    expect(
      (await tool(['doctor', '--tune', '--fix', '--dir', site.folder], { env: environment() })).code,
    ).toBe(2);
  });
});
