/**
 * What the cache of an app keeps, and to whom it shows it: the rendered Caddy and nginx in front of a server that sends every
 * combination of headers. docs/guides/cache.md has the rules as a table.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { PIX, WEB, cachedSite } from '../support/cached-site.ts';
import type { Answer, CachedSite, Reply } from '../support/cached-site.ts';
import { docker } from '../support/site.ts';

let site: CachedSite;
beforeAll(async () => {
  site = await cachedSite('test-cache', '127.0.0.184');
});
afterAll(() => site?.remove());

const HTML = { Accept: 'text/html' };
const OBJECT = { Accept: 'application/activity+json' };
const SIGNED = { Signature: 'keyId="https://a.example/actor#main-key",signature="x"' };
const PUBLIC: [string, string] = ['Cache-Control', 'public, max-age=600'];
let paths = 0;
/** A new path that Caddy passes to the cache. */
const page = (): string => `/@anna/${(paths += 1)}`;
const count = async (path: string): Promise<number> => (await site.received(path)).length;
/** Which request to the app this answer is of. */
const numberOf = ({ text }: Reply): number => (JSON.parse(text) as { number: number }).number;

/** Answers that may be shown to nobody else. */
const NEVER: readonly [string, Answer][] = [
  ['no Cache-Control', {}],
  ['Expires alone', { headers: [['Expires', 'Fri, 01 Jan 2100 00:00:00 GMT']] }],
  ['X-Accel-Expires alone', { headers: [['X-Accel-Expires', '600']] }],
  ['private', { headers: [['Cache-Control', 'private, max-age=600']] }],
  ['private and s-maxage', { headers: [['Cache-Control', 'private, s-maxage=600']] }],
  ['no-store', { headers: [['Cache-Control', 'public, no-store, max-age=600']] }],
  ['no-cache', { headers: [['Cache-Control', 'no-cache, public, max-age=600']] }],
  ['private in a second header', { headers: [PUBLIC, ['Cache-Control', 'private']] }],
  ['PRIVATE', { headers: [['Cache-Control', 'PUBLIC, PRIVATE, MAX-AGE=600']] }],
  ['must-revalidate', { headers: [['Cache-Control', 'public, max-age=600, must-revalidate']] }],
  ['no word of public', { headers: [['Cache-Control', 'max-age=600']] }],
  ['public without a time', { headers: [['Cache-Control', 'public']] }],
  ['max-age=0', { headers: [['Cache-Control', 'public, max-age=0']] }],
  ['s-maxage=0', { headers: [['Cache-Control', 'public, max-age=600, s-maxage=0']] }],
  ['X-Accel-Expires against private', { headers: [['X-Accel-Expires', '600'], ['Cache-Control', 'private']] }],
  ['Set-Cookie', { headers: [PUBLIC, ['Set-Cookie', 'session=1; HttpOnly']] }],
  ['Vary: *', { headers: [PUBLIC, ['Vary', '*']] }],
  ['Vary: Accept, *', { headers: [PUBLIC, ['Vary', 'Accept, *']] }],
  ['Vary: * in a second header', { headers: [PUBLIC, ['Vary', 'Accept'], ['Vary', '*']] }],
  ['a Vary that is longer than nginx remembers', { headers: [PUBLIC, ['Vary', Array.from({ length: 20 }, (_, i) => `X-Some-Header-${i}`).join(', ')]] }],
  ['500 with max-age', { status: 500, headers: [PUBLIC] }],
  ['503 with max-age', { status: 503, headers: [PUBLIC] }],
  ['403 with max-age', { status: 403, headers: [PUBLIC] }],
  ['401 with max-age', { status: 401, headers: [PUBLIC] }],
  ['429 with max-age', { status: 429, headers: [PUBLIC] }],
  ['206 with max-age', { status: 206, headers: [PUBLIC, ['Content-Range', 'bytes 0-9/100']] }],
  ['compressed by the app', { headers: [PUBLIC, ['Content-Encoding', 'br']] }],
]; // prettier-ignore

test.each(NEVER)('not kept: %s', async (_, answer) => {
  const path = page();
  await site.answer(path, answer);
  const first = await site.get(path, HTML);
  await site.get(path, HTML);
  expect([first.status, await count(path)]).toEqual([answer.status ?? 200, 2]);
});

