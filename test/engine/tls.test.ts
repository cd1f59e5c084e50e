/** Where certificates come from: ACME with a real server (Pebble), or a proxy in front (real nginx, real Caddy). */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { png } from '../../wizard/prove/activitypub.ts';
import { PICTURE_BYTES, client, multipartFile } from '../../wizard/prove/http.ts';
import { attempt, needImages, pebble, resolving, testCa, until } from '../support/acme.ts';
import type { AcmeServer } from '../support/acme.ts';
import { createNetwork, docker, testSite, tool } from '../support/site.ts';
import type { Run, TestSite } from '../support/site.ts';

const NETWORK = 'test-tls';
const CADDY = 'fedi-setup/caddy:trixie';
/** Address of this host on the network: both proxies in containers and this host reach a site there. */
const GATEWAY = '198.51.100.1';

const ca = testCa();
const remove: (() => void)[] = [() => ca.remove()];

beforeAll(() => {
  needImages('nginx', 'pebble');
  // Public addresses, as visitors have: headers from private addresses are trusted.
  createNetwork(NETWORK, '--subnet', '198.51.100.0/24', '--gateway', GATEWAY);
});
afterAll(() => {
  for (const one of remove.toReversed()) one();
  docker('network', 'rm', NETWORK);
});

const proofs = (run: Run): Record<string, unknown>[] => run.events.filter(({ event }) => event === 'proof');
const seenBy = (run: Run, id: string): string =>
  String(proofs(run).find((proof) => proof['id'] === id)?.['seen']);

/** Gives the site's ingress a name in the test's internet, under which the CA reaches it. */
function reachableAs(site: TestSite, name: string): void {
  mkdirSync(site.folder, { recursive: true });
  writeFileSync(
    join(site.folder, 'compose.override.yaml'),
    `services:
  caddy: { networks: { internet: { aliases: [${name}] } } }
networks:
  internet: { external: true, name: ${NETWORK} }
`,
  );
}

function caddyLog(site: TestSite): { msg?: string; identifier?: string; challenge?: string }[] {
  return execFileSync('sh', ['-c', `docker logs ${site.containers()['caddy']} 2>&1`], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { msg?: string });
}

/** Types of the challenges that this site's Caddy answered. */
const challengesOf = (site: TestSite): string[] => [
  ...new Set(
    caddyLog(site)
      .filter(({ msg }) => msg?.startsWith('served key authentication'))
      .map(({ challenge }) => String(challenge)),
  ),
];

function servedBy(address: string, name: string): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port: 443, servername: name, rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (certificate === undefined) reject(new Error('no certificate'));
      else resolve(certificate);
    });
    socket.on('error', reject);
  });
}

