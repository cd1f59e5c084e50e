/** A proxy that Docker's client sets in containers is for outgoing requests, never between them. */
import { expect, test } from 'vitest';
import { render } from '../../support/render.ts';

const ANSWERS = {
  apps: 'snac,mastodon,pixelfed',
  'tls.mode': 'internal',
  'mail.mode': 'catcher',
  ...Object.fromEntries(
    ['snac', 'mastodon', 'pixelfed'].flatMap((app) => [
      [`apps.${app}.domain`, `${app}.example.org`],
      [`apps.${app}.admin`, 'anna'],
      [`apps.${app}.email`, 'anna@example.org'],
    ]),
  ),
  'apps.mastodon.size': '2gb',
  'apps.pixelfed.size': '2gb',
};

test('no service uses the proxy for another service, itself or a domain of the site', async () => {
  const { compose } = await render(ANSWERS, { noProxy: ['*.corp.example'] });
  const names = Object.keys(compose.services);
  expect(names).toEqual(expect.arrayContaining(['caddy', 'mail', 'snac', 'mastodon_web', 'pixelfed_valkey']));
  for (const { environment = {} } of Object.values(compose.services)) {
    const without = environment['NO_PROXY']?.split(',');
    expect(without).toEqual(
      expect.arrayContaining(['*.corp.example', '127.0.0.1', 'localhost', 'snac.example.org', ...names]),
    );
    expect(environment['no_proxy']).toBe(environment['NO_PROXY']);
  }
  expect(compose.services['mastodon_web']?.environment).toHaveProperty('WEB_CONCURRENCY');
});

test('without a proxy no variable mentions one', async () => {
  const { files } = await render(ANSWERS);
  expect(files.map(({ text }) => text).join('')).not.toMatch(/NO_PROXY/i);
});
