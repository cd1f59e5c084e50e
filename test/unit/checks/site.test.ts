/** What the doctor sees of a site: its containers by what the engine says, its certificates by real handshakes. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkCertificates } from '../../../wizard/checks/site.ts';
import type { Container } from '../../../wizard/docker/engine.ts';
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
    ['none', [setup], ['blocker'], /web does not exist.*fedi-setup apply.*web missing/],
    ['stopped', [container('web', { state: 'exited', exitCode: 137 }), setup], ['blocker'], /web is exited, with exit code 137.*last lines of web/],
    ['unhealthy', [container('web', { health: 'unhealthy' }), setup], ['blocker'], /web is unhealthy.*Health check exceeded timeout.*last lines of web/s],
    ['unhealthy, started two minutes ago', [container('web', { health: 'unhealthy', startedAt: '1969-12-31T23:58:00Z' }), setup], ['warning'], /web started a short time ago and is not healthy yet.*exceeded timeout/s],
    ['one process of it was killed for memory', [container('web', { oomKilled: true }), setup], [], /web healthy/],
    ['restarting', [container('web', { state: 'restarting', exitCode: 2 }), setup], ['blocker'], /web stops again and again, with exit code 2/],
    ['out of memory', [container('web', { state: 'exited', oomKilled: true }), setup], ['blocker'], /out of memory/],
    ['restarted often', [container('web', { restarts: 9 }), setup], ['warning'], /web was restarted 9 times/],
    ['a one-shot that failed', [web, { ...setup, exitCode: 1 }], ['blocker'], /setup is exited, with exit code 1/],
  ];
  test.each(rows)('%s', async (_, containers, levels, words) => {
    const engine = { containers: async () => containers, logs: async (id: string) => `last lines of ${id}` };
    const looked = await runCheck('containers', contextOf({}, { folder, engine }));
    expect(looked?.found.map(({ level }) => level)).toEqual(levels);
    const said = looked?.found.flatMap(({ what, next, log = '' }) => [what, next, log]) ?? [];
    expect([...said, looked?.seen].join(' ')).toMatch(words);
  });

  test('a site that was never written has none', async () => {
    expect(await runCheck('containers', contextOf({}, { folder: '/nonexistent' }))).toBeUndefined();
  });
});

describe('certificates', () => {
  const folder = tempFolder();
  let server: Server;
  let port: number;
  const from = new Date(Math.floor(Date.now() / 1000) * 1000);
  beforeAll(async () => {
    const key = join(folder, 'key.pem');
    const cert = join(folder, 'cert.pem');
    // prettier-ignore
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
      '-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=social.example.org'], { stdio: 'ignore' });
    server = createServer({ key: readFileSync(key), cert: readFileSync(cert) });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterAll(() => server.close());

  const lookAfter = (hours: number, at = port) =>
    checkCertificates(
      contextOf({ bind: '127.0.0.1' }, { exists: true, now: () => new Date(from.getTime() + hours * HOUR) }),
      at,
    );

  test.each([
    [1, [], /social\.example\.org until 20\d\d-\d\d-\d\d \d\d:\d\d/],
    [18, [], /until/],
    [20, ['warning'], /runs out on 20.*has not renewed it/],
    [25, ['blocker'], /ran out on 20/],
  ])('of one day, after %i hours', async (hours, levels, words) => {
    const looked = await lookAfter(hours);
    expect(looked?.found.map(({ level }) => level)).toEqual(levels);
    expect([...(looked?.found.map(({ what }) => what) ?? []), looked?.seen].join(' ')).toMatch(words);
  });

  test('none at all', async () => {
    expect((await lookAfter(1, 1))?.found).toMatchObject([
      { level: 'blocker', what: 'Caddy serves no certificate for social.example.org.' },
    ]);
  });

  test('not looked for before there is a site, nor where a proxy has them', async () => {
    expect(await runCheck('certificates', contextOf())).toBeUndefined();
    expect(
      await runCheck('certificates', contextOf({ 'tls.mode': 'proxy' }, { exists: true })),
    ).toBeUndefined();
  });
});