describe.sequential('certificates by ACME', () => {
  const one = testSite('tls-one', 24, 'one.fedi.test');
  const two = testSite('tls-two', 25, 'two.fedi.test');
  remove.push(one.remove, two.remove);
  // Ports that the CA reaches: only 80, only 443, neither.
  let by80: AcmeServer;
  let by443: AcmeServer;
  let blocked: AcmeServer;
  let env = (_site: TestSite, _acme: { directory: string }): NodeJS.ProcessEnv => ({});

  beforeAll(async () => {
    by80 = await pebble('by80', NETWORK, ca, { httpPort: 80, tlsPort: 5001 });
    by443 = await pebble('by443', NETWORK, ca, { httpPort: 5002, tlsPort: 443, refused: [one.domain] });
    blocked = await pebble('blocked', NETWORK, ca, { httpPort: 5002, tlsPort: 5001 });
    remove.push(by80.remove, by443.remove, blocked.remove);
    for (const site of [one, two]) {
      mkdirSync(join(site.folder, 'caddy/custom'), { recursive: true });
      // One file contains the CA certificate of the CAs' own addresses and those of the issued certificates.
      const roots = [ca.certificate, by80.root, by443.root, blocked.root];
      writeFileSync(
        join(site.folder, 'caddy/custom/roots.pem'),
        `${roots.map((pem) => pem.trim()).join('\n')}\n`,
      );
    }
    env = (site, { directory }) => ({
      ...resolving(site.env, { [site.domain]: site.bind }),
      FEDI_TLS_MODE: 'directory',
      FEDI_TLS_DIRECTORY: directory,
      FEDI_TLS_DIRECTORY_ROOT: 'roots.pem',
    });
  });

  test('TLS-ALPN-01: the first run waits for the certificate and is proven', async () => {
    reachableAs(two, two.domain);
    const run = await two.apply([], { env: env(two, by443) });
    expect(proofs(run).filter(({ ok }) => ok !== true)).toEqual([]);
    expect(run.code).toBe(0);
    expect(proofs(run)[0]).toMatchObject({ id: 'certificate', title: 'Certificate of two.fedi.test' });
    expect(seenBy(run, 'certificate')).toMatch(/^from Pebble Intermediate CA \w+, until \d{4}-\d\d-\d\d$/);
    expect(challengesOf(two)).toEqual(['tls-alpn-01']);
    expect(by443.log()).toContain('set VALID by completed challenge');
    const served = await servedBy(two.bind, two.domain);
    expect(served.subjectAltName).toBe('DNS:two.fedi.test');
    expect(seenBy(run, 'certificate')).toContain(served.issuer.replace('CN=', ''));
  });

  test.each([
    [
      'the ports are closed',
      () => blocked,
      [
        /^The CA issued no certificate for one\.fedi\.test\. It says: /,
        /by HTTP-01 \(port 80\): .*refused/,
        /by TLS-ALPN-01 \(port 443\): Failed to connect/,
        /are ports 80 and 443 open/,
        /`fedi-setup prove`/,
      ],
    ],
    [
      'the CA refuses the name',
      () => by443,
      [/^The CA issued no certificate for one\.fedi\.test\. It says: .*forbidden/, /Use another CA/],
    ],
    [
      'the CA is unreachable',
      () => ({ directory: 'https://nobody.fedi.test/dir' }),
      [
        /^Caddy got no certificate for one\.fedi\.test, since it could not reach the CA: .*no such host/,
        /Is tls\.directory right/,
      ],
    ],
  ] as const)('%s: running, not proven, with the reason', async (_what, acme, words) => {
    reachableAs(one, one.domain);
    const run = await one.apply([], { env: env(one, acme()) });
    expect(run.code).toBe(5);
    for (const word of words) expect(seenBy(run, 'certificate')).toMatch(word);
    // The other proofs would only report the missing certificate.
    expect(new Set(proofs(run).map(({ seen }) => seen))).toEqual(
      new Set([seenBy(run, 'certificate'), 'not tried: there is no certificate yet']),
    );
  });

  test('the name points elsewhere: the CA’s error; once fixed, `prove` has Caddy try again', async () => {
    const lead = (name: string): void => {
      const caddy = one.containers()['caddy'] ?? '';
      docker('network', 'disconnect', NETWORK, caddy);
      docker('network', 'connect', '--alias', name, NETWORK, caddy);
    };
    lead('elsewhere.fedi.test');
    const failed = await one.apply([], { env: env(one, by80) });
    expect(failed.code).toBe(5);
    // The first challenge is chosen at random, and Caddy treats Pebble's type of this error as final.
    expect(seenBy(failed, 'certificate')).toMatch(
      /by (HTTP-01 \(port 80\)|TLS-ALPN-01 \(port 443\)): .*no such host/,
    );
    expect(seenBy(failed, 'certificate')).toContain('Give one.fedi.test an A record');

    lead(one.domain);
    const run = await tool(['prove', '--dir', one.folder, '--json'], { env: env(one, by80) });
    expect(proofs(run).filter(({ ok }) => ok !== true)).toEqual([]);
    expect(run.code).toBe(0);
    expect(challengesOf(one)).toEqual(['http-01']);
    expect(by80.log()).toContain('Attempting to validate w/ HTTP: http://one.fedi.test:80/');
    const served = await servedBy(one.bind, one.domain);
    expect(seenBy(run, 'certificate')).toContain(served.issuer.replace('CN=', ''));
  });
});

