/** Upgrades of Mastodon: patches, migrations, failures that are undone, kills. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { openProofs, sqlIn } from '../support/mastodon-site.ts';
import { appVersions, railsMigration as migration } from '../support/app-versions.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import type { Run, RunOptions } from '../support/site.ts';

const PATIENCE_MS = 30 * 60_000;

const MIGRATIONS = {
  'db/migrate/20260701000000_add_mood.rb': migration(
    'AddMood',
    "add_column :accounts, :mood, :string, default: 'new'",
  ),
  // The code before cannot work without it.
  'db/post_migrate/20260702000000_drop_note.rb': migration('DropNote', 'remove_column :accounts, :note'),
};
const VERSIONS = {
  '4.7.90': {},
  '4.7.91': {},
  '4.7.92': {
    files: {
      ...MIGRATIONS,
      'db/migrate/20260703000000_fails.rb': migration('Fails', "raise 'No space left on device'"),
    },
  },
  '4.7.93': { files: MIGRATIONS, line: 'RUN echo "exit 1" >config/puma.rb' },
  '4.7.94': {
    files: MIGRATIONS,
    line: 'RUN sed -i \'s/name: .mastodon., version/name: "other", version/\' lib/web.rb',
  },
  '4.7.95': { files: MIGRATIONS },
  '4.7.96': {
    files: {
      ...MIGRATIONS,
      'db/migrate/20260703000000_more.rb': migration('More', 'add_column :accounts, :more, :string'),
    },
  },
  '4.7.97': {
    files: {
      ...MIGRATIONS,
      'db/migrate/20260704000000_fails.rb': migration('FailsToo', "raise 'No space left on device'"),
    },
  },
};

const site = testSite('upgrade', 116);
const repository = join(site.folder, '..', 'repository');
let removeVersions = (): void => undefined;

const run = (argv: readonly string[], options: RunOptions = {}): Promise<Run> =>
  tool([...argv, '--dir', site.folder], { env: environment(), ...options });
const upgrade = (to: string, options: RunOptions = {}): Promise<Run> =>
  run(['upgrade', '--to', to, '--json'], options);
const http = () => client(site.bind, site.read('trust/root.crt'));
const status = async (path = '/nodeinfo/2.0'): Promise<number> =>
  (await http()(`https://${site.domain}${path}`)).status;
/** How many requests a visitor sends at least. */
const REQUESTS = 300;
/**
 * Sends a request every tenth of a second while something runs, whether or not the ones before were answered. Prints how many were
 * answered how, or why they were not, and the longest pause: figures for docs/guides/updating.md, which depend on the host.
 */
async function visited<T>(
  what: string,
  work: Promise<T>,
): Promise<{ readonly result: T; readonly codes: Record<string, number> }> {
  let isDone = false;
  void work.finally(() => (isDone = true)).catch(() => undefined);
  const codes: Record<string, number> = {};
  const sent: Promise<void>[] = [];
  let [last, longest, slowest] = [Date.now(), 0, 0];
  for (let n = 0; n < REQUESTS || !isDone; n++) {
    const since = Date.now();
    sent.push(
      status()
        .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
        .then((code) => {
          codes[code] = (codes[code] ?? 0) + 1;
          if (code !== 200) return;
          slowest = Math.max(slowest, Date.now() - since);
          longest = Math.max(longest, since - last);
          last = Math.max(last, since);
        }),
    );
    await delay(100);
  }
  await Promise.all(sent);
  const seconds = (ms: number): string => (ms / 1000).toFixed(1);
  process.stderr.write(
    `${what}: ${JSON.stringify(codes)}, away for ${seconds(longest)} s, slowest answer ${seconds(slowest)} s\n`,
  );
  return { result: await work, codes };
}
const version = async (): Promise<string> =>
  (await http()(`https://${site.domain}/nodeinfo/2.0`)).json<{ software: { version: string } }>().software
    .version;
const columns = (): string =>
  sqlIn(
    site,
    "select string_agg(column_name, ' ' order by column_name) from information_schema.columns where table_name = 'accounts' and column_name in ('mood', 'note')",
  );
/** Rows that an upgrade must keep, and what a proof leaves. */
const rows = (): string =>
  sqlIn(site, "select (select count(*) from accounts), (select count(*) from statuses where text = 'kept')");
