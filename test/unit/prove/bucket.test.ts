/** The test of a bucket against servers that answer as a script says: every fault has its own message, within its limits. */
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import type { Bucket } from '../../../wizard/config/bucket.ts';
import { LIMITS, client } from '../../../wizard/prove/http.ts';
import type { Client } from '../../../wizard/prove/http.ts';
import { tryBucket } from '../../../wizard/prove/s3.ts';
import type { BucketRung, BucketTrial } from '../../../wizard/prove/s3.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import { certificate } from '../../support/certificate.ts';

const SECRET = 'kN2/of+the=bucket';
const servers: { server: Server; sockets: Set<Socket> }[] = [];
afterEach(() => {
  for (const { server, sockets } of servers.splice(0)) {
    server.close();
    for (const socket of sockets) socket.destroy();
  }
});

/** What a server does with the head of a request: method, path and the connection. */
type Script = (method: string, path: string, socket: Socket) => void;

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  servers.push({ server, sockets });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return (server.address() as AddressInfo).port;
}

const scripted = (script: Script): Promise<number> =>
  listen(
    createServer((socket) => {
      let head = '';
      socket.on('data', (chunk) => {
        const isNew = !head.includes('\r\n\r\n');
        head += chunk.toString('latin1');
        const [, method = '', path = ''] = /^(\S+) (\S+) /.exec(head) ?? [];
        if (isNew && head.includes('\r\n\r\n')) script(method, path, socket);
      });
    }),
  );