describe.sequential('behind your own proxy', () => {
  const domain = 'behind.fedi.test';
  const site = testSite('tls-behind', 26, domain);
  remove.push(site.remove);
  const PROXY_PORT = 8080;
  const CLAIMED = '203.0.113.9';
  const fronts = { nginx: '127.0.0.27', caddy: '127.0.0.28' } as const;
  let env: NodeJS.ProcessEnv = {};
  let acme: AcmeServer;

  beforeAll(async () => {
    env = { ...site.env, FEDI_TLS_MODE: 'proxy', FEDI_BIND: GATEWAY, FEDI_TLS_PORT: String(PROXY_PORT) };
    acme = await pebble('front', NETWORK, ca, { httpPort: 80, tlsPort: 443 });
    writeFileSync(join(ca.folder, 'front-root.pem'), acme.root);
    container('client', CADDY, [], ['sleep', 'infinity']);
    remove.push(acme.remove);
  });

  function container(
    name: string,
    image: string,
    options: readonly string[],
    argv: readonly string[] = [],
  ): void {
    attempt('rm', '--force', '--volumes', `${NETWORK}-${name}`);
    docker(
      'run',
      '--detach',
      '--name',
      `${NETWORK}-${name}`,
      '--network',
      NETWORK,
      ...options,
      image,
      ...argv,
    );
    remove.push(() => attempt('rm', '--force', '--volumes', `${NETWORK}-${name}`));
  }

  const published = (address: string): string[] =>
    [80, 443].flatMap((port) => ['--publish', `${address}:${port}:${port}`]);

  /** Environment in which the name resolves to a proxy, whose certificate is trusted. */
  const through = (front: keyof typeof fronts): NodeJS.ProcessEnv => ({
    ...resolving(env, { [domain]: fronts[front] }),
    NODE_EXTRA_CA_CERTS: join(ca.folder, front === 'nginx' ? 'ca.pem' : 'front-root.pem'),
  });
  const rootOf = (front: keyof typeof fronts): string => (front === 'nginx' ? ca.certificate : acme.root);

  const held = (address: string): string => createHash('md5').update(address).digest('hex');

  /** Fails to log in from a container with its own address while its headers claim another. */
  const failLogIn = (base: string, ...options: string[]): void => {
    docker('exec', site.containers()['snac'] ?? '', 'rm', '-rf', '/data/badlogin');
    // prettier-ignore
    docker('exec', `${NETWORK}-client`, 'curl', '--silent', '--show-error', '--insecure', ...options,
      '--header', `Host: ${domain}`, '--header', `X-Forwarded-For: ${CLAIMED}`, '--header', `Remote-Addr: ${CLAIMED}`,
      '--data', 'login=anna&passwd=wrong&redir=x&cid=x&state=', `${base}/oauth/x-snac-login`);
  };

  /** Addresses with failed log-ins according to snac: hashes. */
  const badLogins = (): string[] =>
    docker('exec', site.containers()['snac'] ?? '', 'sh', '-c', 'ls /data/badlogin 2>/dev/null || true')
      .split('\n')
      .filter(Boolean);

  test('until the proxy forwards here, the site runs, is not proven, and names its snippets', async () => {
    const run = await site.apply([], { env: through('nginx') });
    expect(run.code).toBe(5);
    expect(seenBy(run, 'proxy')).toContain('front/nginx.conf');
    expect(site.read('front/nginx.conf')).toContain(`proxy_pass http://${GATEWAY}:${PROXY_PORT};`);
    expect(site.read('front/Caddyfile')).toContain(`reverse_proxy ${GATEWAY}:${PROXY_PORT}`);
  });

  /** nginx with that configuration in front; it uses our certificates. */
  async function nginx(conf: string): Promise<void> {
    const { certificate, key } = ca.issue(domain);
    const live = `/etc/letsencrypt/live/${domain}`;
    container('nginx', 'fedi-setup/nginx:trixie', [
      ...published(fronts.nginx),
      `--volume=${conf}:/etc/nginx/conf.d/fedi.conf:ro`,
      `--volume=${certificate}:${live}/fullchain.pem:ro`,
      `--volume=${key}:${live}/privkey.pem:ro`,
    ]);
    await until('nginx', () => servedBy(fronts.nginx, domain).catch(() => undefined));
  }
  const prove = (): Promise<Run> =>
    tool(['prove', '--dir', site.folder, '--json'], { env: through('nginx') });

  test.each([
    [
      'drops Host',
      'proxy_set_header Host $host;',
      '',
      /forwards requests for behind\.fedi\.test with the Host /,
    ],
    ['drops X-Forwarded-Proto', 'proxy_set_header X-Forwarded-Proto https;', '', /without X-Forwarded-Proto/],
    ['asks for a password', 'proxy_buffering off;', 'return 401;', /answers 401 .*log in/],
    [
      'shows its own page',
      'proxy_buffering off;',
      'return 200 "";',
      /^Another server answers .*an empty page/,
    ],
  ])('refuses nginx that %s', async (_, from, to, words) => {
    const text = site.read('front/nginx.conf');
    expect(text).toContain(from);
    const conf = join(ca.folder, 'broken.conf');
    writeFileSync(conf, text.replace(from, to));
    await nginx(conf);
    const run = await prove();
    expect(seenBy(run, 'proxy')).toMatch(words);
    expect(run.code).toBe(5);
    // No other proof ran.
    expect(proofs(run).filter(({ skipped }) => skipped === true)).toHaveLength(proofs(run).length - 1);
  });

  test('with front/nginx.conf unchanged, nginx forwards to a proven site', async () => {
    await nginx(join(site.folder, 'front/nginx.conf'));
    const run = await prove();
    expect(proofs(run).filter(({ ok }) => ok !== true)).toEqual([]);
    expect(run.code).toBe(0);
    expect(seenBy(run, 'proxy')).toContain('(NODE_EXTRA_CA_CERTS), which visitors may not');
  });

  test('with front/Caddyfile unchanged, another Caddy forwards to a proven site', async () => {
    const main = join(ca.folder, 'front.Caddyfile');
    writeFileSync(main, `{\n\tacme_ca ${acme.directory}\n\tacme_ca_root /etc/caddy/ca.pem\n}\nimport fedi\n`);
    container('caddy', CADDY, [
      ...published(fronts.caddy),
      `--network-alias=${domain}`,
      `--volume=${main}:/etc/caddy/Caddyfile:ro`,
      `--volume=${join(ca.folder, 'ca.pem')}:/etc/caddy/ca.pem:ro`,
      `--volume=${join(site.folder, 'front/Caddyfile')}:/etc/caddy/fedi:ro`,
    ]);
    await until('Caddy in front', () => servedBy(fronts.caddy, domain).catch(() => undefined));
    const run = await tool(['prove', '--dir', site.folder, '--json'], { env: through('caddy') });
    expect(proofs(run).filter(({ ok }) => ok !== true)).toEqual([]);
    expect(run.code).toBe(0);
  });

  /** Address of a container on the test's network. */
  const addressOf = (name: string): string =>
    docker(
      'inspect',
      '--format',
      `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`,
      `${NETWORK}-${name}`,
    );

  test.each(['nginx', 'caddy'] as const)('%s: HTTP redirects to HTTPS, without a loop', async (front) => {
    const http = client(fronts[front], rootOf(front));
    const plain = await http(`http://${domain}/anna`);
    expect([plain.status, plain.headers['location']]).toEqual([
      front === 'nginx' ? 301 : 308,
      `https://${domain}/anna`,
    ]);
    expect((await http(`https://${domain}/anna`)).status).toBe(200);
  });

  test.each(['nginx', 'caddy'] as const)(
    '%s: a file of 20 MB can be uploaded and downloaded',
    async (front) => {
      const http = client(fronts[front], rootOf(front));
      const { secrets } = JSON.parse(site.read('secrets.json')) as {
        secrets: Record<string, { value: string }>;
      };
      const granted = await http(`https://${domain}/oauth/x-snac-get-token`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ login: 'anna', passwd: secrets['snac.admin']?.value ?? '' }).toString(),
      });
      // Random bytes, which cannot be compressed on the way.
      const file = Buffer.concat([png(8, [1, 2, 3]), randomBytes(20 * 1024 * 1024)]);
      const { headers, body } = multipartFile('file', 'large.png', 'image/png', file);
      const sent = await http(`https://${domain}/api/v1/media`, {
        method: 'POST',
        headers: { ...headers, Authorization: `Bearer ${granted.text().trim()}` },
        body,
      });
      expect(sent.status).toBe(200);
      const read = await http(sent.json<{ url: string }>().url, { most: PICTURE_BYTES });
      expect(read.status).toBe(200);
      expect(read.body.equals(file)).toBe(true);
    },
  );

  test.each(['nginx', 'caddy'] as const)(
    '%s: snac counts a failed log-in for the client’s address, whatever headers it sends',
    (front) => {
      failLogIn(`https://${domain}`, '--resolve', `${domain}:443:${addressOf(front)}`);
      expect(badLogins()).toEqual([held(addressOf('client'))]);
    },
  );

  test('headers of other clients than the proxy are ignored, also on the published port', async () => {
    // Any private address is trusted, and the engine replaces every client address on a published port by a private one.
    failLogIn(`http://${GATEWAY}:${PROXY_PORT}`);
    expect(badLogins()).toEqual([held(CLAIMED)]);

    const run = await site.apply(['--tls-proxies', '198.51.100.250'], { env: through('nginx') });
    expect(seenBy(run, 'proxy')).toMatch(/^Your proxy connects from .*, which tls\.proxies does not include/);
    expect(run.code).toBe(5);
    failLogIn(`http://${GATEWAY}:${PROXY_PORT}`);
    expect(badLogins()).toHaveLength(1);
    expect(badLogins()).not.toEqual([held(CLAIMED)]);
  });

  test.each(['nginx', 'caddy'] as const)(
    '%s: a WebSocket opens and works in both directions',
    async (front) => {
      // Replaces the site: snac has no WebSocket, and this server reports what the snippet passes on.
      docker('stop', site.containers()['caddy'] ?? '');
      let asked: IncomingHttpHeaders = {};
      const echo = createServer((_request, response) => response.end()).on('upgrade', (request, socket) => {
        asked = request.headers;
        const accept = createHash('sha1')
          .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64');
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        );
        socket.pipe(socket);
      });
      echo.listen(PROXY_PORT, GATEWAY);
      await once(echo, 'listening');
      try {
        const { socket } = await client(fronts[front], rootOf(front)).socket(`wss://${domain}/streaming`, {
          'X-Forwarded-For': CLAIMED,
        });
        const sent = 'there and back';
        socket.write(sent);
        let back = '';
        for await (const piece of socket) {
          back += String(piece);
          if (back.length >= sent.length) break;
        }
        expect(back).toBe(sent);
        expect(asked).toMatchObject({ host: domain, 'x-forwarded-proto': 'https' });
        expect(asked['x-forwarded-for']).not.toContain(CLAIMED);
      } finally {
        echo.close();
        echo.closeAllConnections();
      }
    },
  );
});
