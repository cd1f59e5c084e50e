/**
 * `--goodbye`: other servers delete the accounts before an app or the site is removed. The other server is snac, the real one: it
 * verifies the signature of a deletion and logs it, but 2.96 keeps its follow. Mastodon and Pixelfed may be stand-ins.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import { until } from '../support/federation.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { openProofs, sqlIn } from '../support/mastodon-site.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { composeUp, createNetwork, docker, logsOf, testSite, tool } from '../support/site.ts';
import type { Run, TestSite } from '../support/site.ts';

const PATIENCE_MS = 20 * 60_000;

const BIG = 'byebig.fedi.test';
const PHOTOS = 'byepix.fedi.test';
const SMALL = 'byesmall.fedi.test';
/** Nothing has this name. */
const DOWN = 'byedown.fedi.test';

const site = testSite('bye', 131, SMALL);
const env: NodeJS.ProcessEnv = {
  ...site.env,
  ...pixelfedAnswers(PHOTOS),
  ...mastodonAnswers(BIG),
  FEDI_APPS: 'pixelfed,mastodon,snac',
};
afterAll(() => site.remove());

/** Answers are in fedi.yaml after the first run. */
const { FEDI_APPS: _, ...later } = env;
const command = (...words: string[]): Promise<Run> =>
  tool([...words, '--dir', site.folder, '--json'], { env: later });
const REMOVE = ['remove', 'mastodon', '--goodbye', '--attempts', '2', '--confirm', BIG];

const small = (): string => logsOf(site.containers()['snac'] ?? 'none');
const pixelfedSql = (query: string): string =>
  docker('exec', site.containers()['pixelfed_db'] ?? 'none', 'sh', '-c', 'MYSQL_PWD="$MARIADB_PASSWORD" exec mariadb -h 127.0.0.1 -u "$MARIADB_USER" -NBe "$0" "$MARIADB_DATABASE"', query); // prettier-ignore
const volumes = (): string =>
  docker('volume', 'ls', '--quiet', '--filter', `label=com.docker.compose.project=${site.name}`);
const steps = (run: Run): unknown[] =>
  run.events.filter(({ event, id }) => event === 'goodbye' || String(id).startsWith('goodbye.'));
const record = (): unknown => JSON.parse(site.read('.fedi/goodbye.json'));
const parts = (): unknown[] => [site.containers(), volumes(), site.read('fedi.yaml'), existsSync(join(site.folder, '.fedi/goodbye.json'))]; // prettier-ignore
const status = async (): Promise<number> =>
  (await client(site.bind, site.read('trust/root.crt'))(`https://${BIG}/api/v2/instance`)).status;
const variable = (service: string): string =>
  docker('inspect', '--format', '{{range .Config.Env}}{{println .}}{{end}}', site.containers()[service] ?? 'none')
    .split('\n')
    .find((line) => line.startsWith('SELF_DESTRUCT=')) ?? ''; // prettier-ignore