const answer = (socket: Socket, status: string, body = '', more = ''): void =>
  void socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`,
  );
const xml = (code: string, message = '', more = ''): string =>
  `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message>${more}</Error>`;

/** Writes without an end. */
function forever(socket: Socket, chunk: string, everyMs: number): void {
  const timer = setInterval(() => socket.write(chunk), everyMs);
  socket.on('close', () => clearInterval(timer));
}

const QUICK = { ...LIMITS, idleMs: 200, wholeMs: 400 };
const http = client(undefined, undefined, undefined, QUICK);
const bucketAt = (endpoint: string, more: Partial<Bucket> = {}): Bucket => ({
  endpoint,
  region: 'eu-test-1',
  name: 'media',
  accessKey: 'AKIATEST',
  alias: undefined,
  acl: 'public-read',
  style: 'path',
  ...more,
});
const trial = (endpoint: string, more: Partial<BucketTrial> = {}): Promise<BucketRung[]> =>
  tryBucket({
    http,
    bucket: bucketAt(endpoint),
    secretKey: new Secret(SECRET),
    origin: 'https://social.example.org',
    withParts: true,
    isEarly: false,
    ...more,
  });
/** The only rung: it failed. */
const failure = (rungs: readonly BucketRung[]): string => {
  const [first] = rungs;
  expect([rungs.length, first?.id, first?.state]).toEqual([1, 'write', 'failed']);
  return `${first?.seen}. ${first?.next}`;
};

describe('a server that cannot be used', () => {
  // prettier-ignore
  test.each<[string, Script, RegExp]>([
    ['silence', () => undefined, /127\.0\.0\.1:\d+ is silent or slow: no answer within 0\.2 s\. A firewall on the way/],
    ['a slow answer', (_, __, socket) => { socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n'); forever(socket, 'x', 20); }, /is silent or slow: no complete answer within 0\.4 s/],
    ['a body without an end', (_, __, socket) => { socket.write('HTTP/1.1 200 OK\r\n\r\n'); forever(socket, 'x'.repeat(30_000), 1); }, /the answer of 127\.0\.0\.1:\d+ has no end\. That is no S3 interface/],
    ['a header without an end', (_, __, socket) => { socket.write('HTTP/1.1 200 OK\r\n'); forever(socket, `x: ${'y'.repeat(30_000)}\r\n`, 1); }, /the header of the answer of .* has no end \(HPE_HEADER_OVERFLOW\)/],
    ['no HTTP', (_, __, socket) => void socket.end('220 mail.example.org ESMTP\r\n'), /does not speak HTTP \(HPE_INVALID_CONSTANT\)/],
    ['a connection that ends', (_, __, socket) => void socket.end(), /ended the connection \(ECONNRESET\)/],
    ['a web page', (_, __, socket) => answer(socket, '200 OK', '<html>\n<h1>It works!'), /answered 200 and does not seem to speak S3: <html> <h1>It works!\. Something else may listen there/],
    ['a refused method', (_, __, socket) => answer(socket, '405 Method Not Allowed', 'no'), /answered 405 and does not seem to speak S3: no/],
    ['garbage', (_, __, socket) => answer(socket, '500 x', '\u0000\u0001<<<<&&&'), /answered 500 and does not seem to speak S3: \\x00\\x01<<<</],
    ['control codes', (_, __, socket) => answer(socket, '418 x', xml('\u001b[2J', '\u001b]0;title\u0007 \u202eabc')), /answered 418: \\x1b\]0;title\\x07 \\u\{202e\}abc \(\\x1b\[2J\)/],
    ['a redirect to a page', (_, __, socket) => answer(socket, '302 Found', '', 'Location: https://example.org/login\r\n'), /redirects to https:\/\/example\.org\/login \(302\)\. Give the address of the S3 interface/],
    ['another region, in the header', (_, __, socket) => answer(socket, '301 x', '', 'x-amz-bucket-region: eu-west-3\r\n'), /the bucket is not in the region eu-test-1 \(PermanentRedirect\)\. It is in eu-west-3/],
    ['another region, in the body', (_, __, socket) => answer(socket, '400 x', xml('AuthorizationHeaderMalformed', 'wrong', '<Region>fsn1</Region>')), /not in the region eu-test-1 .*It is in fsn1/],
    ['another region, unnamed', (_, __, socket) => answer(socket, '307 x', xml('TemporaryRedirect', 'elsewhere')), /not in the region eu-test-1 \(TemporaryRedirect\)\. Use the region that your provider states/],
    ['a wrong secret key', (_, __, socket) => answer(socket, '403 x', xml('SignatureDoesNotMatch')), /the secret key does not belong to this access key \(SignatureDoesNotMatch\)\. Copy it again/],
    ['an unknown key', (_, __, socket) => answer(socket, '403 x', xml('InvalidAccessKeyId')), /there is no access key AKIATEST/],
    ['no bucket', (_, __, socket) => answer(socket, '404 x', xml('NoSuchBucket')), /there is no bucket media \(NoSuchBucket\)\. Create it/],
    ['a wrong style', (_, __, socket) => answer(socket, '403 x', xml('SecondLevelDomainForbidden')), /expects the bucket’s name before the host \(SecondLevelDomainForbidden\)\. Set style to virtual/],
    ['no rights, without a word', (_, __, socket) => answer(socket, '403 x'), /the key may not do this \(403\)\. It needs the rights s3:GetObject/],
    ['a busy provider', (_, __, socket) => answer(socket, '503 x', xml('SlowDown')), /the provider has a problem \(SlowDown\)\. Try again later/],
    ['an unknown error', (_, __, socket) => answer(socket, '507 x', xml('QuotaExceeded', `full ${'y'.repeat(5000)}`)), /answered 507: full y{155}… \(QuotaExceeded\)\. Look for this code/],
  ])('%s', async (_, script, words) => {
    const started = Date.now();
    expect(failure(await trial(`http://127.0.0.1:${await scripted(script)}`))).toMatch(words);
    expect(Date.now() - started).toBeLessThan(10_000);
  });

  test('nothing listens; the name does not exist', async () => {
    const port = await scripted(() => undefined);
    servers[0]?.server.close();
    const [refused] = await trial(`http://127.0.0.1:${port}`);
    expect([refused?.seen, refused?.isUnreached]).toEqual([
      `nothing listens at 127.0.0.1:${port} (ECONNREFUSED)`,
      true,
    ]);
    expect(failure(await trial('https://nowhere.invalid'))).toMatch(
      /nowhere\.invalid does not exist in the DNS|the DNS did not answer for nowhere\.invalid/,
    );
  });

  test('somebody else’s certificate, and an unknown CA', async () => {
    const own = certificate('else.example.org');
    const port = await listen(createTls({ cert: own.cert, key: own.key }));
    const at = (ca: string | undefined): Client => client('127.0.0.1', ca, undefined, QUICK);
    expect(failure(await trial(`https://s3.fedi.test:${port}`, { http: at(own.cert) }))).toMatch(
      /the certificate of s3\.fedi\.test:\d+ is for another name: DNS:else\.example\.org \(ERR_TLS_CERT_ALTNAME_INVALID\)\. Apps refuse it too/,
    );
    expect(failure(await trial(`https://else.example.org:${port}`, { http: at(undefined) }))).toMatch(
      /the certificate of else\.example\.org:\d+ is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    );
    expect(failure(await trial(`https://127.0.0.1:${await scripted(() => undefined)}`))).toMatch(
      /does not speak TLS there|is silent or slow/,
    );
  });

  test('the secret key is in no message', async () => {
    const port = await scripted((_, __, socket) => answer(socket, '500 x', 'no'));
    expect(JSON.stringify(await trial(`http://127.0.0.1:${port}`))).not.toContain(SECRET);
    const [missing] = await trial('https://nowhere.invalid', { secretKey: undefined });
    expect(missing?.seen).toBe('the secret key is not in secrets.json');
  });
});

