/** A single-user Mastodon with a separate web domain: both domains, the redirects between them; Sidekiq in several processes. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import type { Client } from '../../wizard/prove/http.ts';
import { snapshot } from '../support/faults.ts';
import { mastodonSite, openProofs } from '../support/mastodon-site.ts';
import type { Run } from '../support/site.ts';

function expectProven(run: Run): void {
  expect(run.stderr).toBe('');
  expect(openProofs(run)).toEqual([]);
  expect(run.code).toBe(0);
}

const PATIENCE_MS = 30 * 60_000;
const WEB = 'web.fedi.test';

const site = mastodonSite('handles', 75, {
  FEDI_MASTODON_WEB_DOMAIN: WEB,
  FEDI_MASTODON_SINGLE_USER: 'yes',
});
afterAll(() => site.remove());

let http: Client;
beforeAll(async () => {
  const run = await site.apply();
  expectProven(run);
  http = client(site.bind, site.read('trust/root.crt'));
}, PATIENCE_MS);

describe.sequential('a separate web domain', { timeout: PATIENCE_MS }, () => {
  test('handles have the first domain, all URLs the web domain', async () => {
    const found = await http(`https://${WEB}/.well-known/webfinger?resource=acct:anna@${site.domain}`);
    expect(found.status).toBe(200);
    const { subject, links } = found.json<{ subject: string; links: { rel: string; href?: string }[] }>();
    expect(subject).toBe(`acct:anna@${site.domain}`);
    const self = links.find(({ rel }) => rel === 'self')?.href ?? '';
    expect(new URL(self).host).toBe(WEB);
    const { domain, configuration } = (await http(`https://${WEB}/api/v2/instance`)).json<{
      domain: string;
      configuration: { urls: { streaming: string } };
    }>();
    expect([domain, configuration.urls.streaming]).toEqual([site.domain, `wss://${WEB}`]);
  });

  test.each([
    '/.well-known/webfinger?resource=acct:anna@x',
    '/.well-known/host-meta',
    '/.well-known/nodeinfo',
  ])('%s is redirected permanently, also for scripts of other pages', async (path) => {
    const reply = await http(`https://${site.domain}${path}`);
    expect([reply.status, reply.headers['location'], reply.headers['access-control-allow-origin']]).toEqual([
      301,
      `https://${WEB}${path}`,
      '*',
    ]);
  });

  test('the handle domain redirects to the pages', async () => {
    const reply = await http(`https://${site.domain}/@anna`);
    expect([reply.status, reply.headers['location']]).toEqual([302, `https://${WEB}/@anna`]);
    expect((await http(`http://${site.domain}/`)).headers['location']).toBe(`https://${site.domain}/`);
  });

  test('refuses another web domain, or none: every URL contains it', async () => {
    for (const [web, words] of [
      ['pages.fedi.test', /This site uses .*web\.fedi\.test; the answers now say .*pages\.fedi\.test/],
      [site.domain, /This site uses .*web\.fedi\.test; the answers now say/],
    ] as const) {
      const before = [snapshot(site.folder), site.containers()];
      const run = await site.apply([], { env: { ...site.env, FEDI_MASTODON_WEB_DOMAIN: web } });
      expect([run.code, run.stderr]).toEqual([3, expect.stringMatching(words)]);
      expect([snapshot(site.folder), site.containers()]).toEqual(before);
    }
  });

  test('Sidekiq split: three processes serve all queues, one has the scheduler; and back to one', async () => {
    const queuesOfProcesses = (): string[] =>
      execFileSync(
        'docker',
        [
          'exec',
          '--interactive',
          site.containers()['mastodon_web'] ?? '',
          ...'bundle exec rails runner -'.split(' '),
        ],
        {
          input: "Sidekiq::ProcessSet.new.each { |one| puts 'queues ' + one['queues'].uniq.sort.join(' ') }",
          encoding: 'utf8',
          stdio: ['pipe', 'pipe', 'ignore'],
        },
      )
        .split('\n')
        .filter((line) => line.startsWith('queues '))
        .toSorted();
    const before = site.containers();
    expectProven(await site.apply(['--mastodon-sidekiq', 'split']));
    const after = site.containers();
    expect(
      Object.keys(after)
        .filter((service) => !(service in before))
        .toSorted(),
    ).toEqual(['mastodon_sidekiq_federation', 'mastodon_sidekiq_scheduler']);
    expect(Object.keys(before).filter((service) => before[service] !== after[service])).toEqual([
      'mastodon_sidekiq',
    ]);
    expect(queuesOfProcesses()).toEqual([
      'queues default fasp ingress mailers',
      'queues pull push',
      'queues scheduler',
    ]);
    expectProven(await site.apply(['--mastodon-sidekiq', 'one']));
    expect(Object.keys(site.containers()).toSorted()).toEqual(Object.keys(before).toSorted());
    expect(queuesOfProcesses()).toEqual(['queues default fasp ingress mailers pull push scheduler']);
  });
});
