/** The checks of a site: its containers by the engine's list, its certificates by real handshakes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkCertificates } from '../../../wizard/checks/site.ts';
import type { Container, Engine } from '../../../wizard/docker/engine.ts';
import { certificate } from '../../support/certificate.ts';
import { contextOf, runCheck } from '../../support/checks.ts';
import { tempFolder } from '../../support/temp.ts';

const HOUR = 3_600_000;

describe('containers', () => {
  const folder = tempFolder();
  writeFileSync(
    join(folder, 'compose.yaml'),
    'name: fedi\nservices:\n  web: { restart: unless-stopped }\n  setup: { restart: "no" }\n',
  );
  const container = (service: string, more: Partial<Container>): Container =>
    ({
      id: service,
      service,
      state: 'running',
      health: 'healthy',
      exitCode: 0,
      restarts: 0,
      oomKilled: false,
      startedAt: '1969-12-31T20:00:00Z',
      healthLog: [{ exitCode: -1, output: 'Health check exceeded timeout (5s)' }],
      ...more,
    }) as Container;
  const web = container('web', {});
  const setup = container('setup', { state: 'exited', health: undefined });

  // prettier-ignore
  const rows: [wrong: string, containers: Container[], levels: string[], words: RegExp][] = [
    ['all well', [web, setup], [], /^web healthy, setup done$/],
    ['one is missing', [setup], ['blocker'], /web does not exist.*fedi-setup apply.*web missing/],
    ['a completed one-shot was pruned', [web], [], /^web healthy, setup done$/],
    ['none at all', [], ['blocker'], /^The site has no containers\. Run `fedi-setup apply`\./],
    ['only of another service', [container('mine', {})], ['blocker'], /The site has no containers/],
    ['stopped', [container('web', { state: 'exited', exitCode: 137 }), setup], ['blocker'], /web has stopped, with exit code 137.*last lines of web/],
    ['unhealthy', [container('web', { health: 'unhealthy' }), setup], ['blocker'], /web is unhealthy.*Health check exceeded timeout.*last lines of web/s],
    ['unhealthy, started two minutes ago', [container('web', { health: 'unhealthy', startedAt: '1969-12-31T23:58:00Z' }), setup], ['warning'], /web started a short time ago and is not healthy yet.*exceeded timeout/s],
    ['one of its processes was killed: out of memory', [container('web', { oomKilled: true }), setup], [], /web healthy/],
    ['restarting', [container('web', { state: 'restarting', exitCode: 2 }), setup], ['blocker'], /web stops again and again, with exit code 2/],
    ['out of memory', [container('web', { state: 'exited', oomKilled: true }), setup], ['blocker'], /out of memory/],
    ['restarted often', [container('web', { restarts: 9 }), setup], ['warning'], /web was restarted 9 times/],
    ['a one-shot that failed', [web, { ...setup, exitCode: 1 }], ['blocker'], /setup has stopped, with exit code 1/],
  ];
  test.each(rows)('%s', async (_, containers, levels, words) => {
    const engine = { containers: async () => containers, logs: async (id: string) => `last lines of ${id}` };
    const looked = await runCheck('containers', contextOf({}, { folder, engine }));
    expect(looked?.found.map(({ level }) => level)).toEqual(levels);
    const sentences = looked?.found.flatMap(({ what, next, log = '' }) => [what, next, log]) ?? [];
    expect([...sentences, looked?.seen].join(' ')).toMatch(words);
  });

  test('a site that was never written', async () => {
    expect(await runCheck('containers', contextOf({}, { folder: '/nonexistent' }))).toBeUndefined();
  });
});

describe('certificates', () => {
  const NAME = 'social.example.org';
  const folder = tempFolder();
  mkdirSync(join(folder, 'trust'));
  const own = certificate(NAME);
  const foreign = certificate(NAME);
  const elsewhere = certificate('other.example.org');
  const from = new Date(Math.floor(Date.now() / 1000) * 1000);
  const KNOWN = `fedi-setup host=${NAME} proto= from=127.0.0.1 trusted=false upgrade=`;
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) server.close();
  });

  /** A server with this certificate and this response body; resolves to its port. */
  async function listen(with_: typeof own, body = KNOWN): Promise<number> {
    const server = createServer(with_, (request, response) =>
      response.end(request.url === '/.well-known/fedi-setup/id' ? body : ''),
    );
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  const engine: Partial<Engine> = {
    containers: async () => [{ service: 'caddy', state: 'running', id: 'caddy' } as Container],
    exec: async () => ({ code: 0, stdout: 'id', stderr: '' }),
  };
  async function look(port: number, { hours = 1, trusts = own.cert, tls = 'internal', ...more } = {}) {
    writeFileSync(join(folder, 'trust/root.crt'), trusts);
    const looked = await checkCertificates(
      contextOf(
        { bind: '127.0.0.1', 'tls.mode': tls },
        {
          folder,
          exists: true,
          engine: { ...engine, ...more },
          now: () => new Date(from.getTime() + hours * HOUR),
        },
      ),
      port,
    );
    const found = looked?.found ?? [];
    return { levels: found.map(({ level }) => level), what: found.map(({ what }) => what).join(), looked };
  }

  test.each([
    [1, [], /^$/],
    [16, [], /^$/],
    [17, ['warning'], /expires on 20.*has not renewed it/],
    [25, ['blocker'], /expired on 20/],
    [-2, ['blocker'], /is not valid before 20/],
  ])('valid for one day, after %i hours', async (hours, levels, words) => {
    const { looked, ...seen } = await look(await listen(own), { hours });
    expect(seen.levels).toEqual(levels);
    expect(seen.what).toMatch(words);
    expect(looked?.seen).toMatch(
      /^social\.example\.org until 20\d\d-\d\d-\d\d \d\d:\d\d UTC, issued by social/,
    );
  });

  test.each([
    [
      'another server’s for the same name',
      foreign,
      {},
      /issued by social\.example\.org, which browsers do not trust \(.*SELF_SIGNED/,
    ],
    [
      'from our own CA, where clients trust public ones only',
      own,
      { tls: 'acme' },
      /which browsers do not trust/,
    ],
    [
      'is for another name',
      elsewhere,
      { trusts: elsewhere.cert },
      /serves for social\.example\.org is for other\.example\.org/,
    ],
  ])('%s', async (_, with_, options, words) => {
    const seen = await look(await listen(with_), options);
    expect(seen.levels).toEqual(['blocker']);
    expect(seen.what).toMatch(words);
  });

  test.each(['', 'Welcome to nginx', '<html>'])(
    'a valid certificate, but another server: %j',
    async (body) => {
      const seen = await look(await listen(own, body));
      expect(seen.levels).toEqual(['blocker']);
      expect(seen.what).toMatch(
        /^A server other than this site’s Caddy answers for social\.example\.org on 127\.0\.0\.1:/,
      );
    },
  );

  test('does not identify a Caddy that does not run', async () => {
    expect((await look(await listen(own, ''), { containers: async () => [] } as object)).levels).toEqual([]);
  });

  test('no certificate', async () => {
    expect((await look(1)).what).toBe('No certificate is served for social.example.org on 127.0.0.1:1.');
  });

  test('is not checked before there is a site, or behind a proxy', async () => {
    expect(await runCheck('certificates', contextOf())).toBeUndefined();
    expect(
      await runCheck('certificates', contextOf({ 'tls.mode': 'proxy' }, { exists: true })),
    ).toBeUndefined();
  });
});