/** A store that works, apart from what a test changes. */
function store(change: (method: string, path: string, socket: Socket) => boolean = () => false): {
  script: Script;
  requests: string[];
} {
  const requests: string[] = [];
  return {
    requests,
    script: (method, path, socket) => {
      requests.push(`${method} ${path.replace(/[0-9a-f-]{36}/, 'KEY')}`);
      if (change(method, path, socket)) return;
      const key = /^\/media\/(fedi-setup\/[0-9a-f-]{36}\.txt)$/.exec(path)?.[1] ?? '';
      const text = `fedi-setup was here, ${key}`;
      const more = `Content-Type: text/plain\r\nAccess-Control-Allow-Origin: *\r\n`;
      if (method === 'PUT') answer(socket, '200 OK', '', 'ETag: "1"\r\n');
      else if (method === 'HEAD')
        socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${text.length}\r\n\r\n`);
      else if (method === 'DELETE') answer(socket, '204 No Content');
      else if (key === '') answer(socket, '403 Forbidden', xml('AccessDenied'));
      else answer(socket, '200 OK', text, more);
    },
  };
}

describe('a server that stores, but not as it should', () => {
  const states = (rungs: readonly BucketRung[]): string[] => rungs.map(({ id, state }) => `${id} ${state}`);
  const GOOD = ['write passed', 'head passed', 'read passed', 'acl passed', 'cors passed', 'list passed'];

  test('nothing changed: every step passes', async () => {
    const { script, requests } = store();
    const rungs = await trial(`http://127.0.0.1:${await scripted(script)}`, { withParts: false });
    expect(states(rungs)).toEqual([...GOOD, 'delete passed']);
    expect(requests).toEqual([
      'PUT /media/fedi-setup/KEY.txt',
      'HEAD /media/fedi-setup/KEY.txt',
      'GET /media/fedi-setup/KEY.txt',
      'GET /media/',
      'DELETE /media/fedi-setup/KEY.txt',
    ]);
  });

  // prettier-ignore
  test.each<[string, (method: string, path: string, socket: Socket) => boolean, string, RegExp]>([
    ['another size', (method, _, socket) => method === 'HEAD' && !!socket.end('HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n'), 'head', /says that the object has 7 bytes; \d+ were written/],
    ['lost at once', (method, _, socket) => method === 'HEAD' && !!socket.end('HTTP/1.1 404 x\r\nConnection: close\r\n\r\n'), 'head', /just written is not there \(404\)/],
    ['other bytes', (method, path, socket) => { if (method !== 'GET' || !path.endsWith('.txt')) return false; answer(socket, '200 OK', '<html>', 'Content-Type: text/plain\r\n'); return true; }, 'read', /returned 6 bytes that differ from those written/],
    ['another type', (method, path, socket) => { if (method !== 'GET' || !path.endsWith('.txt')) return false; answer(socket, '200 OK', `fedi-setup was here, ${path.slice(7)}`); return true; }, 'read', /has the type \(none\) and was written as text\/plain\. Browsers would not show media/],
    ['an endless object', (method, path, socket) => { if (method !== 'GET' || !path.endsWith('.txt')) return false; socket.write('HTTP/1.1 200 OK\r\n\r\n'); forever(socket, 'x'.repeat(30_000), 1); return true; }, 'read', /has no end/],
    ['no parts', (_, path, socket) => { if (!path.includes('uploads')) return false; answer(socket, '501 x', xml('NotImplemented', 'no')); return true; }, 'parts', /answered 501: no \(NotImplemented\)\. .*Small files work; long videos would fail/],
    ['an error after 200', (method, path, socket) => {
      if (!path.includes('pload')) return false;
      if (method === 'DELETE') answer(socket, '204 x');
      else if (method === 'PUT') answer(socket, '200 OK', '', 'ETag: "2"\r\n');
      else answer(socket, '200 OK', path.includes('uploads') ? '<UploadId>a/b+c</UploadId>' : xml('InternalError'));
      return true;
    }, 'parts', /the provider has a problem \(InternalError\)/],
    ['not deleted', (method, _, socket) => { if (method !== 'DELETE') return false; answer(socket, '403 x', xml('AccessDenied')); return true; }, 'delete', /the key may not do this \(AccessDenied\)/],
  ])('%s', async (_, change, id, words) => {
    const { script, requests } = store(change);
    const rungs = await trial(`http://127.0.0.1:${await scripted(script)}`, { withParts: id === 'parts' });
    const last = rungs.at(-1);
    expect([last?.id, last?.state]).toEqual([id, 'failed']);
    expect(`${last?.seen}. ${last?.next}`).toMatch(words);
    // The object is removed, whatever failed.
    expect(requests.at(-1)).toBe('DELETE /media/fedi-setup/KEY.txt');
  });

  test('the upload in parts that fails is aborted', async () => {
    const { script, requests } = store((method, path, socket) => {
      if (!path.includes('pload')) return false;
      if (method === 'POST') answer(socket, '200 OK', '<UploadId>a/b+c</UploadId>');
      else answer(socket, '500 x', xml('InternalError'));
      return true;
    });
    await trial(`http://127.0.0.1:${await scripted(script)}`);
    expect(requests).toContain('DELETE /media/fedi-setup/KEY.bin?uploadId=a%2Fb%2Bc');
  });

  test('all steps together have a limit', async () => {
    const { script } = store();
    const port = await scripted((method, path, socket) => setTimeout(() => script(method, path, socket), 60));
    const rungs = await trial(`http://127.0.0.1:${port}`, { wholeMs: 100 });
    expect(rungs.at(-1)?.seen).toMatch(/is too slow: the test took longer than 0\.1 s/);
  });
});