describe.sequential('goodbye', { timeout: PATIENCE_MS }, () => {
  let actor = '';
  let photos = '';

  test('snac follows an account on Mastodon and one on Pixelfed', async () => {
    const run = await site.apply([], { env });
    expect([run.code, run.stderr]).toEqual([0, '']);
    for (const domain of [BIG, PHOTOS]) {
      const follow = await tool(['--dir', site.folder, 'snac', 'follow', 'anna', `@anna@${domain}`], { env });
      expect(follow.code, follow.stderr).toBe(0);
    }
    await until('the follow on Mastodon', () => (sqlIn(site, 'select count(*) from follows') === '1' ? true : undefined)); // prettier-ignore
    await until('the follow on Pixelfed', () => (pixelfedSql('select count(*) from followers') === '1' ? true : undefined)); // prettier-ignore
    await until('both answers', () => (small().match(/confirmed follow from/g)?.length === 2 ? true : undefined)); // prettier-ignore
    sqlIn(
      site,
      `insert into accounts (username, domain, uri, protocol, inbox_url, shared_inbox_url, created_at, updated_at) values ('gone', '${DOWN}', 'https://${DOWN}/gone', 1, 'https://${DOWN}/gone/inbox', 'https://${DOWN}/inbox', now(), now())`,
    );
    [actor, photos] = [/confirmed follow from (\S+byebig\S+)/, /confirmed follow from (\S+byepix\S+)/].map(
      (pattern) => pattern.exec(small())?.[1] ?? 'none',
    ) as [string, string];
    expect(await status()).toBe(200);
  });

  test.each([
    ['without a confirmation', REMOVE.slice(0, 5), 3, 'cannot be undone'],
    ['with the name of the app', [...REMOVE.slice(0, 6), 'mastodon'], 3, 'was not confirmed'],
    [
      'with the name of the site',
      ['uninstall', '--goodbye', '--confirm', site.name],
      3,
      `${SMALL},${BIG},${PHOTOS} was not confirmed`,
    ],
    [
      'with a limit but no goodbye',
      ['remove', 'mastodon', '--attempts', '2', '--confirm', 'mastodon'],
      2,
      'belongs to --goodbye',
    ],
    ['after no attempt at all', [...REMOVE.slice(0, 4), '0'], 2, '1 to 10'],
  ])('nothing changes %s', async (_name, words, code, text) => {
    // prettier-ignore
    const before = parts();
    const run = await command(...words);
    expect([run.code, run.stderr]).toEqual([code, expect.stringContaining(text)]);
    expect(parts()).toEqual(before);
  });

  test('a dry run changes nothing', async () => {
    const before = parts();
    const run = await command(...REMOVE, '--dry-run');
    expect([run.code, steps(run)]).toEqual([0, []]);
    expect(parts()).toEqual(before);
  });

  test('killed while a server does not answer: the deletion stays started', async () => {
    const run = await tool([...REMOVE, '--dir', site.folder, '--json'], {
      env: later,
      onEvent: ({ event, unreached }, child) =>
        void (event === 'goodbye' && String(unreached) === DOWN && child.kill('SIGKILL')),
    });
    expect(run.signal).toBe('SIGKILL');
    expect(record()).toEqual({
      mastodon: { at: expect.any(String), domain: BIG, by: 'remove mastodon --goodbye' },
    });
    expect(small()).toContain(`'Delete' for object without attributedTo ${actor}`);
    expect(sqlIn(site, 'select count(*) from accounts where domain is null and suspended_at is null')).toBe('0'); // prettier-ignore
    expect(await status()).toBe(410);
  });

  test('`docker compose up` does not undo it, and no command does', async () => {
    const value = variable('mastodon_web');
    expect(value).toMatch(/^SELF_DESTRUCT=\S+$/);
    await composeUp(site);
    expect([variable('mastodon_web'), variable('mastodon_sidekiq')]).toEqual([value, value]);
    for (const words of [
      ['apply'],
      ['apply', '--mastodon-title', 'x'],
      ['backup', '--to', '/tmp/none'],
      ['cleanup'],
      ['upgrade'],
      ['rollback', '1'],
      ['remove', 'pixelfed', '--confirm', 'pixelfed'],
    ]) {
      // prettier-ignore
      const run = await command(...words);
      expect([words, run.code, run.stderr]).toEqual([
        words,
        3,
        expect.stringContaining('`fedi-setup remove mastodon --goodbye` continues it.'),
      ]);
    }
    const seen = await tool(['status', '--dir', site.folder], { env: later });
    expect(seen.stdout).toMatch(/! Mastodon: since .* UTC its accounts are being deleted on other servers\./);
    const doctor = await command('doctor');
    expect(doctor.events.find(({ event, id }) => event === 'finding' && id === 'goodbye')).toMatchObject({
      level: 'warning',
      next: expect.stringContaining('remove mastodon --goodbye'),
    });
  });

  test('the same command continues, ends with the number of servers that did not answer, and removes the app', async () => {
    const run = await command(...REMOVE);
    expect([run.code, run.stderr]).toEqual([0, '']);
    const seen = run.events.filter(({ event }) => event === 'goodbye');
    expect(seen.at(-1)).toEqual({ event: 'goodbye', app: 'mastodon', accounts: 0, deliveries: 0, unreached: [DOWN], complete: true }); // prettier-ignore
    expect(run.events.find(({ id, state }) => id === 'goodbye.mastodon' && state === 'done')?.['note']).toBe(
      `1 server did not answer and keeps them: ${DOWN}`,
    );
    expect(Object.keys(site.containers()).filter((name) => name.startsWith('mastodon'))).toEqual([]);
    expect(volumes()).toContain(`${site.name}_mastodon_db`);
    expect(existsSync(join(site.folder, 'env/mastodon.local.env'))).toBe(false);
    // Each server got the deletion once.
    expect(small().split(`'Delete' for object without attributedTo ${actor}`)).toHaveLength(2);
  });

  test('it cannot be added with its data; without them it can', async () => {
    const run = await command('add', 'mastodon');
    expect([run.code, run.stderr]).toEqual([3, expect.stringContaining('were deleted on other servers')]);
    expect((await command('apply')).code).toBe(0);
    const data = await command('remove', 'mastodon', '--data', '--confirm', 'mastodon');
    expect(data.code, data.stderr).toBe(0);
    expect([volumes().includes('mastodon'), existsSync(join(site.folder, '.fedi/goodbye.json'))]).toEqual([false, false]); // prettier-ignore
    expect((await command('add', 'mastodon', '--dry-run')).code).toBe(0);
  });

  test('the site: Pixelfed and snac send their deletions, then everything is removed', async () => {
    let heard = '';
    const run = await tool(
      ['uninstall', '--goodbye', '--data', '--confirm', `${SMALL},${PHOTOS}`, '--dir', site.folder, '--json'],
      {
        env: later,
        onEvent: ({ event, app, complete }) => {
          if (event === 'goodbye' && complete === true && app === 'pixelfed') heard = small();
        },
      },
    );
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(heard).toContain(`'Delete' for object without attributedTo ${photos}`);
    expect(run.events.filter(({ event }) => event === 'goodbye').map(({ app }) => app)).toEqual(
      expect.arrayContaining(['pixelfed', 'snac']),
    );
    expect([site.containers(), volumes(), existsSync(site.folder)]).toEqual([{}, '', false]);
  });
});