test.each<[string, Answer]>([
  ['200', { headers: [PUBLIC] }],
  ['200 for shared caches', { headers: [['Cache-Control', 'public, max-age=0, s-maxage=600']] }],
  ['in other letters', { headers: [['cache-control', 'Max-Age=600,PUBLIC']] }],
  ['a redirection', { status: 302, headers: [PUBLIC, ['Location', '/x']] }],
  ['404', { status: 404, headers: [PUBLIC] }],
  ['410', { status: 410, headers: [PUBLIC] }],
  ['ESI and SSI as they are', { headers: [PUBLIC, ['Surrogate-Control', 'content="ESI/1.0"']], body: '<esi:include src="/auth"/><!--#include virtual="/auth" -->' }],
])('kept: %s', async (_, answer) => {
  const path = page();
  await site.answer(path, answer);
  const [first, second] = [await site.get(path, HTML), await site.get(path, HTML)];
  expect([second.status, second.text, await count(path)]).toEqual([answer.status ?? 200, first.text, 1]);
  expect(second.headers['x-cached']).toBe('HIT');
  if (answer.body !== undefined) expect(second.text).toBe(answer.body);
}); // prettier-ignore

/** Requests that belong to one person, or whose answer differs otherwise. */
const PERSONAL: readonly [string, Record<string, string>][] = [
  ['a session', { Cookie: '_mastodon_session=x' }],
  ['a cookie that is 0', { Cookie: '0' }],
  ['an empty cookie', { Cookie: '' }],
  ['a token', { Authorization: 'Bearer x' }],
  ['a token that is 0', { Authorization: '0' }],
  ['a page of another website', { Origin: 'https://elk.example' }],
  ['a range', { Range: 'bytes=0-3' }],
  ['Proxy-Authorization', { 'Proxy-Authorization': 'Basic x' }],
];

describe('a request with', () => {
  test.each(PERSONAL)('%s: its answer is not kept', async (_, headers) => {
    const path = page();
    // The worst case: the app forgets to say that it is private.
    await site.answer(path, { headers: [PUBLIC] });
    expect(numberOf(await site.get(path, { ...HTML, ...headers }))).toBe(1);
    const other = await site.get(path, HTML);
    expect(numberOf(other)).toBe(2);
    for (const value of Object.values(headers).filter((one) => one.length > 2))
      expect(other.text).not.toContain(value);
  });

  test.each(PERSONAL)('%s: the app is asked, not the cache', async (_, headers) => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC] });
    await site.get(path, HTML);
    const own = await site.get(path, { ...HTML, ...headers });
    expect(own.headers).not.toHaveProperty('x-cached');
    const last = (await site.received(path)).at(-1);
    // A proxy may not pass on Proxy-Authorization.
    for (const [name, value] of Object.entries(headers).filter(([one]) => !one.startsWith('Proxy-')))
      expect(last?.headers[name.toLowerCase()]).toBe(value);
    expect(numberOf(await site.get(path, HTML))).toBe(1);
  });

  // The second lock, if Caddy's rules had a gap.
  test.each(PERSONAL.filter(([, headers]) => headers['Cookie'] !== ''))(
    '%s: nginx alone neither keeps its answer nor shows it a copy',
    async (_, headers) => {
      const path = page();
      await site.answer(path, { headers: [PUBLIC] });
      const nginx = `http://${site.addressOf('mastodon_uploads')}:8081${path}`;
      const { request } = await import('node:http');
      const ask = (more: Record<string, string>): Promise<number> =>
        new Promise((resolve, reject) => {
          const sent = request(nginx, { headers: { Host: WEB, ...HTML, ...more }, agent: false }, (res) => {
            let text = '';
            res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
            res.on('end', () => resolve(Number(/"number":(\d+)/.exec(text)?.[1] ?? 0)));
          });
          sent.on('error', reject);
          sent.end();
        });
      // A range is of the whole answer, which has the number at its beginning.
      if (headers['Range'] === undefined) expect(await ask(headers)).toBe(1);
      else await ask(headers);
      expect(await ask({})).toBe(2);
      await ask(headers);
      expect([await count(path), await ask({})]).toEqual([3, 2]);
    },
  );

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('%s reaches the app', async (method) => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC] });
    await site.get(path, HTML);
    const reply = await site.get(path, HTML, { method, body: method === 'OPTIONS' ? undefined : 'x' });
    expect(reply.headers).not.toHaveProperty('x-cached');
    expect((await site.received(path)).map((one) => one.method)).toEqual(['GET', method]);
    expect(numberOf(await site.get(path, HTML))).toBe(1);
  });

  test('a body reaches the app', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC] });
    await site.get(path, { ...HTML, 'Content-Length': '6' }, { body: 'poison' });
    expect(numberOf(await site.get(path, HTML))).toBe(2);
  });

  test.each(['?', '?a=1&b=2', '?b=2&a=1', '?access_token=x', '?page=true'])(
    'the query %s is never answered by a copy of another',
    async (query) => {
      const path = page();
      await site.answer(path, { headers: [PUBLIC] });
      await site.answer(`${path}${query}`, { headers: [PUBLIC] });
      await site.get(path, HTML);
      const first = JSON.parse((await site.get(`${path}${query}`, HTML)).text) as { path: string };
      expect(first.path).toBe(`${path}${query}`);
      await site.get(`${path}${query}`, HTML);
      expect(await count(`${path}${query}`)).toBe(query === '?' ? 1 : 2);
    },
  );

  test('WebFinger is kept for each account', async () => {
    const of = (name: string): string => `/.well-known/webfinger?resource=acct:${name}@${WEB}`;
    for (const name of ['anna', 'bert']) await site.answer(of(name), { headers: [PUBLIC], body: name });
    for (const name of ['anna', 'bert', 'anna', 'bert']) expect((await site.get(of(name))).text).toBe(name);
    expect([await count(of('anna')), await count(of('bert'))]).toEqual([1, 1]);
  });
});

