/** `doctor` on a site with all apps that is broken one thing after another: each check finds what it is for, and nothing once it is repaired. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, readFileSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../wizard/checks/check.ts';
import { CHECKS } from '../../wizard/checks/table.ts';
import type { Bucket } from '../../wizard/config/bucket.ts';
import type { Config } from '../../wizard/config/config.ts';
import type { SmtpServer } from '../../wizard/config/mail.ts';
import { connect } from '../../wizard/docker/docker.ts';
import { s3 } from '../images/s3/server.mjs';
import { contextOf, runCheck } from '../support/checks.ts';
import { mastodonAnswers } from '../support/mastodon-images.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { MAIL_HOST, MAIL_PASSWORD, MAIL_USER, OTHER_HOST, postfix } from '../support/postfix.ts';
import { docker, environment, testSite, tool } from '../support/site.ts';
import { tempFolder, writeTree } from '../support/temp.ts';

/** A busy machine takes minutes for each start. */
const PATIENCE_MS = 30 * 60_000;
/** Until a container that was started works. */
const STARTED = { timeout: 5 * 60_000, interval: 1000 };

const server = await postfix('test-chk-postfix');
const site = testSite('chk', 172);
const env = {
  ...site.env,
  ...mastodonAnswers(`m.${site.domain}`),
  ...pixelfedAnswers(`p.${site.domain}`),
  FEDI_APPS: 'mastodon,pixelfed,snac',
  FEDI_MAIL_MODE: 'catcher',
};

interface Seen {
  readonly code: number;
  readonly found: readonly string[];
}

/** Runs `doctor` with some checks only; each finding as `id level: what`. */
async function find(ids: readonly string[], ...more: string[]): Promise<Seen> {
  const skip = CHECKS.map(({ id }) => id).filter((id) => !ids.includes(id));
  const { code, events, stderr } = await tool(
    ['doctor', '--json', '--skip-check', skip.join(','), '--dir', site.folder, ...more],
    { env: environment() },
  );
  if (code > 1) throw new Error(stderr);
  return {
    code,
    found: events
      .filter(({ event }) => event === 'finding')
      .map(({ id, level, what }) => `${String(id)} ${String(level)}: ${String(what)}`),
  };
}
const nothing = { code: 0, found: [] };
const gone = (...ids: string[]): Promise<void> =>
  expect.poll(async () => (await find(ids)).found, STARTED).toEqual([]);