/** Sorts after the networks of the sites: Docker resolves `snac`, which both have, in the first one. */
const NETWORK = 'test-bye-internet';
const a = testSite('bye-a', 132, 'bye-a.fedi.test');
const b = testSite('bye-b', 133, 'bye-b.fedi.test');
afterAll(() => {
  a.remove();
  b.remove();
  docker('network', 'rm', NETWORK);
});

/** A network on which each ingress has its public name. */
function connect({ folder, domain }: TestSite): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'compose.override.yaml'),
    `services:
  caddy: { networks: { internet: { aliases: [${domain}] } } }
  snac: { networks: { internet: {} } }
networks:
  internet: { external: true, name: ${NETWORK} }
`,
  );
}

describe.sequential('a snac whose follower is on another host', { timeout: PATIENCE_MS }, () => {
  const words = ['uninstall', '--goodbye', '--confirm', b.domain, '--dir', b.folder, '--json'];
  const heard = (): boolean =>
    logsOf(a.containers()['snac'] ?? 'none').includes(
      `'Delete' for object without attributedTo https://${b.domain}/anna`,
    );

  test('follows', async () => {
    createNetwork(NETWORK);
    connect(a);
    expect(openProofs(await a.apply())).toEqual([]);
    const { secrets } = JSON.parse(a.read('secrets.json')) as { secrets: Record<string, { value: string }> };
    connect(b);
    expect(
      openProofs(await b.apply(['--tls-root-file', '-'], { stdin: secrets['tls.root']?.value ?? '' })),
    ).toEqual([]);
    docker('exec', a.containers()['snac'] ?? 'none', 'snac', 'follow', '/data', 'anna', `@anna@${b.domain}`);
    docker('exec', b.containers()['snac'] ?? 'none', 'snac', 'follow', '/data', 'anna', `@anna@${a.domain}`);
    for (const one of [a, b])
      await until('the follow', () =>
        logsOf(one.containers()['snac'] ?? 'none').includes('new follower') ? true : undefined,
      );
  });

  test('killed when it has started: snac sends the deletion', async () => {
    const run = await tool(words, {
      env: b.env,
      onEvent: ({ event, id, state }, child) =>
        void (event === 'step' && id === 'goodbye.snac.start' && state === 'done' && child.kill('SIGKILL')),
    });
    expect(run.signal).toBe('SIGKILL');
    await until('the deletion', () => (heard() ? true : undefined));
  });

  test('the same command completes it, and keeps the data, which cannot be used again', async () => {
    const run = await tool(words, { env: b.env });
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(run.events.findLast(({ event }) => event === 'goodbye')).toMatchObject({
      complete: true,
      unreached: [],
    });
    expect(b.containers()).toEqual({});
    for (const again of ['apply', 'start']) {
      const refused = await tool([again, '--dir', b.folder], { env: b.env });
      expect([refused.code, refused.stderr]).toEqual([
        3,
        expect.stringContaining('were deleted on other servers'),
      ]);
    }
    const data = await tool(['uninstall', '--data', '--confirm', b.name, '--dir', b.folder], { env: b.env });
    expect([data.code, existsSync(join(b.folder, 'fedi.yaml'))]).toEqual([0, false]);
  });

  test('a follower whose server is gone: ends, and names it', async () => {
    const run = await tool(['uninstall', '--goodbye', '--data', '--confirm', a.domain, '--dir', a.folder], {
      env: a.env,
    });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(
      /^ {2}snac: 0 accounts left, 0 deliveries waiting, no answer yet from \S+ \(attempt \d+ of \d+\)$/m,
    );
    expect(run.stderr).toContain(`still have the accounts of snac: ${b.domain}.`);
    expect(a.containers()).toEqual({});
  });
});