const states = (result: Run): unknown[] =>
  result.events.filter(({ event }) => event === 'upgrade').map(({ state }) => state);

beforeAll(async () => {
  removeVersions = appVersions('mastodon', VERSIONS);
  const {
    FEDI_IMAGES_MASTODON: _,
    FEDI_IMAGES_MASTODON_STREAMING: __,
    ...answers
  } = mastodonAnswers(site.domain);
  const first = await site.apply(['--backup-to', repository], {
    env: { ...site.env, ...answers, FEDI_MASTODON_RELEASE: '4.7.90' },
  });
  expect([first.stderr, openProofs(first), first.code]).toEqual(['', [], 0]);
  sqlIn(
    site,
    "insert into statuses (account_id, text, created_at, updated_at) select id, 'kept', now(), now() from accounts where username = 'anna'",
  );
}, PATIENCE_MS);
afterAll(() => {
  site.remove();
  removeVersions();
});

describe.sequential('upgrade', { timeout: PATIENCE_MS }, () => {
  test('a patch without migrations: a visitor who waits loses no request', async () => {
    let isDone = false;
    const codes: Record<number, number> = {};
    const visitor = (async () => {
      while (!isDone) {
        const code = await status().catch(() => 0);
        codes[code] = (codes[code] ?? 0) + 1;
        await delay(20);
      }
    })();
    const { result: done } = await visited('a patch release', upgrade('4.7.91'));
    isDone = true;
    await visitor;
    // Caddy tries again while the web server restarts, for 20 s.
    expect(codes).toEqual({ 200: expect.any(Number) });
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(states(done)).toEqual(['upgraded']);
    expect(await version()).toBe('4.7.91');
    expect(site.read('fedi.yaml')).toContain('4.7.91');
  });

  test.each([
    ['4.7.92', 'a migration that fails', /Fails: migrating/],
    ['4.7.93', 'a web server that does not start', /mastodon_web/],
    ['4.7.94', 'a proof that fails', /NodeInfo/],
  ])('%s, %s: undone, with the data from before', async (to, _what, words) => {
    const before = [
      rows(),
      columns(),
      site.read('compose.yaml'),
      site.read('fedi.yaml'),
      site.read('secrets.json'),
    ];
    const failed = await upgrade(to);
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringMatching(words)]);
    expect(failed.stderr).toContain('Mastodon v4.7.91 runs again, with the data from before, and is proven.');
    expect(states(failed)).toEqual(['undone']);
    expect([
      rows(),
      columns(),
      site.read('compose.yaml'),
      site.read('fedi.yaml'),
      site.read('secrets.json'),
    ]).toEqual(before);
    expect([await version(), await status()]).toEqual(['4.7.91', 200]);
    // Nothing of it is left: `apply` has nothing to do.
    const again = await run(['apply', '--json']);
    expect(again.events.map(({ event }) => event)).toContain('unchanged');
  });

  test.each([
    ['maintenance', 'done'],
    ['keep.mastodon_db.pgdump', 'done'],
    ['write', 'done'],
    ['up', 'done'],
    ['undo.files', 'done'],
    ['undo.mastodon_db.pgdump', 'start'],
  ])('killed at %s (%s): run again, the version before is back', async (id, state) => {
    const before = [rows(), columns(), site.read('fedi.yaml')];
    // One that fails reaches the undo.
    const to = id.startsWith('undo') ? '4.7.92' : '4.7.95';
    const killed = await upgrade(to, {
      onEvent: (event, child) => {
        if (event['id'] === id && event['state'] === state) child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    for (const argv of [['apply'], ['backup'], ['start']]) {
      const refused = await run(argv);
      expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('was interrupted')]);
    }
    const again = await run(['upgrade', '--json']);
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(states(again)).toEqual(['undone']);
    expect([rows(), columns(), site.read('fedi.yaml')]).toEqual(before);
    expect([await version(), await status()]).toEqual(['4.7.91', 200]);
  });

  test('a migration that waits for a lock of another session: undone after ten minutes', async () => {
    const before = [rows(), columns(), site.read('fedi.yaml')];
    docker(
      ...`exec --detach ${site.containers()['mastodon_db'] ?? ''} psql -h 127.0.0.1 -U mastodon -d mastodon -c`.split(
        ' ',
      ),
      'begin; select count(*) from accounts; select pg_sleep(7200)',
    );
    const failed = await upgrade('4.7.95');
    expect([failed.code, states(failed), failed.stderr]).toEqual([
      1,
      ['undone'],
      expect.stringContaining('The job mastodon_gate is still not ready, and has hardly used the processor'),
    ]);
    expect([rows(), columns(), site.read('fedi.yaml')]).toEqual(before);
    expect([await version(), await status()]).toEqual(['4.7.91', 200]);
  });

  test('while it runs, others get 503 with Retry-After; then the new version runs', async () => {
    const seen: Promise<unknown>[] = [];
    const look = async (): Promise<unknown> => {
      const reply = await http()(`https://${site.domain}/nodeinfo/2.0`);
      return [reply.status, reply.headers['retry-after']];
    };
    const running = upgrade('4.7.95', {
      onEvent: ({ id, state }) => {
        if (state === 'done' && ['maintenance', 'stop', 'up'].includes(String(id))) seen.push(look());
      },
    });
    const { result: done, codes } = await visited('two migrations', running);
    // Neither a closed connection nor an error of the app.
    expect(Object.keys(codes)).toEqual(['200', '503']);
    expect([done.code, done.stderr]).toEqual([0, '']);
    expect(await Promise.all(seen)).toEqual(Array.from({ length: 3 }, () => [503, '30']));
    expect(columns()).toBe('mood');
    expect([await version(), await status(), rows()]).toEqual(['4.7.95', 200, expect.stringMatching(/\|1$/)]);
    expect(existsSync(join(site.folder, 'caddy/maintenance'))).toBe(false);
    const backup = await run(['backup', 'list', '--json']);
    expect(backup.code).toBe(0);
  });

  /** `maintain`, after the registry had this version. */
  async function maintained(newest: string): Promise<Run> {
    const path = join(site.folder, '.fedi/backups.json');
    const record = JSON.parse(readFileSync(path, 'utf8')) as object;
    const releases = { at: new Date().toISOString(), newest: { mastodon: newest } };
    writeFileSync(path, JSON.stringify({ ...record, releases }));
    return run(['maintain', '--json']);
  }

  test('`maintain` reports a new release, and installs it only if that is wanted', async () => {
    const told = await maintained('v4.7.96');
    expect([told.code, states(told), await version()]).toEqual([0, [], '4.7.95']);
    expect((await run(['status'])).stdout).toContain('v4.7.96 is available: `fedi-setup upgrade`');
    expect((await run(['apply', '--upgrades', 'patch'])).code).toBe(0);
    const done = await maintained('v4.7.96');
    expect([done.code, states(done), await version()]).toEqual([0, ['upgraded'], '4.7.96']);
  });

  test('a release that failed is not tried again', async () => {
    const failed = await maintained('v4.7.97');
    expect([failed.code, states(failed), await version()]).toEqual([1, ['undone'], '4.7.96']);
    const again = await maintained('v4.7.97');
    expect([again.code, states(again)]).toEqual([0, []]);
  });

  test('`maintain` undoes an upgrade that was interrupted', async () => {
    const killed = await upgrade('4.7.97', {
      onEvent: ({ id, state }, child) => {
        if (id === 'write' && state === 'done') child.kill('SIGKILL');
      },
    });
    expect(killed.signal).toBe('SIGKILL');
    expect(await status()).toBe(503);
    const done = await maintained('v4.7.97');
    expect([done.code, states(done), await version(), await status()]).toEqual([
      0,
      ['undone'],
      '4.7.96',
      200,
    ]);
  });

  test('refusals, before anything changes', async () => {
    const before = [site.containers(), site.read('compose.yaml')];
    for (const [to, words] of [
      ['4.7.91', /is older than v4\.7\.96/],
      ['4.9.0', /does not know Mastodon 4\.9/],
      ['4.7', /Not a version/],
      ['4.7.99', /could not be pulled/],
    ] as const) {
      const refused = await upgrade(to);
      expect([refused.code > 1, refused.stderr]).toEqual([true, expect.stringMatching(words)]);
    }
    expect([site.containers(), site.read('compose.yaml')]).toEqual(before);
  });
});