describe('a public host', () => {
  const early = async (alias: string, isEarly: boolean): Promise<BucketRung[]> => {
    const { script } = store();
    const endpoint = `http://127.0.0.1:${await scripted(script)}`;
    return trial(endpoint, { bucket: bucketAt(endpoint, { alias }), isEarly, withParts: false });
  };

  test('that does not serve the object yet is a warning before the site runs, and a fault afterwards', async () => {
    const before = await early('media.invalid', true);
    const read = before.find(({ id }) => id === 'read');
    expect([read?.state, read?.next]).toEqual([
      'warning',
      expect.stringContaining('the proofs at the end of the run read it again'),
    ]);
    expect(before.at(-1)).toMatchObject({ id: 'delete', state: 'passed' });
    expect((await early('media.invalid', false)).at(-1)).toMatchObject({ id: 'read', state: 'failed' });
  });
});

test('an ACL is refused: the message says which setting works, also to an app that needs ACLs', async () => {
  const { script } = store();
  // A bucket without ACLs, as R2 answers.
  const port = await listen(
    createServer((socket) => {
      socket.once('data', (chunk) => {
        const head = chunk.toString('latin1');
        const [, method = '', path = ''] = /^(\S+) (\S+) /.exec(head) ?? [];
        if (/x-amz-acl/i.test(head)) answer(socket, '501 x', xml('NotImplemented', 'Header x-amz-acl'));
        else script(method, path, socket);
      });
    }),
  );
  const endpoint = `http://127.0.0.1:${port}`;
  const words =
    'an object with the ACL public-read is refused (NotImplemented); one without an ACL is accepted, and it is public';
  expect((await trial(endpoint)).at(-1)).toMatchObject({
    seen: words,
    next: expect.stringContaining('Set acl to none; or'),
  });
  expect((await trial(endpoint, { needsAcl: true })).at(-1)).toMatchObject({
    seen: words,
    next: expect.stringContaining('This app sets an ACL on each object: allow ACLs for the bucket'),
  });
  const none = await trial(endpoint, { bucket: bucketAt(endpoint, { acl: 'none' }), withParts: false });
  expect(none.find(({ id }) => id === 'acl')?.seen).toBe('none is needed: the bucket is public');
});
