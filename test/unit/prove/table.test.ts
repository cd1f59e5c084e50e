/** Every proof of every app, on a healthy server and on servers with one fault: no proof passes always. */
import { readFileSync, readdirSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { APP_IDS } from '../../../wizard/apps/index.ts';
import { TLS_MODES } from '../../../wizard/ingress/tls.ts';
import type { Runtime } from '../../../wizard/docker/runtime.ts';
import type { Client } from '../../../wizard/prove/http.ts';
import { gatesOf } from '../../../wizard/prove/prove.ts';
import { certificateProof } from '../../../wizard/prove/tls.ts';
import { certificate } from '../../support/certificate.ts';
import { configWith, failures, output, proofsOf, reply } from '../../support/fediverse.ts';
import type { Broken, Handler } from '../../support/fediverse.ts';

/** App (or `all`), proof, fault, how to cause it, and the message. */
type Row = [app: string, id: string, wrong: string, broken: (base: string) => Broken, words: RegExp];

const on = (route: string, handler: Handler): Broken => ({ routes: { [route]: handler } });
const json =
  (status: number, value: unknown): Handler =>
  () =>
    reply(status, value);
/** Output of a command in a container, selected by a part of the command. */
const prints = (part: string, stdout: string, code = 0, stderr = ''): Broken => ({
  inside: (_, { argv, stdin = '' }) =>
    `${argv.join(' ')} ${stdin}`.includes(part) ? output(stdout, code, stderr) : undefined,
});
const PAGE: Handler = () => reply(200, '<html>somebody else</html>', { 'content-type': 'text/html' });

// prettier-ignore
const ROWS: Row[] = [
  ['all', 'https', 'the front page fails', (base) => on(`GET ${base}/`, json(500, '')), /front page answered 500/],
  ['all', 'https', 'the front page is missing', (base) => on(`GET ${base}/`, json(404, '')), /front page answered 404/],
  ['all', 'https', 'an empty page', (base) => on(`GET ${base}/`, json(200, '')), /front page is empty/],
  ['all', 'https', 'a circle', (base) => on(`GET ${base}/`, () => reply(302, '', { location: `${base}/` })), /redirects to itself/],
  ['all', 'https', 'HTTP stays HTTP', (base) => on(`GET ${base.replace('https', 'http')}/`, json(200, 'x')), /instead of redirecting to HTTPS/],
  ['all', 'webfinger', 'not known', (base) => on(`GET ${base}/.well-known/webfinger`, json(404, '')), /WebFinger answered 404/],
  ['all', 'webfinger', 'a page', (base) => on(`GET ${base}/.well-known/webfinger`, PAGE), /not (valid )?JSON/],
  ['all', 'webfinger', 'no actor', (base) => on(`GET ${base}/.well-known/webfinger`, json(200, { links: [] })), /has no actor/],
  ['all', 'webfinger', 'an actor with an HTTP URL', (base) => on(`GET ${base}/.well-known/webfinger`, json(200, { links: [{ rel: 'self', type: 'application/activity+json', href: 'http://a/' }] })), /not HTTPS/],
  ['all', 'nodeinfo', 'other software', (base) => on(`GET ${base}/nodeinfo/2.0`, json(200, { software: { name: 'misskey' } })), /reports misskey, not/],
  ['all', 'nodeinfo', 'no index', (base) => on(`GET ${base}/.well-known/nodeinfo`, json(200, {})), /has no links/],
  ['all', 'actor', 'another id', (base) => on(`GET ${base}/users/anna`, json(200, { id: 'https://evil.org/' })), /has the id https:\/\/evil/],
  ['all', 'actor', 'no key', (base) => on(`GET ${base}/users/anna`, json(200, { id: `${base}/users/anna`, inbox: 'x' })), /no public key/],
  ['all', 'actor', 'no inbox', (base) => on(`GET ${base}/users/anna`, json(200, { id: `${base}/users/anna`, publicKey: { publicKeyPem: 'PUBLIC KEY' } })), /no inbox/],

  ['snac', 'neighbours', 'no address', () => prints('getent', ''), /finds no address of/],
  ['snac', 'neighbours', 'no answer', () => prints('curl', '0.0', 7, 'curl: (7) refused'), /the container cannot reach/],
  ['mastodon', 'neighbours', 'a private address', () => prints('getent', '10.0.0.7 STREAM x'), /Mastodon rejects/],
  ['pixelfed', 'neighbours', 'no address', () => prints('dns_get_record', '{"snac.x.org":{"addresses":[]}}'), /finds no address of snac/],

  ['snac', 'login', 'the password is not stored', () => ({ secrets: { 'snac.admin': undefined } }), /password is not in secrets\.json/],
  ['snac', 'login', 'the password is wrong', (base) => on(`POST ${base}/oauth/x-snac-login`, PAGE), /password in secrets\.json was rejected/],
  ['snac', 'login', 'somebody else', (base) => on(`GET ${base}/api/v1/accounts/verify_credentials`, json(200, { acct: 'eve' })), /logged in as eve/],
  ['mastodon', 'login', 'no token from the container', () => prints('AccessToken', '', 1, 'rails: no'), /no token could be created: rails: no/],
  ['mastodon', 'login', 'the password is wrong', (base) => ({ first: true, routes: { [`GET ${base}/auth/sign_in`]: () => reply(200, '<form method="post"></form>'), [`POST ${base}/auth/sign_in`]: PAGE } }), /password was rejected/],
  ['mastodon', 'login', 'somebody else', (base) => on(`GET ${base}/api/v1/accounts/verify_credentials`, json(200, { acct: 'eve' })), /logged in as eve/],
  ['pixelfed', 'login', 'no token from the container', () => prints('createToken', '', 1, 'php: no'), /php: no/],
  ['pixelfed', 'login', 'the password is wrong', (base) => ({ first: true, routes: { [`GET ${base}/login`]: () => reply(200, '<form method="post"></form>'), [`POST ${base}/login`]: () => reply(302, '', { location: `${base}/login` }) } }), /password was rejected/],
  ['pixelfed', 'login', 'nobody’s token', (base) => on(`GET ${base}/api/v1/accounts/verify_credentials`, json(401, '')), /token was rejected/],

  ['mastodon', 'instance', 'another name', (base) => on(`GET ${base}/api/v2/instance`, json(200, { domain: 'x' })), /reports the domain x/],
  ['pixelfed', 'instance', 'another title', (base) => on(`GET ${base}/api/v1/instance`, json(200, { uri: 'pixelfed.x.org', title: 'Old' })), /is named Old, not Pix/],
  ['pixelfed', 'server-actor', 'another id', (base) => on(`GET ${base}/i/actor`, json(200, { id: 'x' })), /its id is x/],
  ['pixelfed', 'server-actor', 'no key', (base) => on(`GET ${base}/i/actor`, json(200, { id: `${base}/i/actor` })), /no public key/],
  ['pixelfed', 'banner', 'another picture', (base) => on(`GET ${base}/banner.jpg`, PAGE), /another picture/],
  ['pixelfed', 'avatar', 'another picture', () => prints('pixelfed-avatar', '0000  -'), /another picture/],
  ['pixelfed', 'pictures', 'no picture', (base) => on(`GET ${base}/storage/avatars/default.jpg`, PAGE), /is not a picture/],
  ['pixelfed', 'pictures', 'closed', (base) => on(`GET ${base}/storage/avatars/default.jpg`, json(403, '')), /answered 403/],
  ['pixelfed', 'database-tls', 'without TLS', () => prints('Ssl_cipher', ''), /connects unencrypted/],
  ['pixelfed', 'horizon', 'not running', () => prints('horizon:status', '', 2, 'Horizon is inactive.'), /inactive/],

  ...['mastodon', 'pixelfed'].flatMap((app): Row[] => [
    [app, 'storage', 'no secret key', () => ({ secrets: { [`apps.${app}.s3.secret-key`]: undefined } }), /secret key is not in secrets\.json/],
    [app, 'storage', 'refused', () => on('PUT *.txt', json(403, '<Error><Code>AccessDenied</Code></Error>')), /key may not do this/],
    [app, 'storage', 'not public', () => on('GET *.txt', json(403, '')), /reading anonymously/],
    [app, 'storage', 'lost', () => on('HEAD *.txt', json(404, '')), /looking it up: .*not there/],
    [app, 'storage', 'no uploads in parts', () => on('POST *.bin', json(501, '<Error><Code>NotImplemented</Code></Error>')), /an upload in parts: .*NotImplemented.*long videos would fail/],
    [app, 'storage', 'kept', () => on('DELETE *.txt', json(403, '<Error><Code>AccessDenied</Code></Error>')), /deleting/],
    [app, 'upload', 'it is sent to an unusable bucket', () => on('PUT *.txt', json(403, '')), /^not tried: the bucket does not work$/],
    [app, 'upload', 'refused', (base) => on(`POST ${base}/api/v2/media`, json(413, '')), /upload answered 413/],
    [app, 'upload', 'no picture', () => on('GET https://s3.x.org/media/a.png', PAGE), /is not a picture/],
    [app, 'upload', 'not in the bucket', (base) => ({ routes: { [`GET ${base}/api/v1/media/7`]: json(200, { url: 'https://else.x.org/a.png', preview_url: 'https://else.x.org/b.png' }), 'GET https://else.x.org/a.png': () => reply(200, Buffer.alloc(99), { 'content-type': 'image/png' }), 'GET https://else.x.org/b.png': () => reply(200, Buffer.alloc(99), { 'content-type': 'image/png' }) } }), /not in the bucket/],
    [app, 'tidy', 'the token still works', () => ({ ...prints('revoked = true', '0'), routes: { [`POST https://${app}.x.org/oauth/revoke`]: json(200, {}) } }), /revoked token still works/],
    [app, 'tidy', 'no log-in', () => (app === 'mastodon' ? prints('AccessToken', '', 1) : prints('createToken', '', 1)), /^not tried: the log-in failed$/],
  ]),
  ['mastodon', 'upload', 'never shown', (base) => on(`GET ${base}/about`, json(200, 'x')), /Content-Security-Policy/],
  ['snac', 'upload', 'refused', (base) => on(`POST ${base}/api/v1/media`, json(500, '')), /upload answered 500/],
  ['snac', 'upload', 'other bytes', (base) => on(`GET ${base}/anna/s/a.png`, PAGE), /bytes that differ from/],

  ['snac', 'post', 'refused', (base) => on(`POST ${base}/api/v1/statuses`, json(401, '')), /post answered 401/],
  ['snac', 'post', 'not public', (base) => on(`GET ${base}/p/5`, json(404, '')), /as other servers fetch it answered 404/],
  ['snac', 'post', 'another text', (base) => on(`GET ${base}/p/5`, json(200, 'x')), /does not contain its text/],
  ['snac', 'post', 'not deleted', (base) => on(`DELETE ${base}/api/v1/statuses/5`, json(200, {})), /deleted post is still there/],
  ['pixelfed', 'post', 'no photo', (base) => on(`POST ${base}/api/v2/media`, json(413, '')), /^not tried: there is no photo$/],
  ['pixelfed', 'post', 'without its photo', (base) => on(`GET ${base}/p/5`, json(200, {})), /does not contain its photo/],
  ['pixelfed', 'post', 'still shown', (base) => on(`GET ${base}/api/v1/statuses/5`, json(200, {})), /deleted post is still shown/],
  ['mastodon', 'streaming', 'only another account’s post arrives', () => ({ live: 'closed' }), /socket was closed/],
  ['mastodon', 'streaming', 'not public', (base) => on(`GET ${base}/p/5`, json(403, '')), /as other servers fetch it answered 403/],
  ['mastodon', 'streaming', 'not deleted', (base) => on(`GET ${base}/api/v1/statuses/5`, json(200, {})), /deleted post is still there/],

  ['snac', 'mail', 'a wrong password', () => prints('sh -c jq', '', 67, '> AUTH PLAIN\n> c2VjcmV0\n< 535 5.7.8 authentication failed\ncurl: (67) Login denied'), /^mail\.x\.org:587: it rejected the log-in of anna\. .*\(535 5\.7\.8 authentication failed \(curl: \(67\) Login denied\)\)$/],
  ['snac', 'mail', 'no such host', () => prints('sh -c jq', '', 6, 'curl: (6) Could not resolve host: mail.x.org'), /mail\.x\.org does not exist in the DNS/],
  ['snac', 'mail', 'no server there', () => prints('sh -c jq', '', 7, 'curl: (7) Failed to connect to mail.x.org port 587 after 1 ms: Could not connect to server'), /nothing listens on port 587/],
  ['snac', 'mail', 'a refused sender', () => prints('sh -c jq', '', 55, '< 553 5.7.1 Sender address rejected: not owned by user\ncurl: (55) MAIL failed: 553'), /rejected snac-daemon@snac\.x\.org as the sender, and this app uses no other/],
  ['snac', 'mail', 'no STARTTLS', () => prints('sh -c jq', '', 64, 'curl: (64) Requested SSL level failed'), /offers no STARTTLS on port 587/],
  ['snac', 'mail', 'no answer', () => prints('sh -c jq', '', 0, ''), /curl ended with 0/],
  ['mastodon', 'mail', 'a wrong password', () => prints('deliver!', '{"error":"Net::SMTPAuthenticationError: 535 no"}'), /rejected the log-in/],
  ['mastodon', 'mail', 'Rails fails', () => prints('deliver!', '', 1, 'boom'), /boom/],
  ['pixelfed', 'mail', 'STARTTLS removed', () => prints('[\'mailer\']', '{"error":"TransportException: TLS required but neither TLS or STARTTLS are in use."}'), /offers no STARTTLS on port 587/],
  ['pixelfed', 'mail', 'PHP fails', () => prints('[\'mailer\']', '', 1, 'boom'), /boom/],
  ['snac', 'tidy', 'the picture stays', () => prints('rm -f', '', 1, 'rm: no'), /rm: no/],
  ['snac', 'tidy', 'the token still works', (base) => on(`POST ${base}/oauth/revoke`, json(200, {})), /revoked token still works/],
];

afterEach(() => {
  vi.useRealTimers();
});

describe.each(APP_IDS)('%s', (app) => {
  test('every proof succeeds', async () => {
    expect(await failures(proofsOf(app))).toEqual({});
  });

  test.each(ROWS.filter(([of]) => of === app || of === 'all'))(
    '%s: %s: %s',
    async (_, id, __, broken, words) => {
      const proofs = proofsOf(app, broken(`https://${app}.x.org`));
      expect((await failures(proofs))[id]).toMatch(words);
    },
  );
});

test('Pixelfed’s scheduler: no task has run', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const proofs = proofsOf('pixelfed', {
    inside: (_, { stdin = '' }) => {
      if (!stdin.includes('last_snapshot_at')) return undefined;
      // The proof's time limit passes at once.
      vi.setSystemTime(Date.now() + 3_600_000);
      return output('0');
    },
  });
  expect(await failures(proofs.filter(({ id }) => id === 'scheduler'))).toEqual({
    scheduler: 'the scheduler ran no task',
  });
});

