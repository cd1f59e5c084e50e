/** A site is not affected by the configuration and environment of Docker's client. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { docker, testSite } from '../support/site.ts';

const site = testSite('client', 96);
afterAll(() => site.remove());

test('a site works despite a proxy for containers and variables for a remote engine', async () => {
  const config = join(dirname(site.folder), 'docker');
  mkdirSync(config);
  // Nothing listens there: a request that uses this proxy fails.
  const proxy = {
    httpProxy: 'http://127.0.0.1:9',
    httpsProxy: 'http://127.0.0.1:9',
    noProxy: '*.corp.example',
  };
  writeFileSync(join(config, 'config.json'), JSON.stringify({ proxies: { default: proxy } }));
  const run = await site.apply([], {
    env: {
      ...site.env,
      DOCKER_CONFIG: config,
      DOCKER_TLS_VERIFY: '1',
      DOCKER_CERT_PATH: '/none',
      DOCKER_API_VERSION: '1.99',
      DOCKER_CONTENT_TRUST: '1',
      DOCKER_DEFAULT_PLATFORM: 'linux/s390x',
    },
  });
  expect(run.code, run.stderr).toBe(0);
  expect(JSON.stringify(run.events)).toContain(
    'DOCKER_CONTENT_TRUST, DOCKER_DEFAULT_PLATFORM, DOCKER_TLS_VERIFY are set',
  );
  for (const service of ['caddy', 'snac']) {
    const id = site.containers()[service] ?? '';
    const environment = docker('inspect', '--format', '{{json .Config.Env}}', id);
    // Outgoing requests still use the proxy.
    expect(environment).toContain('"HTTP_PROXY=http://127.0.0.1:9"');
    expect(environment).toMatch(/"no_proxy=\*\.corp\.example,localhost,[^"]*snac/);
  }
});
