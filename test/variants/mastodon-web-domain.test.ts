/** A single-user Mastodon with a separate web domain: both domains, and the redirects between them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../../wizard/prove/http.ts';
import type { Client } from '../../wizard/prove/http.ts';
import { snapshot } from '../support/faults.ts';
import { mastodonSite, openProofs } from '../support/mastodon-site.ts';

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
  expect(run.stderr).toBe('');
  expect(openProofs(run)).toEqual([]);
  expect(run.code).toBe(0);
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
});