test('an untrusted certificate at Caddy’s address', async () => {
  const server = createServer(certificate('social.example.org'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ingress = { runtime: {} as Runtime, address: '127.0.0.1', port, ca: undefined };
  try {
    await expect(certificateProof(ingress, ['social.example.org']).run()).rejects.toThrow(
      /which is not trusted here/,
    );
  } finally {
    server.close();
  }
});

test('an expired certificate that Caddy cannot renew: the cause may be this host’s clock', async () => {
  const name = 'social.example.org';
  const expired = certificate(name, -1);
  const server = createServer(expired);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ts = Date.now() / 1000 + 1;
  const x509 = 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
  const log = [
    { ts, msg: 'renewing certificate', identifier: name },
    { ts, msg: 'could not get certificate from issuer', identifier: name, error: x509 },
    { ts, msg: 'will retry', error: `[${name}] Renew: ${x509}` },
  ];
  const runtime = {
    logs: () => Promise.resolve(log.map((line) => JSON.stringify(line)).join('\n')),
  } as unknown as Runtime;
  try {
    await expect(
      certificateProof({ runtime, address: '127.0.0.1', port, ca: expired.cert }, [name]).run(),
    ).rejects.toThrow(
      /CA’s server seems to be out of date.*clock of this host.*The certificate that Caddy has for social\.example\.org ended on .*timedatectl set-ntp true$/,
    );
  } finally {
    server.close();
  }
});

/** Proofs before those of the apps; proxy.test.ts has failing cases for proxy and answer. */
const GATES = ['proxy', 'certificate', 'answer'];
/** Failing cases above, outside of the table. */
const ALONE = ['pixelfed scheduler'];

describe('each proof fails at least once', () => {
  const proven = APP_IDS.flatMap((app) => proofsOf(app).map(({ id }) => `${app} ${id}`));

  test('in this table', () => {
    const broken = new Set([
      ...ROWS.flatMap(([app, id]) =>
        app === 'all' ? APP_IDS.map((one) => `${one} ${id}`) : [`${app} ${id}`],
      ),
      ...ALONE,
    ]);
    expect(proven.filter((one) => !broken.has(one))).toEqual([]);
    expect([...broken].filter((one) => !proven.includes(one))).toEqual([]);
  });

  test('gates', () => {
    const of = (mode: string): string[] =>
      gatesOf(
        configWith({ 'tls.mode': mode, 'tls.directory': 'https://ca.example.org/directory' }),
        { names: ['a.x.org'], live: false },
        { runtime: {} as Runtime, ingress: '127.0.0.1', ca: undefined, http: {} as Client },
      ).map(({ proof }) => proof.id);
    expect([...new Set(TLS_MODES.flatMap(({ id }) => of(id)))].toSorted()).toEqual(GATES.toSorted());
  });

  test('the site above has every proof', () => {
    const root = new URL('../../../wizard/', import.meta.url);
    const written = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => /^(prove\/.*|apps\/.*\/(proofs|branding))\.ts$/.test(path))
      .flatMap((path) => [
        ...readFileSync(new URL(path, root), 'utf8').matchAll(
          /^\s+id: '([a-z-]+)',\n\s+(?:inside|title|needs)/gm,
        ),
      ])
      .map(([, id = '']) => id);
    const known = new Set([...proven.map((one) => one.split(' ')[1]), ...GATES]);
    expect(written.length).toBeGreaterThan(20);
    expect(written.filter((id) => !known.has(id) && !id.includes('.'))).toEqual([]);
  });
});