describe('one address, several answers', () => {
  const VARY: [string, string] = ['Vary', 'Accept, Accept-Language, Cookie'];

  test.each<[string, [string, string][]]>([
    ['with Vary', [PUBLIC, VARY]],
    ['even if the app forgets Vary', [PUBLIC]],
  ])('HTML and ActivityPub never mix, %s', async (_, headers) => {
    const path = page();
    const asks = [
      'text/html',
      'application/activity+json',
      'application/activity+json, application/ld+json',
      'application/ld+json; profile="https://www.w3.org/ns/activitystreams"',
      'application/activity+json;q=0.5, text/html;q=0.9',
      'application/activity+json;q=0.9,text/html;q=0.5',
      'APPLICATION/ACTIVITY+JSON',
      ' text/html',
      'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      '*/*',
      '',
    ];
    await site.answer(path, { headers });
    for (const round of [1, 2])
      for (const Accept of asks) {
        const { accept } = (JSON.parse((await site.get(path, { Accept })).text) as { headers: { accept?: string } }).headers; // prettier-ignore
        expect([round, accept ?? '']).toEqual([round, Accept.trim()]);
      }
    const got = await site.get(path);
    expect((JSON.parse(got.text) as { headers: { accept?: string } }).headers.accept ?? '').toBe('');
  });

  test('languages do not mix', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC, VARY] });
    for (const language of ['de', 'fr', 'de', 'fr'])
      expect((await site.get(path, { ...HTML, 'Accept-Language': language })).text).toContain(
        `"accept-language":"${language}"`,
      );
    expect(await count(path)).toBe(2);
  });

  test('each client gets an encoding that it can read', async () => {
    const path = page();
    const body = 'public '.repeat(2000);
    await site.answer(path, { headers: [PUBLIC, ['Content-Type', 'text/html']], body });
    const decoders: Record<string, (bytes: Buffer) => Buffer> = {
      gzip: gunzipSync,
      identity: (bytes) => bytes,
    };
    for (const encoding of ['gzip', 'identity', 'gzip', '']) {
      const got = await site.get(path, { ...HTML, 'Accept-Encoding': encoding });
      const used = String(got.headers['content-encoding'] ?? 'identity');
      expect(decoders[used]?.(got.body).toString()).toBe(body);
      expect(['identity', encoding]).toContain(used);
    }
    expect([await count(path), (await site.received(path))[0]?.headers['accept-encoding']]).toEqual([
      1,
      undefined,
    ]);
  });

  test.each(['/%40anna/1', '/@anna%2F1', '/@anna//1', '/@ANNA/1', '/@anna/./1', '/@anna/%31'])(
    '%s is kept as it was asked, apart from others',
    async (path) => {
      await site.answer('/@anna/1', { headers: [PUBLIC] });
      await site.answer(path, { headers: [PUBLIC] });
      await site.get('/@anna/1', HTML);
      const { path: seen } = JSON.parse((await site.get(path, HTML)).text) as { path: string };
      expect(seen).toBe(path);
    },
  );

  test('HEAD, then GET: the whole body; GET, then HEAD: the same headers', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC, ['X-Of-App', '1']] });
    const head = await site.get(path, HTML, { method: 'HEAD' });
    const got = await site.get(path, HTML);
    const again = await site.get(path, HTML, { method: 'HEAD' });
    expect([head.status, head.text, again.text, await count(path)]).toEqual([200, '', '', 1]);
    expect(numberOf(got)).toBe(1);
    expect([head.headers['x-of-app'], again.headers['x-of-app']]).toEqual(['1', '1']);
  });
});

describe('a signed request', () => {
  test('is answered by the copy if the answer does not depend on it', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC, ['Vary', 'Accept']] });
    await site.get(path, { ...OBJECT, ...SIGNED });
    expect(numberOf(await site.get(path, OBJECT))).toBe(1);
    expect(numberOf(await site.get(path, { ...OBJECT, Signature: 'another' }))).toBe(1);
    expect(await count(path)).toBe(1);
  });

  test('in secure mode is answered by the app, and for nobody else', async () => {
    const path = page();
    // As Mastodon: what is for one signature is private.
    await site.answer(path, { headers: [['Cache-Control', 'private, no-store'], ['Vary', 'Accept, Signature']], body: 'followers only' }); // prettier-ignore
    expect((await site.get(path, { ...OBJECT, ...SIGNED })).text).toBe('followers only');
    await site.answer(path, { status: 401, headers: [['Cache-Control', 'private, no-store'], ['Vary', 'Accept, Signature']], body: 'sign' }); // prettier-ignore
    expect((await site.get(path, OBJECT)).text).toBe('sign');
    expect((await site.get(path, { ...OBJECT, ...SIGNED })).text).toBe('sign');
  });

  test.each([['Signature'], ['Signature-Input']])(
    'by %s whose answer is public by mistake, but differs by signature: for nobody else',
    async (name) => {
      const path = page();
      await site.answer(path, { headers: [PUBLIC, ['Vary', 'Accept,signature']] });
      expect(numberOf(await site.get(path, { ...OBJECT, [name]: 'sig1=one' }))).toBe(1);
      expect(numberOf(await site.get(path, { ...OBJECT, [name]: 'sig1=two' }))).toBe(2);
      expect(numberOf(await site.get(path, OBJECT))).toBe(3);
    },
  );

  test('arrives with the headers that its signature may cover', async () => {
    const path = page();
    await site.get(path, { ...OBJECT, ...SIGNED, 'Accept-Encoding': 'gzip', Date: 'x', Digest: 'y' });
    expect((await site.received(path))[0]?.headers).toMatchObject({
      accept: OBJECT.Accept,
      'accept-encoding': 'gzip',
      date: 'x',
      digest: 'y',
      host: WEB,
      signature: SIGNED.Signature,
    });
  });

  test('does not wait for others whose answers are not kept', async () => {
    const path = page();
    await site.answer(path, { headers: [['Cache-Control', 'private']], delay: 1_000 });
    const since = Date.now();
    await Promise.all(Array.from({ length: 8 }, (_, i) => site.get(path, { ...OBJECT, Signature: `s${i}` })));
    expect(await count(path)).toBe(8);
    // One after the other they would take 8 s, or the 5 s after which nginx waits no longer.
    expect(Date.now() - since).toBeLessThan(4_800);
  });
});

describe('what the client says about itself', () => {
  const LIES = {
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'http',
    'X-Forwarded-Scheme': 'http',
    'X-Forwarded-For': '6.6.6.6',
    Forwarded: 'host=evil.example',
    'X-Original-URL': '/evil.example',
    'X-Rewrite-URL': '/evil.example',
    'X-Host': 'evil.example',
    'X-Accel-Redirect': '/evil.example',
    'X-HTTP-Method-Override': 'evil.example',
  };

  test('is in no answer to others', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC] });
    // The app repeats what it receives; these would be in the copy.
    const first = await site.get(path, { ...HTML, ...LIES });
    const { headers } = JSON.parse(first.text) as { headers: Record<string, string> };
    expect(headers).toMatchObject({ host: WEB, 'x-forwarded-host': WEB, 'x-forwarded-proto': 'https' });
    const spoofable = ['x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-for', 'forwarded', 'x-original-url', 'x-rewrite-url', 'x-host', 'x-forwarded-scheme']; // prettier-ignore
    expect(spoofable.filter((name) => /evil|6\.6/.test(headers[name] ?? ''))).toEqual([]);
  });

  test('address, host and protocol reach the app as without the cache', async () => {
    const path = page();
    await site.get(path, HTML);
    await site.get(path, { ...HTML, Cookie: 'x=1' });
    const [cached, direct] = (await site.received(path)).map(({ headers }) => headers);
    for (const name of ['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'via'])
      expect([name, cached?.[name]]).toEqual([name, direct?.[name]]);
  });

  test('limits of the app are about the one who asked, so a copy does not show them', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC, ['X-RateLimit-Remaining', '7'], ['X-RateLimit-Limit', '300']] }); // prettier-ignore
    const { headers } = await site.get(path, HTML);
    expect(headers).not.toHaveProperty('x-ratelimit-remaining');
    expect(headers).not.toHaveProperty('x-ratelimit-limit');
  });
});

describe('a rush and old copies', () => {
  test('a hundred at once: the app is asked once', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC], delay: 500 });
    const replies = await Promise.all(Array.from({ length: 100 }, () => site.get(path, HTML)));
    expect([new Set(replies.map(numberOf)).size, await count(path)]).toEqual([1, 1]);
  });

  test('while one asks again, the others get the old copy', async () => {
    const path = page();
    await site.answer(path, { headers: [['Cache-Control', 'public, max-age=1']] });
    await site.get(path, HTML);
    await site.answer(path, { headers: [PUBLIC], delay: 6_000 });
    await delay(2_500);
    const slow = site.get(path, HTML);
    await vi.waitFor(async () => expect(await count(path)).toBe(2), { timeout: 5_000, interval: 50 });
    const others = await Promise.all(Array.from({ length: 5 }, () => site.get(path, HTML)));
    expect([numberOf(await slow), others.map(numberOf)]).toEqual([2, [1, 1, 1, 1, 1]]);
    expect(others[0]?.headers['x-cached']).toBe('UPDATING');
  });

  test('a deleted post is gone for the first one that asks after its time', async () => {
    const path = page();
    await site.answer(path, { headers: [['Cache-Control', 'public, max-age=2, stale-while-revalidate=30, stale-if-error=86400']], body: 'the post' }); // prettier-ignore
    const since = Date.now();
    expect((await site.get(path, OBJECT)).text).toBe('the post');
    await site.answer(path, { status: 404, headers: [['Cache-Control', 'private, no-store']], body: 'gone' });
    await delay(2_500 - (Date.now() - since) + 1_000);
    expect((await site.get(path, OBJECT)).text).toBe('gone');
    expect((await site.get(path, OBJECT)).text).toBe('gone');
  });

  test('a post that became followers-only is shown to nobody after its time', async () => {
    const path = page();
    await site.answer(path, { headers: [['Cache-Control', 'public, max-age=1']], body: 'public' });
    await site.get(path, OBJECT);
    await site.answer(path, { headers: [['Cache-Control', 'private, max-age=0']], body: 'followers only' });
    await delay(2_500);
    expect((await site.get(path, { ...OBJECT, ...SIGNED })).text).toBe('followers only');
    await site.answer(path, { status: 404, headers: [['Cache-Control', 'private']], body: 'nothing' });
    expect((await site.get(path, OBJECT)).text).toBe('nothing');
  });

  test.each<[string, Answer]>([
    ['answers 503', { status: 503, headers: [['Cache-Control', 'private']] }],
    ['closes the connection', { crash: true }],
  ])('while the app %s, visitors get the old copy', async (_, answer) => {
    const path = page();
    await site.answer(path, { headers: [['Cache-Control', 'public, max-age=1']] });
    await site.get(path, HTML);
    await site.answer(path, answer);
    await delay(2_500);
    expect(numberOf(await site.get(path, HTML))).toBe(1);
  });

  test('huge answers arrive whole and are not kept', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC], size: 12_000_000 });
    expect((await site.get(path, HTML)).body.length).toBe(12_000_000);
    expect((await site.get(path, HTML)).body.length).toBe(12_000_000);
    expect(await count(path)).toBe(2);
  });
});

describe('Pixelfed', () => {
  const get = (path: string, headers = {}): Promise<Reply> => site.get(path, headers, { host: PIX });

  test('scripts are kept, whatever their query; pages are not', async () => {
    await site.answer('/js/app.js?id=1', { headers: [PUBLIC], body: 'script' });
    await site.answer('/js/app.js?id=2', { headers: [PUBLIC], body: 'script' });
    for (const path of ['/js/app.js?id=1', '/js/app.js?id=2', '/js/app.js?id=1'])
      expect((await get(path)).text).toBe('script');
    expect([await count('/js/app.js?id=1'), await count('/js/app.js?id=2')]).toEqual([1, 0]);
    for (const path of ['/anna', '/sw.js', '/api/nodeinfo/2.0.json']) {
      await site.answer(path, { headers: [PUBLIC] });
      await get(path);
      await get(path);
      expect([path, await count(path)]).toEqual([path, 2]);
    }
  });
});

describe('uploads', () => {
  const PICTURE = 'picture'.repeat(1000);
  beforeAll(() => {
    // As the apps write them.
    const files = 'mkdir -p dir m; for f in a.png m/a.png x.html x.unknown .hidden dir/b.png dir/.git; do printf %s "$P" >$f; done; ln -s a.png link.png; chmod -R a+rX .'; // prettier-ignore
    for (const [volume, folder] of [
      ['mastodon_system', '.'],
      ['pixelfed_storage', 'app/public'],
    ])
      docker('run', '--rm', '--volume', `test-cache_${volume}:/v`, '--env', `P=${PICTURE}`, 'fedi-setup/nginx-cache:trixie', 'sh', '-euc', `mkdir -p /v/${folder}; cd /v/${folder}; echo secret of the host >../secret.png; ${files}`); // prettier-ignore
  });
  const FROM = [
    ['Mastodon', WEB, '/system'],
    ['Pixelfed', PIX, '/storage'],
  ] as const;

  describe.each(FROM)('of %s', (_, host, folder) => {
    const get = (path: string, headers = {}, method = 'GET'): Promise<Reply> =>
      site.get(`${folder}${path}`, headers, { host, method });

    test('have a type, may be kept, and are not run', async () => {
      const { status, text, headers } = await get('/m/a.png');
      expect([status, text]).toEqual([200, PICTURE]);
      expect(headers).toMatchObject({
        'content-type': 'image/png',
        'content-length': `${PICTURE.length}`,
        'accept-ranges': 'bytes',
        'cache-control': expect.stringContaining('immutable'),
        'x-content-type-options': 'nosniff',
        'content-security-policy': "default-src 'none'; form-action 'none'",
      });
      expect(headers).not.toHaveProperty('server');
      expect((await get('/x.unknown')).headers['content-type']).toBe('application/octet-stream');
      expect((await get('/x.html')).headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'content-security-policy': "default-src 'none'; form-action 'none'" }); // prettier-ignore
      expect((await get('/link.png')).text).toBe(PICTURE);
    });

    test('ranges, conditions and HEAD', async () => {
      const part = await get('/m/a.png', { Range: 'bytes=7-13' });
      expect([part.status, part.text, part.headers['content-range']]).toEqual([206, 'picture', `bytes 7-13/${PICTURE.length}`]); // prettier-ignore
      expect((await get('/m/a.png', { Range: 'bytes=999999-' })).status).toBe(416);
      const { headers } = await get('/m/a.png', {}, 'HEAD');
      expect(headers['content-length']).toBe(`${PICTURE.length}`);
      expect((await get('/m/a.png', { 'If-None-Match': String(headers.etag) })).status).toBe(304);
      expect((await get('/m/a.png', { 'If-Modified-Since': String(headers['last-modified']) })).status).toBe(304); // prettier-ignore
    });

    test.each(['/missing.png', '/.hidden', '/dir/.git', '/', '/dir', '/dir/', '/m/a.png/', '/a.png%00'])(
      '%s is not found, and the app is not asked',
      async (path) => {
        const { status, headers } = await get(path);
        expect([400, 404]).toContain(status);
        expect(headers).not.toHaveProperty('location');
        expect(await count(`${folder}${path}`)).toBe(0);
      },
    ); // prettier-ignore

    test.each(['/%2e%2e/secret.png', '/..%2fsecret.png', '/m/..%2f..%2f..%2fsecret.png'])(
      '%s leads to no other file',
      async (path) => expect((await get(path)).text).not.toContain('secret of'),
    );

    test('are not changed by a request', async () => {
      expect((await get('/m/a.png', {}, 'DELETE')).status).toBe(405);
      expect((await get('/m/a.png')).text).toBe(PICTURE);
    });
  });
});

describe.sequential('without a cache', { timeout: 120_000 }, () => {
  const health = (): string => {
    const { stdout, stderr } = spawnSync('docker', ['compose', 'exec', '-T', 'mastodon_uploads', 'sh', '-c', site.health('mastodon_uploads')], { cwd: site.folder, encoding: 'utf8' }); // prettier-ignore
    return stdout + stderr;
  };

  test('a full disk: answers stay complete, and the health check says so', async () => {
    const body = 'x'.repeat(300_000);
    expect(health()).toBe('');
    site.compose('exec', '-T', 'mastodon_uploads', 'sh', '-c', 'cat /dev/zero >/tmp/fill || true');
    for (const size of [100, 20_000, 300_000]) {
      const path = page();
      await site.answer(path, { headers: [PUBLIC], body: body.slice(0, size) });
      for (const round of [1, 2]) {
        const { status, text } = await site.get(path, HTML);
        expect([size, round, status, text.length]).toEqual([size, round, 200, size]);
      }
    }
    expect(health()).toMatch(/No space left on device/);
    site.compose('exec', '-T', 'mastodon_uploads', 'rm', '/tmp/fill');
    expect(health()).toBe('');
  });

  test('a restart empties it', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC] });
    await site.get(path, HTML);
    site.compose('restart', 'mastodon_uploads');
    await vi.waitFor(async () => expect((await site.get(path, HTML)).headers['x-cached']).toBeDefined(), { timeout: 30_000, interval: 200 }); // prettier-ignore
    expect(numberOf(await site.get(path, HTML))).toBeGreaterThan(1);
  });

  test('nginx is gone: the app answers, also what was kept', async () => {
    const path = page();
    await site.answer(path, { headers: [PUBLIC] });
    await site.get(path, HTML);
    site.compose('kill', 'mastodon_uploads');
    const replies = await Promise.all(
      ['GET', 'HEAD', 'GET'].map((method) => site.get(path, HTML, { method })),
    );
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(replies[0]?.headers).not.toHaveProperty('x-cached');
    site.compose('start', 'mastodon_uploads');
    await vi.waitFor(async () => expect((await site.get(path, HTML)).headers['x-cached']).toBe('HIT'), { timeout: 30_000, interval: 200 }); // prettier-ignore
  });

  test('the app is gone: the usual page, and old copies', async () => {
    const path = page();
    await site.answer(path, { headers: [['Cache-Control', 'public, max-age=1']] });
    await site.get(path, HTML);
    site.compose('stop', '--timeout', '0', 'mastodon_web');
    await delay(1_500);
    expect((await site.get(path, HTML)).headers['x-cached']).toBe('STALE');
    const other = await site.get(page(), HTML);
    expect([502, 503]).toContain(other.status);
    expect(other.text).toContain('One moment');
    // Afterwards the app is asked again.
    site.compose('start', 'mastodon_web');
    await vi.waitFor(async () => expect((await site.get(path, HTML)).text).toContain('"number":1'), { timeout: 60_000, interval: 500 }); // prettier-ignore
    expect((await site.get(path, HTML)).headers['x-cached']).not.toBe('STALE');
    // Caddy waits 20 s for an app that is away.
  }, 120_000);
});
