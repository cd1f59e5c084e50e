/** A site on every address of the host, with IPv4 and IPv6. */
import { connect } from 'node:tls';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { docker, testSite } from '../support/site.ts';

const site = testSite('ipv6', 99);
afterAll(() => site.remove());

/** Names in the certificate that is served at an address. */
const served = (host: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port: 443, servername: site.domain, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? '');
      socket.destroy();
    });
    socket.setTimeout(3000, () => socket.destroy(new Error(`${host} does not answer`)));
    socket.on('error', reject);
  });
const networks = (): string[] =>
  Object.keys(
    JSON.parse(
      docker('inspect', '--format', '{{json .NetworkSettings.Networks}}', site.containers()['caddy'] ?? ''),
    ) as object,
  ).toSorted();

describe.sequential('every address', () => {
  test('both families answer, over a separate ingress network with IPv6', async () => {
    const run = await site.apply([], { env: { ...site.env, FEDI_BIND: '::' } });
    expect(run.code, run.stderr).toBe(0);
    // A new bridge has no IPv6 address yet: a client that connects then waits two minutes, a later one does not.
    for (const address of ['127.0.0.1', '::1'])
      await vi.waitFor(async () => expect(await served(address)).toBe(`DNS:${site.domain}`), {
        timeout: 60_000,
        interval: 500,
      });
    expect(networks()).toEqual([`${site.name}_edge6`, `${site.name}_snac_front`]);
    expect(docker('network', 'inspect', '--format', '{{.EnableIPv6}}', `${site.name}_edge6`)).toBe('true');
  });

  test('back to one address: the other family is closed, the app keeps its container', async () => {
    const before = site.containers();
    const run = await site.apply();
    expect(run.code, run.stderr).toBe(0);
    expect(await served(site.bind)).toBe(`DNS:${site.domain}`);
    await expect(served('::1')).rejects.toThrow();
    expect(networks()).toEqual([`${site.name}_edge`, `${site.name}_snac_front`]);
    expect(site.containers()['snac']).toBe(before['snac']);
  });
});
