/** How other servers find an account whose handle has another domain than the pages. */
import { describe, expect, test } from 'vitest';
import type { AppConfig } from '../../../wizard/config/config.ts';
import { discoveryProofs } from '../../../wizard/prove/activitypub.ts';
import type { Client } from '../../../wizard/prove/http.ts';
import { configWith, reply } from '../../support/fediverse.ts';

const [APEX, WEB] = ['example.org', 'social.example.org'];
const ACTOR = `https://${WEB}/users/anna`;
const app: AppConfig = {
  ...(configWith().apps.find(({ id }) => id === 'mastodon') as AppConfig),
  domain: APEX,
};

/** What the website at the apex answers below /.well-known; the pages are healthy. */
function run(website: (url: URL) => ReturnType<typeof reply>): Promise<Record<string, string>> {
  const asked: string[] = [];
  const http = ((text: string) => {
    const url = new URL(text);
    asked.push(url.hostname);
    if (url.hostname === APEX) return Promise.resolve(website(url));
    if (url.protocol === 'http:') return Promise.resolve(reply(308, '', { location: `https://${WEB}/` }));
    switch (url.pathname) {
      case '/.well-known/webfinger':
        return Promise.resolve(
          url.search === `?resource=acct:anna@${APEX}`
            ? reply(200, { links: [{ rel: 'self', type: 'application/activity+json', href: ACTOR }] })
            : reply(404),
        );
      case '/.well-known/nodeinfo':
        return Promise.resolve(reply(200, { links: [{ href: `https://${WEB}/nodeinfo/2.0` }] }));
      case '/nodeinfo/2.0':
        return Promise.resolve(reply(200, { software: { name: 'mastodon', version: '4' } }));
      case '/users/anna':
        return Promise.resolve(
          reply(200, { id: ACTOR, inbox: `${ACTOR}/inbox`, publicKey: { publicKeyPem: 'PUBLIC KEY' } }),
        );
      default:
        return Promise.resolve(reply(200, 'a page'));
    }
  }) as unknown as Client;
  return Promise.all(
    discoveryProofs(http, app, 'mastodon', 'mastodon_web', WEB).map(async ({ id, run: prove }) => [
      id,
      await prove().then(
        () => 'ok',
        (error: unknown) => String(error),
      ),
    ]),
  ).then((results) => Object.fromEntries(results) as Record<string, string>);
}

const ALL = { https: 'ok', webfinger: 'ok', nodeinfo: 'ok', actor: 'ok' };

describe('the website at the domain of the handles', () => {
  test('redirects WebFinger and keeps the query: proven, whatever else it serves', async () => {
    expect(
      await run(({ pathname, search }) =>
        pathname === '/.well-known/webfinger'
          ? reply(301, '', { location: `https://${WEB}${pathname}${search}` })
          : reply(200, 'my website'),
      ),
    ).toEqual(ALL);
  });

  test.each([
    ['does not redirect', () => reply(404)],
    ['drops the query', () => reply(301, '', { location: `https://${WEB}/.well-known/webfinger` })],
    ['answers with a page', () => reply(200, '<html>')],
  ])('%s: WebFinger and actor fail, and name the redirect', async (_, website) => {
    const { webfinger, actor, ...others } = await run(website);
    expect(others).toEqual({ https: 'ok', nodeinfo: 'ok' });
    for (const message of [webfinger, actor])
      expect(message).toMatch(
        /web server of example\.org must redirect https:\/\/example\.org\/\.well-known\/webfinger to https:\/\/social/,
      );
  });
});
