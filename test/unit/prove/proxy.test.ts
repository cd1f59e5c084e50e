/** A proxy in front, or another server that answers: each way in which requests do not reach this site has its own message. */
import { describe, expect, test } from 'vitest';
import type { Client, Reply, RequestOptions } from '../../../wizard/prove/http.ts';
import { answerProof, proxyProof, trustedHere } from '../../../wizard/prove/tls.ts';

const NAME = 'social.example.org';
const INGRESS = '127.0.0.1:8080';

const reply = (status: number, text = '', headers: Reply['headers'] = {}): Reply => ({
  status,
  headers,
  body: Buffer.from(text),
  text: () => text,
  json: () => JSON.parse(text) as never,
});

interface Passed {
  host?: string;
  proto?: string;
  trusted?: boolean;
  upgrade?: string;
}
const known = ({ host = NAME, proto = 'https', trusted = true, upgrade = 'websocket' }: Passed = {}): Reply =>
  reply(200, `fedi-setup host=${host} proto=${proto} from=10.1.2.3 trusted=${trusted} upgrade=${upgrade}`);

const visitor = (answer: Reply | Error) => ({
  id: async () => 'c0ffee',
  http: (async (url: string) => {
    expect(url).toBe(`https://${NAME}/.well-known/fedi-setup/c0ffee`);
    if (answer instanceof Error) throw answer;
    return answer;
  }) as unknown as Client,
});
const failed = (code: string): Error =>
  new Error(`${NAME}: x`, { cause: Object.assign(new Error('x'), { code }) });
const prove = (answer: Reply | Error, live = false): Promise<string> =>
  proxyProof(visitor(answer), [NAME], INGRESS, live).run();

describe('a proxy', () => {
  test('forwards to this site', async () => {
    expect(await prove(known())).toBe(`https://${NAME}: your proxy forwards to this site`);
    expect(await prove(known({ upgrade: '' }))).toContain('to this site');
  });

  // prettier-ignore
  test.each<[string, Reply | Error, RegExp]>([
    ['Host dropped', known({ host: '127.0.0.1' }), /forwards requests for social\.example\.org with the Host 127\.0\.0\.1\..*ProxyPreserveHost/],
    ['no X-Forwarded-Proto', known({ proto: '' }), /without X-Forwarded-Proto/],
    ['X-Forwarded-Proto: http', known({ proto: 'http' }), /with X-Forwarded-Proto http,/],
    ['an unknown server', known({ trusted: false }), /connects from 10\.1\.2\.3, which tls\.proxies does not include/],
    ['a log-in required by the proxy', reply(401, 'who are you', { 'www-authenticate': 'Basic' }), /answers 401.*log in/],
    ['turned away', reply(403, 'no'), /answers 403.*denies access/],
    ['a log-in page elsewhere', reply(302, '', { location: 'https://sso.example.org/?rd=x' }), /redirects social\.example\.org to https:\/\/sso\.example\.org/],
    ['a redirect loop', reply(301, '', { location: `https://${NAME}/.well-known/fedi-setup/c0ffee` }), /in a loop \(301/],
    ['a relative redirect', reply(301, '', { location: '/x/' }), /in a loop/],
    ['back to HTTP', reply(301, '', { location: `http://${NAME}/` }), /redirects https:\/\/social\.example\.org back to http:\/\//],
    ['/.well-known kept', reply(404, 'nginx'), /404 below .*\.well-known.*certbot/],
    ['an empty page', reply(200), /^Another server answers for social\.example\.org \(200, an empty page\)/],
    ['another server', reply(200, '<h1>Welcome to nginx!</h1>'), /^Another server answers for social\.example\.org \(200\)/],
    ['another server’s fault', reply(500, 'x'), /^Another server answers/],
    ['no server behind it', reply(502), /answers 502 .*does not reach this site.*127\.0\.0\.1:8080/],
    ['no such name', failed('ENOTFOUND'), /does not exist in the DNS/],
    ['an untrusted certificate', failed('DEPTH_ZERO_SELF_SIGNED_CERT'), /without a certificate for/],
    ['nobody', failed('ECONNREFUSED'), /must answer for social\.example\.org/],
  ])('%s', async (_, answer, words) => {
    const message = await prove(answer).catch((error: Error) => error.message);
    expect(message).toMatch(words);
    expect(message).toMatch(/`fedi-setup (prove|apply)`\.$/);
  });

  test('WebSockets lost, if the site uses them', async () => {
    await expect(prove(known({ upgrade: '' }), true)).rejects.toThrow(/does not forward WebSockets/);
    expect(await prove(known(), true)).toContain('to this site');
  });

  test('tries a WebSocket only if the site uses them', async () => {
    const asked: (RequestOptions | undefined)[] = [];
    const http = (async (_: string, options?: RequestOptions) => {
      asked.push(options);
      return known();
    }) as unknown as Client;
    for (const live of [false, true])
      await proxyProof({ http, id: async () => 'x' }, [NAME], INGRESS, live).run();
    expect(asked.map((one) => one?.headers?.['Upgrade'])).toEqual([undefined, 'websocket']);
  });

  test('reports a Caddy that does not run', async () => {
    const id = async (): Promise<string> => {
      throw new Error('Caddy does not run');
    };
    await expect(proxyProof({ ...visitor(known()), id }, [NAME], INGRESS, false).run()).rejects.toThrow(
      /^Caddy does not run$/,
    );
  });
});

describe('the server that answers', () => {
  const answers = (answer: Reply) => answerProof(visitor(answer), [NAME]).run();
  test('this site', async () =>
    expect(await answers(known({ proto: '', trusted: false }))).toBe('this site'));
  test.each([
    reply(200),
    reply(404, 'x'),
    reply(200, 'fedi-setup'),
    reply(301, known().text()),
    known({ host: 'x.example.org' }),
  ])('another server', async (answer) => {
    await expect(answers(answer)).rejects.toThrow(/^Another server answers for social\.example\.org/);
  });
});

test('the evidence names CA certificates that only this run trusts', () => {
  expect(trustedHere({})).toBe('');
  expect(trustedHere({ NODE_EXTRA_CA_CERTS: '' })).toBe('');
  expect(trustedHere({ NODE_EXTRA_CA_CERTS: '/etc/ca.pem' })).toBe(
    '; this run also trusts /etc/ca.pem (NODE_EXTRA_CA_CERTS), which visitors may not',
  );
});