const container = (service: string): string => site.containers()[service] ?? 'none';
const compose = (...argv: string[]): string =>
  execFileSync('docker', ['compose', ...argv], {
    cwd: site.folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
/** A command of the app's Valkey. */
const valkey = (app: string, ...words: string[]): string =>
  docker('exec', container(`${app}_valkey`), 'sh', '-c', 'REDISCLI_AUTH="$VALKEY_PASSWORD" exec valkey-cli "$@"', 'sh', ...words); // prettier-ignore
const inHome = (command: string): string => docker('exec', container('snac'), 'sh', '-c', command);
const file = (path: string): string => join(site.folder, path);
/** Changes a file; the result restores it. */
function edit(path: string, change: (text: string) => string): () => void {
  const before = readFileSync(file(path), 'utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  writeFileSync(file(path), after);
  return () => writeFileSync(file(path), before);
}
const secondsAgo = (seconds: number): number => Math.round(Date.now() / 1000) - seconds;

let provider: Server | undefined;
afterAll(() => {
  server.remove();
  site.remove();
  provider?.close();
});
beforeAll(async () => {
  // Its own CA is that of the mail server, so all apps trust it.
  const first = await site.apply(['--tls-root-file', '-'], { env, stdin: server.root });
  expect(first.code, first.stderr).toBe(0);
}, PATIENCE_MS);

describe.sequential('doctor', { timeout: PATIENCE_MS }, () => {
  test('finds nothing on a site that works, and its advice is no fault', async () => {
    await gone('containers', 'migrations', 'jobs', 'streaming', 'mail', 'retention', 'differences', 'files');
    expect((await find(['certificates', 'databases', 'data', 'policy'])).found).toEqual([]);
    const { code, found } = await find(['kernel']);
    const overcommit = readFileSync('/proc/sys/vm/overcommit_memory', 'utf8').trim();
    expect(code).toBe(0);
    expect(found.filter((one) => !one.startsWith('kernel advice: '))).toEqual([]);
    expect(found.join('\n').includes(`vm.overcommit_memory is ${overcommit};`)).toBe(overcommit !== '1');
  });

  test('jobs without a worker, and jobs that wait', async () => {
    docker('stop', container('mastodon_sidekiq'), container('pixelfed_horizon'));
    valkey('mastodon', 'lpush', 'queue:push', JSON.stringify({ class: 'PostProcessMediaWorker', args: [0], jid: 'a', queue: 'push', retry: false, enqueued_at: secondsAgo(900) })); // prettier-ignore
    valkey('pixelfed', 'rpush', 'pixelfed-queues:feed', JSON.stringify({ job: 'Unknown', attempts: 0, pushedAt: String(secondsAgo(7300)) })); // prettier-ignore
    // snac takes no jobs of a user that it does not know.
    inHome(`mkdir -p /data/user/ghost/queue && touch /data/user/ghost/queue/${secondsAgo(600)}.000000.json`);
    // A killed Horizon leaves its description for half a minute.
    await expect
      .poll(() => find(['jobs']), STARTED)
      .toEqual({
        code: 1,
        found: [
          expect.stringMatching(/^jobs warning: Jobs of snac have waited for too long: 1\d min\.$/),
          'jobs blocker: No process takes the background jobs of Mastodon; 1 wait.',
          expect.stringMatching(
            /^jobs warning: Jobs of Mastodon have waited for too long: 1\d min in push\.$/,
          ),
          'jobs blocker: No process takes the background jobs of Pixelfed; 1 wait.',
          'jobs warning: Jobs of Pixelfed have waited for too long: 2 hours in feed.',
        ],
      });
    expect((await tool(['status', '--all', '--dir', site.folder], { env: environment() })).stdout.replaceAll(/\s+/g, ' ')).toContain('No process takes the background jobs of Pixelfed'); // prettier-ignore
  });

  test('a queue that the only worker does not take', async () => {
    const id = compose('run', '--detach', '--no-deps', 'mastodon_sidekiq', 'bundle', 'exec', 'sidekiq', '-q', 'default', '-q', 'scheduler'); // prettier-ignore
    await expect
      .poll(async () => (await find(['jobs'])).found, STARTED)
      .toContain('jobs blocker: No process takes jobs of Mastodon from the queues push (1 wait), ingress, mailers, pull.'); // prettier-ignore
    docker('rm', '--force', id);
    docker('start', container('mastodon_sidekiq'), container('pixelfed_horizon'));
    inHome('rm -r /data/user/ghost');
    // Horizon tried the unknown job three times.
    await expect
      .poll(() => find(['jobs']), STARTED)
      .toEqual({ code: 0, found: [expect.stringMatching(/^jobs advice: Jobs of Pixelfed failed for good within a day, the last one \d+ s ago; 1 are kept\.$/)] }); // prettier-ignore
    valkey('pixelfed', 'del', 'pixelfed-horizon:failed_jobs');
    await gone('jobs');
  });

  test('jobs that failed for good: few, and many', async () => {
    const dead = (n: number): string => JSON.stringify({ class: 'X', jid: String(n), failed_at: secondsAgo(9000), retried_at: secondsAgo(60 + n) }); // prettier-ignore
    valkey('mastodon', 'zadd', 'dead', String(secondsAgo(60)), dead(0));
    expect(await find(['jobs'])).toEqual({ code: 0, found: [expect.stringContaining('jobs advice: Jobs of Mastodon failed for good within a day')] }); // prettier-ignore
    valkey('mastodon', 'zadd', 'dead', ...Array.from({ length: 99 }, (_, i) => [String(secondsAgo(61 + i)), dead(i + 1)]).flat()); // prettier-ignore
    expect(await find(['jobs'])).toEqual({ code: 0, found: [expect.stringContaining('jobs warning: More than 100 jobs of Mastodon failed for good within a day')] }); // prettier-ignore
    valkey('mastodon', 'del', 'dead');
    expect(await find(['jobs'])).toEqual(nothing);
  });

  test('a second scheduler: another Sidekiq and Horizon on the same Valkey, a second container', async () => {
    const others = ['mastodon_sidekiq', 'pixelfed_horizon'].map((service) =>
      compose('run', '--detach', '--no-deps', service),
    );
    await expect
      .poll(async () => (await find(['jobs'])).found, STARTED)
      .toEqual([
        expect.stringMatching(/^jobs warning: 2 processes take jobs of Mastodon from the queue scheduler: .*mastodon_sidekiq.*no service of this site/), // prettier-ignore
        expect.stringMatching(/^jobs warning: 2 processes take jobs of Pixelfed from the queue default: .*pixelfed_horizon.*no service of this site/), // prettier-ignore
      ]);
    docker('stop', ...others);
    docker('rm', ...others);
    await gone('jobs');
    compose('up', '--detach', '--no-deps', '--no-recreate', '--scale', 'pixelfed_scheduler=2', 'pixelfed_scheduler'); // prettier-ignore
    expect((await find(['jobs'])).found).toEqual(['jobs warning: 2 containers of pixelfed_scheduler run.']);
    expect((await find(['jobs'], '--fix')).code).toBe(0);
    await gone('jobs');
    expect(compose('ps', '--quiet', 'pixelfed_scheduler').split('\n')).toHaveLength(1);
  });

  test('a Valkey that does not answer: the check says so and ends', async () => {
    const signal = (name: string): string =>
      docker('exec', container('mastodon_valkey'), 'sh', '-c', `for one in /proc/[0-9]*; do if [ "$(cat "$one/comm")" = valkey-server ]; then kill -${name} "\${one#/proc/}"; fi; done`); // prettier-ignore
    signal('STOP');
    const { found } = await find(['jobs']);
    signal('CONT');
    expect(found).toEqual([
      expect.stringMatching(/^jobs warning: The background jobs of Mastodon could not be counted: /),
    ]);
    await gone('jobs');
  });

  test('live updates', async () => {
    docker('stop', container('mastodon_streaming'));
    const { code, found } = await find(['streaming']);
    expect([code, found]).toEqual([1, [expect.stringMatching(/^streaming blocker: Browsers and apps get no live updates of Mastodon: wss:\/\/m\.\S+\/api\/v1\/streaming: /)]]); // prettier-ignore
    docker('start', container('mastodon_streaming'));
    await gone('streaming');
  });

  // The stand-in of Pixelfed has no files of migrations.
  test('migrations that the database lacks; --fix runs them', async () => {
    docker('exec', container('mastodon_db'), 'psql', '-h', '127.0.0.1', '-U', 'mastodon', '-d', 'mastodon', '-c', "delete from schema_migrations where version = '20260611150900'"); // prettier-ignore
    expect(await find(['migrations'])).toEqual({
      code: 1,
      found: [
        'migrations blocker: The database of Mastodon lacks a migration of the installed version: 20260611150900.',
      ],
    });
    expect((await find(['migrations'], '--fix')).code).toBe(0);
    expect(await find(['migrations'])).toEqual(nothing);
  });

  test('secrets that others can read; --fix closes them', async () => {
    chmodSync(file('secrets.json'), 0o644);
    chmodSync(file('env/snac.env'), 0o604);
    expect(await find(['files'])).toEqual({
      code: 0,
      found: ['files warning: Other users of this host can read secrets: secrets.json, env/snac.env.'],
    });
    expect((await find(['files'], '--fix')).code).toBe(0);
    expect(await find(['files'])).toEqual(nothing);
  });

  test('edited files, and answers that were not applied', async () => {
    const restore = [
      edit('caddy/Caddyfile', (text) => `${text}# mine\n`),
      edit('env/snac.env', (text) => `${text}MINE=1\n`),
      edit('fedi.yaml', (text) => text.replace(/( {2}pixelfed:\n)/, '$1    title: Other pictures\n')),
    ];
    expect((await find(['differences'])).found).toEqual([
      expect.stringMatching(
        /^differences warning: Changed by hand: .*(?=.*env\/snac\.env)(?=.*caddy\/Caddyfile)/,
      ),
      expect.stringMatching(/^differences warning: Not as fedi\.yaml and this version of fedi-setup say: .*env\/pixelfed\.env/), // prettier-ignore
    ]);
    for (const undo of restore) undo();
    expect(await find(['differences'])).toEqual(nothing);
  });

  test('containers with other settings and another image, and another configuration of Caddy', async () => {
    const restore = edit('compose.yaml', (text) =>
      text.replace(/(\n {2}snac:\n[\s\S]*?org\.fedi-setup\.config: )\S+/, '$1other'),
    );
    compose('up', '--detach', '--no-deps', 'snac');
    restore();
    expect((await find(['differences'])).found).toEqual([
      'differences warning: Running with other settings than those of the site: snac.',
    ]);
    docker('commit', '--change', 'LABEL test=chk', container('snac'), 'fedi-setup-chk:other');
    const again = edit('compose.yaml', (text) => text.replace(/(\n {2}snac:\n[\s\S]*?image: )\S+/, '$1fedi-setup-chk:other')); // prettier-ignore
    compose('up', '--detach', '--no-deps', 'snac');
    again();
    expect((await find(['differences'])).found).toEqual([
      'differences warning: Running another image than images.lock.yaml names: snac.',
    ]);
    compose('up', '--detach', '--no-deps', 'snac');
    docker('image', 'rm', 'fedi-setup-chk:other');
    const caddy = edit('caddy/Caddyfile', (text) => text.replace(/^(\s*respond )\w+$/m, '$1other'));
    const reload = (): string => docker('exec', container('caddy'), 'caddy', 'reload', '--config', '/etc/caddy/Caddyfile', '--force'); // prettier-ignore
    reload();
    caddy();
    expect((await find(['differences'])).found).toEqual([
      'differences warning: Caddy runs another configuration than that in caddy/Caddyfile.',
    ]);
    reload();
    await gone('differences');
  });

  test('what grows until the disk is full', async () => {
    const reading = (daysAgo: number, gib: number): string =>
      `${JSON.stringify({ at: new Date(Date.now() - daysAgo * 86_400_000).toISOString(), free: { [site.folder]: (40 - gib) * 1024 ** 3 }, volumes: {}, cached: { mastodon_system: gib * 1024 ** 3 } })}\n`; // prettier-ignore
    writeFileSync(file('.fedi/metrics'), [20, 10, 0].map((days) => reading(days, 30 - days)).join(''));
    expect((await find(['disk', 'retention'])).found).toEqual([
      expect.stringMatching(/^disk warning: At the rate of the last 30 days \((?:1\.0 GB|1024 MB) a day\), .* will be full in 10 days\.$/), // prettier-ignore
    ]);
    appendFileSync(file('fedi.yaml'), 'cleanup: { every: 0 }\n');
    expect((await find(['retention'])).found).toEqual([
      'retention warning: Copies of remote media grew by 20.0 GB in 20 days, to 30.0 GB, and no clean-up is scheduled.',
    ]);
    edit('fedi.yaml', (text) => text.replace(/cleanup: .*\n/, ''));
    writeFileSync(file('.fedi/metrics'), '');
    expect((await find(['disk', 'retention'])).found).toEqual([]);
  });

  test('the mail server is away', async () => {
    docker('stop', container('mail'));
    const { code, found } = await find(['mail']);
    expect(code).toBe(1);
    expect(found).toEqual(['mail blocker: Mail cannot be sent: the mail catcher does not answer.']);
    docker('start', container('mail'));
    await gone('mail');
  });

  /** A check with other answers than the site has, in the site's containers. */
  async function withConfig(id: string, change: (config: Config) => Partial<Config>, secrets: object) {
    const folder = tempFolder();
    writeTree(folder, { 'secrets.json': JSON.stringify({ version: 1, secrets }) });
    const { config } = contextOf({ name: site.name, 'tls.mode': 'internal', bind: site.bind });
    const context = contextOf({}, { folder, exists: true, engine: await connect(), caddy: String(site.env['FEDI_IMAGES_CADDY']) }); // prettier-ignore
    const result = await runCheck(id, { ...context, config: { ...config, ...change(config) } });
    return {
      seen: result?.seen,
      found: result?.found.map(({ level, what }: Finding) => `${level}: ${what}`),
    };
  }

  test('a mail server that refuses the log-in, or has another kind of encryption', async () => {
    await server.start(`${site.name}_snac_front`);
    const smtp: SmtpServer = { host: MAIL_HOST, port: 25, security: 'none', user: undefined, auth: 'plain', isCatcher: false }; // prettier-ignore
    const look = (more: Partial<SmtpServer>, password = MAIL_PASSWORD) =>
      withConfig(
        'mail',
        () => ({
          mail: {
            mode: 'smtp',
            from: '',
            fromName: undefined,
            provider: undefined,
            server: { ...smtp, ...more },
          },
        }),
        {
          'mail.password': { value: password, class: 'free' },
          'tls.root': { value: server.root, class: 'steps' },
        },
      );
    const submission = { port: 587, security: 'starttls', user: MAIL_USER } as const;
    expect(await look({})).toEqual({ seen: `snac: ${MAIL_HOST}:25 answers`, found: [] });
    expect(await look(submission)).toEqual({
      seen: `snac: ${MAIL_HOST}:587 accepts the log-in of ${MAIL_USER}`,
      found: [],
    });
    expect(await look({ ...submission, port: 465, security: 'tls' })).toMatchObject({ found: [] });
    const rows: [Partial<SmtpServer>, RegExp, string?][] = [
      [submission, /Log-in: .*535/, 'wrong'],
      [{ user: MAIL_USER }, /it offers no log-in on port 25/],
      [{ ...submission, host: OTHER_HOST }, /it belongs to /],
      [{ ...submission, security: 'tls' }, /Encryption: /],
      [{ host: 'nowhere.fedi.test' }, /Name of the server: /],
      [{ port: 26 }, /no connection to port 26/],
    ];
    for (const [more, words, password] of rows)
      expect((await look(more, password)).found).toEqual([expect.stringMatching(words)]);
    expect(server.inbox()).toBe('');
  });

  test('a bucket: written and deleted; refused keys; gone', async () => {
    const buckets: Record<string, object> = { media: { cors: '*' }, open: { cors: '*', listable: true } };
    const made = s3({ region: 'eu-test-1', keys: { AKIATEST: { secret: 'right' } }, buckets });
    provider = made;
    await new Promise<void>((resolve) => made.listen(9000, '127.0.0.173', resolve));
    const bucket: Bucket = { endpoint: 'http://127.0.0.173:9000', region: 'eu-test-1', name: 'media', accessKey: 'AKIATEST', acl: 'public-read', style: 'path' } as Bucket; // prettier-ignore
    const look = (more: Partial<Bucket> = {}, secret = 'right') =>
      withConfig(
        'bucket',
        ({ apps }) => ({ apps: apps.map((app) => ({ ...app, bucket: { ...bucket, ...more } })) }),
        { 'apps.snac.s3.secret-key': { value: secret, class: 'free' } },
      );
    expect(await look()).toMatchObject({ found: [] });
    expect((await look({}, 'wrong')).found).toEqual([expect.stringMatching(/^blocker: .*the secret key does not belong/)]); // prettier-ignore
    expect((await look({ name: 'gone' })).found).toEqual([expect.stringMatching(/^blocker: .*there is no bucket gone/)]); // prettier-ignore
    expect((await look({ name: 'open' })).found).toEqual([expect.stringMatching(/^warning: .*the list of all files is public/)]); // prettier-ignore
    made.close();
    made.closeAllConnections();
    expect((await look()).found).toEqual([expect.stringMatching(/^blocker: .*nothing listens/)]);
  });

  test('all of it works again', async () => {
    await gone('containers', 'migrations', 'jobs', 'streaming', 'mail', 'retention', 'differences', 'files');
  });
});
