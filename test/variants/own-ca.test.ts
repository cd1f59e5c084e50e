/** `trust.ca`: one file for a private CA of the ACME server (Pebble) and one of the mail server (Postfix), both real, over TLS. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needImages, pebble, resolving, testCa, until } from '../support/acme.ts';
import type { AcmeServer } from '../support/acme.ts';
import { MAIL_HOST, MAIL_PASSWORD, MAIL_USER, postfix } from '../support/postfix.ts';
import { createNetwork, docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';

const PATIENCE_MS = 10 * 60_000;
const NETWORK = 'test-own-ca';
const ca = testCa();
// Removed first: a leftover of an aborted run would block the site's network.
const server = await postfix('test-own-ca-postfix');
const site = testSite('own-ca', 212, 'own.fedi.test');
let acme: AcmeServer;

const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...resolving(site.env, { [site.domain]: site.bind }),
  FEDI_TLS_MODE: 'directory',
  FEDI_TLS_DIRECTORY: acme.directory,
  ...more,
});
const MAIL: NodeJS.ProcessEnv = {
  FEDI_MAIL_MODE: 'smtp',
  FEDI_MAIL_HOST: MAIL_HOST,
  FEDI_MAIL_PORT: '465',
  FEDI_MAIL_USER: MAIL_USER,
  FEDI_MAIL_PASSWORD: MAIL_PASSWORD,
};
const OWN: NodeJS.ProcessEnv = { FEDI_TRUST_CA: 'own.pem' };
const error = ({ events }: Run): string => JSON.stringify(events.find(({ event }) => event === 'problem'));
const proofs = ({ events }: Run): Record<string, unknown>[] =>
  events.filter(({ event }) => event === 'proof');
const open = (run: Run): unknown[] =>
  proofs(run)
    .filter(({ ok }) => ok !== true)
    .map(({ id, seen }) => [id, seen]);
const seenBy = (run: Run, id: string): string =>
  String(proofs(run).find((one) => one['id'] === id)?.['seen']);

describe.sequential('a private CA', { timeout: PATIENCE_MS }, () => {
  beforeAll(async () => {
    needImages('pebble', 'postfix');
    createNetwork(NETWORK);
    acme = await pebble('acme', NETWORK, ca, { httpPort: 80, tlsPort: 443 });
    mkdirSync(site.folder, { recursive: true });
    writeFileSync(
      join(site.folder, 'compose.override.yaml'),
      `services:\n  caddy: { networks: { internet: { aliases: [${site.domain}] } } }\nnetworks:\n  internet: { external: true, name: ${NETWORK} }\n`,
    );
  });
  afterAll(() => {
    server.remove();
    site.remove();
    acme.remove();
    ca.remove();
    docker('network', 'rm', NETWORK);
  });

  test('without it: no certificate, and the reason names the option', async () => {
    const run = await site.apply([], { env: env() });
    expect(run.code).toBe(5);
    expect(seenBy(run, 'certificate')).toMatch(
      /does not trust the certificate of the CA’s server\. Put the root certificate into trust\/custom, set trust\.ca/,
    );
  });

  test('without it: the mail server is refused before anything is written', async () => {
    await server.start(`${site.name}_snac_front`);
    const before = site.read('fedi.yaml');
    const run = await site.apply([], { env: env(MAIL) });
    expect([run.code, error(run)]).toEqual([
      2,
      expect.stringMatching(/mail test CA, is not a CA that the apps trust.*name the file with --trust-ca/),
    ]);
    expect(site.read('fedi.yaml')).toBe(before);
  });

  test('a file that is not there: refused, nothing is written', async () => {
    const before = site.read('fedi.yaml');
    const run = await site.apply([], { env: env(OWN) });
    expect([run.code, error(run)]).toEqual([2, expect.stringContaining('which trust.ca names')]);
    expect(site.read('fedi.yaml')).toBe(before);
  });

  test('with it: the certificate is issued, the mail is sent, and all is proven', async () => {
    const mail = /-----BEGIN CERT[\s\S]+?END CERTIFICATE-----/.exec(server.root)?.[0] ?? '';
    mkdirSync(join(site.folder, 'trust/custom'), { recursive: true });
    writeFileSync(
      join(site.folder, 'trust/custom/own.pem'),
      [ca.certificate, acme.root, mail].map((pem) => `${pem.trim()}\n`).join(''),
    );
    const run = await site.apply([], { env: env({ ...OWN, ...MAIL }) });
    expect(open(run)).toEqual([]);
    expect(run.code).toBe(0);
    expect(seenBy(run, 'certificate')).toMatch(/^from Pebble Intermediate CA/);
    expect(seenBy(run, 'mail')).toContain(MAIL_HOST);
    expect(await until('the mail', () => server.inbox() || undefined)).toContain(
      `From: snac-daemon@${site.domain}`,
    );
  });

  test('snac still trusts the public CAs', () => {
    const count = (path: string): number =>
      Number(
        execFileSync(
          'docker',
          ['exec', site.containers()['snac'] ?? '', 'grep', '-c', 'BEGIN CERTIFICATE', path],
          { encoding: 'utf8' },
        ),
      );
    expect(count('/etc/ssl/certs/ca-certificates.crt')).toBe(
      count('/usr/share/snac/ca-certificates.crt') + 3,
    );
  });

  test('mail test and a second run use it; once the file is gone, a run is refused, the rest goes on', async () => {
    const mail = (): Promise<Run> => tool(['mail', 'test', '--dir', site.folder, '--json'], { env: env() });
    expect((await mail()).code).toBe(0);
    const again = await site.apply([], { env: env(MAIL) });
    expect([again.code, open(again)]).toEqual([0, []]);
    rmSync(join(site.folder, 'trust/custom/own.pem'));
    const refused = await site.apply([], { env: env(MAIL) });
    expect([refused.code, error(refused)]).toEqual([2, expect.stringContaining('There is no file')]);
    expect((await mail()).code).toBe(0);
    const proven = await tool(['prove', '--dir', site.folder, '--json'], { env: env() });
    expect([proven.code, open(proven)]).toEqual([0, []]);
  });
});
