/** Pixelfed with its media in a bucket that checks signatures: refusals before anything is written, use, migration to it and back. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { php } from '../../wizard/apps/pixelfed/php.ts';
import { png } from '../../wizard/prove/activitypub.ts';
import { form } from '../../wizard/prove/browser.ts';
import { client, multipartFile } from '../../wizard/prove/http.ts';
import type { Reply } from '../../wizard/prove/http.ts';
import { s3 } from '../images/s3/server.mjs';
import type { S3Config, S3Line } from '../images/s3/server.mjs';
import { needImages, testCa } from '../support/acme.ts';
import { pixelfedAnswers } from '../support/pixelfed-images.ts';
import { docker, testSite, tool } from '../support/site.ts';
import type { Run } from '../support/site.ts';
import { closeTerminals, terminal } from '../support/terminal.ts';

needImages('s3');
const SECRET = 'kN2/of+the=bucket';
const CONFIG: S3Config = {
  region: 'eu-test-1',
  keys: { AKIATEST: { secret: SECRET }, AKIAREAD: { secret: SECRET, readonly: true } },
  buckets: {
    // Each object has a public ACL; checksums of newer SDKs are refused, as by older servers.
    media: { cors: '*', checksums: false },
    policy: { cors: '*', acl: false, public: true },
  },
};
const bucket = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  FEDI_PIXELFED_MEDIA: 's3',
  FEDI_PIXELFED_S3_ENDPOINT: 'https://objects.fedi.test',
  FEDI_PIXELFED_S3_REGION: 'eu-test-1',
  FEDI_PIXELFED_S3_BUCKET: 'media',
  FEDI_PIXELFED_S3_ACCESS_KEY: 'AKIATEST',
  FEDI_PIXELFED_S3_SECRET_KEY: SECRET,
  ...more,
});
/** The fault, and its message. */
const BROKEN: [string, NodeJS.ProcessEnv, RegExp][] = [
  ['another secret key', { FEDI_PIXELFED_S3_SECRET_KEY: 'not-the-secret' }, /the secret key does not belong to this access key/],
  ['an unknown key', { FEDI_PIXELFED_S3_ACCESS_KEY: 'AKIANONE' }, /there is no access key AKIANONE/],
  ['a read-only key', { FEDI_PIXELFED_S3_ACCESS_KEY: 'AKIAREAD' }, /the key may not do this \(AccessDenied\)\.[^]*It needs the rights/],
  ['no bucket', { FEDI_PIXELFED_S3_BUCKET: 'elsewhere' }, /there is no bucket elsewhere/],
  ['a bucket in another region', { FEDI_PIXELFED_S3_REGION: 'eu-test-2' }, /It is in eu-test-1/],
  ['a bucket without ACLs', { FEDI_PIXELFED_S3_BUCKET: 'policy' }, /the ACL public-read is refused[^]*This app sets an ACL on each object/],
]; // prettier-ignore

const proofs = (run: Run): unknown[] =>
  run.events
    .filter(({ event }) => event === 'proof')
    .map(({ id, ok, seen }) => (ok === true ? id : [id, seen]));

describe('reports an unusable bucket before it writes anything', () => {
  const site = testSite('pixelfed-s3-first', 103);
  const ca = testCa();
  const { certificate, key } = ca.issue('objects.fedi.test');
  const plain = s3(CONFIG);
  const server = createServer(
    { cert: readFileSync(certificate), key: readFileSync(key) },
    (request, response) => plain.emit('request', request, response),
  );
  afterAll(() => {
    server.close();
    site.remove();
    ca.remove();
  });
  const root =
    readFileSync(join(ca.folder, 'ca.pem'), 'utf8') + readFileSync(join(ca.folder, 'ca.key'), 'utf8');
  const apply = (more: NodeJS.ProcessEnv): Promise<Run> =>
    site.apply([], {
      env: {
        ...site.env,
        ...pixelfedAnswers(site.domain),
        FEDI_TLS_ROOT: root,
        ...bucket({ FEDI_PIXELFED_S3_ENDPOINT: 'https://objects.fedi.test:9443' }),
        ...more,
      },
    });

  test.each(BROKEN)('%s', async (_, more, words) => {
    if (!server.listening)
      await new Promise<void>((resolve) => server.listen(9443, site.bind, () => resolve()));
    const run = await apply(more);
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(words)]);
    expect(run.stderr).not.toContain('not-the-secret');
    for (const path of ['fedi.yaml', 'secrets.json', 'compose.yaml'])
      expect(existsSync(join(site.folder, path))).toBe(false);
    expect(docker('volume', 'ls', '--quiet', '--filter', `name=${site.name}_`)).toBe('');
  });
});

describe.sequential('media in a bucket', () => {
  const site = testSite('pixelfed-s3', 102);
  const local = { ...site.env, ...pixelfedAnswers(site.domain) };
  const remote = { ...local, ...bucket() };
  afterAll(() => {
    closeTerminals();
    site.remove();
  });

  /** The provider: behind the site's own ingress, under a name that the site's containers and the receipt resolve to it. */
  function addProvider(): void {
    mkdirSync(join(site.folder, 'caddy/custom'), { recursive: true });
    writeFileSync(
      join(site.folder, 'compose.override.yaml'),
      `services:
  s3:
    image: fedi-setup/s3:trixie
    pull_policy: never
    environment: { S3_CONFIG: '${JSON.stringify(CONFIG)}' }
    networks: { pixelfed_front_lab: {} }
  caddy: { networks: { pixelfed_front_lab: { aliases: [objects.fedi.test] } } }
`,
    );
    writeFileSync(
      join(site.folder, 'caddy/custom/provider.caddy'),
      'https://objects.fedi.test {\n\timport tls_site\n\treverse_proxy s3:9000\n}\n',
    );
  }

  let readLines = 0;
  /** Requests to the provider since the last call. */
  function newRequests(): S3Line[] {
    const lines = docker('logs', `${site.name}-s3-1`).split('\n').filter(Boolean);
    const fresh = lines.slice(readLines).map((line) => JSON.parse(line) as S3Line);
    readLines = lines.length;
    return fresh;
  }

  const http = () => client(site.bind, site.read('trust/root.crt'));
  const inside = (script: string, values = {}): string => {
    const { argv, stdin } = php(script, values);
    return exec(argv, stdin);
  };
  const exec = (argv: readonly string[], input = ''): string =>
    execFileSync('docker', ['exec', '--interactive', `${site.name}-pixelfed_web-1`, ...argv], {
      encoding: 'utf8',
      input,
    }).trim();
  const sql = (query: string): string =>
    inside(`echo json_encode($app['db']->select($values['query'])), PHP_EOL;`, { query });
  /** Files of uploads on this host. */
  const kept = (): string[] =>
    exec(['find', 'storage/app/public/m', '-type', 'f', '-name', '*.png']).split('\n').filter(Boolean);

  interface Photo {
    readonly status: string;
    readonly url: string;
    readonly preview: string;
  }
  let token = '';
  const api = async (method: string, path: string, fields?: Record<string, string>): Promise<Reply> => {
    const { headers, body } = fields === undefined ? { headers: {}, body: undefined } : form(fields);
    return http()(`https://${site.domain}${path}`, {
      method,
      headers: { ...headers, Authorization: `Bearer ${token}`, Accept: 'application/json' },
      ...(body === undefined ? {} : { body }),
    });
  };
  const photoOf = async (status: string): Promise<Photo> => {
    const { media_attachments: media } = (await api('GET', `/api/v1/statuses/${status}`)).json<{
      media_attachments: { url: string; preview_url: string }[];
    }>();
    return { status, url: media[0]?.url ?? '', preview: media[0]?.preview_url ?? '' };
  };
  /** Posts as anna and waits until Horizon has processed it. */
  async function post(done: (photo: { url: string; preview_url: string }) => boolean): Promise<Photo> {
    token = (
      JSON.parse(
        inside(`$model = $app['config']['auth.providers.users.model'];
echo json_encode(['token' => $model::where('username', 'anna')->firstOrFail()->createToken('test', ['read', 'write'])->accessToken]), PHP_EOL;`),
      ) as { token: string }
    ).token;
    const { headers, body } = multipartFile('file', 'x.png', 'image/png', png(900, [1, 2, 3]));
    const sent = await http()(`https://${site.domain}/api/v2/media`, {
      method: 'POST',
      headers: { ...headers, Authorization: `Bearer ${token}` },
      body,
    });
    const { id } = sent.json<{ id: string }>();
    const deadline = Date.now() + 90_000;
    while (!done((await api('GET', `/api/v1/media/${id}`)).json())) {
      if (Date.now() > deadline) throw new Error('Horizon did not do its work');
      await delay(300);
    }
    const posted = await api('POST', '/api/v1/statuses', { status: 'a photo', 'media_ids[]': id });
    return photoOf(posted.json<{ id: string }>().id);
  }
  const shown = async ({ url, preview }: Photo): Promise<number[]> =>
    Promise.all([url, preview].map(async (one) => (await http()(one)).status));

  let old: Photo;
  let fresh: Photo;
  let here: Photo;
  const HERE = `https://${site.domain}/storage/m/`;
  const THERE = 'https://objects.fedi.test/media/public/m/';

  test('a site with its media on the host, and a photo', async () => {
    addProvider();
    const run = await site.apply([], { env: local });
    expect([run.code, run.stderr]).toEqual([0, '']);
    old = await post(({ preview_url: preview }) => preview.includes('_thumb'));
    expect(old.url.startsWith(HERE)).toBe(true);
    expect(await shown(old)).toEqual([200, 200]);
  });

  test.each(BROKEN)('moving to %s: refused, nothing written, nothing changed', async (_, more, words) => {
    const before = [site.read('.fedi/manifest.json'), site.read('secrets.json'), site.containers()];
    const run = await site.apply([], { env: { ...remote, ...more } });
    expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(words)]);
    expect([site.read('.fedi/manifest.json'), site.read('secrets.json'), site.containers()]).toEqual(before);
  });

  test('moving to a valid one: new photos are stored there, the old one stays and is shown', async () => {
    const plan = await tool(['plan', '--dir', site.folder], { env: remote });
    expect(plan.stdout.replaceAll(/\s+/g, ' ')).toMatch(
      /Note Existing uploads stay on this host and are served from here\..*media:migrate2cloud/,
    );
    newRequests();
    const before = site.containers();
    const run = await site.apply([], { env: remote });
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(proofs(run)).toEqual(expect.arrayContaining(['storage', 'upload', 'post']));
    const changed = Object.entries(site.containers()).filter(([name, id]) => before[name] !== id);
    expect(changed.map(([name]) => name).toSorted()).toEqual([
      'pixelfed_horizon',
      'pixelfed_scheduler',
      'pixelfed_web',
    ]);
    expect(site.read('fedi.yaml')).not.toContain(SECRET);
    const puts = newRequests().filter(({ method, path }) => method === 'PUT' && path.includes('/public/m/'));
    expect(puts).toHaveLength(2);
    // The app itself sets a public ACL on each, in the bucket's path, without newer checksums.
    for (const { path, status, acl, key, sums } of puts)
      expect({ path, status, acl, key, sums }).toEqual({
        path: expect.stringMatching(/^objects\.fedi\.test\/media\/public\/m\/_v2\//),
        status: 200,
        acl: 'public-read',
        key: 'AKIATEST',
        sums: [],
      });
    expect(await shown(old)).toEqual([200, 200]);
    expect(await photoOf(old.status)).toEqual(old);
  });

  test('stores a photo in the bucket and not on this host', async () => {
    const before = kept();
    fresh = await post(({ url }) => url.startsWith(THERE));
    expect([fresh.url.startsWith(THERE), fresh.preview.startsWith(THERE)]).toEqual([true, true]);
    expect(await shown(fresh)).toEqual([200, 200]);
    expect(kept()).toEqual(before);
  });

  test('`artisan media:migrate2cloud` moves files older than two days, and loses none', async () => {
    const migrate = async (answer: string): Promise<string> => {
      const run = terminal(['--dir', site.folder, 'artisan', 'media:migrate2cloud'], { env: remote });
      await run.until('Are you sure you want to proceed?');
      run.type(`${answer}\r`);
      expect((await run.exit).code).toBe(0);
      return run.screen();
    };
    const before = kept();
    expect(before.length).toBeGreaterThan(0);
    await migrate('yes');
    expect(kept()).toEqual(before);
    sql(
      "update media set created_at = '2020-01-01 00:00:00' where cdn_url is null and status_id is not null",
    );
    await migrate('no');
    expect(kept()).toEqual(before);
    expect(await migrate('yes')).toContain('to cloud storage!');
    const moved = await photoOf(old.status);
    expect([moved.url.startsWith(THERE), moved.preview.startsWith(THERE)]).toEqual([true, true]);
    expect(await shown(moved)).toEqual([200, 200]);
    expect(kept()).toEqual([]);
  });

  test('back on the host: new photos are here, those in the bucket are shown from there', async () => {
    const plan = await tool(['plan', '--dir', site.folder], {
      env: { ...local, FEDI_PIXELFED_MEDIA: 'local' },
    });
    expect(plan.stdout.replaceAll(/\s+/g, ' ')).toContain(
      'Note Existing uploads stay in the bucket and are served from there',
    );
    const run = await site.apply([], { env: { ...local, FEDI_PIXELFED_MEDIA: 'local' } });
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(site.read('env/pixelfed.env')).not.toContain('AWS_');
    here = await post(({ preview_url: preview }) => preview.includes('_thumb'));
    expect(here.url.startsWith(HERE)).toBe(true);
    expect(await Promise.all([here, fresh].map(shown))).toEqual([
      [200, 200],
      [200, 200],
    ]);
  });

  const move = (...argv: readonly string[]): Promise<Run> =>
    tool(['media', ...argv, '--dir', site.folder, '--json'], {
      env: { ...remote, FEDI_PIXELFED_MEDIA: undefined },
    });
  const result = ({ events }: Run): unknown => events.findLast(({ event }) => event === 'media');

  test('`media move --to s3` changes the place, and has Pixelfed move what is old enough', async () => {
    sql(
      "update media set created_at = '2020-01-01 00:00:00' where cdn_url is null and status_id is not null",
    );
    sql(
      "insert into media (status_id, profile_id, media_path, size, version, remote_media, created_at) select status_id, profile_id, 'public/m/none.png', 1, 1, remote_media, created_at from media where cdn_url is null and status_id is not null limit 1",
    );
    const dry = await move('move', '--to', 's3', '--dry-run');
    expect([dry.code, dry.stderr, result(dry)]).toEqual([
      0,
      '',
      expect.objectContaining({ state: 'plan', files: 2 }),
    ]);
    const run = await move('move', '--to', 's3');
    expect([run.code, run.stderr]).toEqual([
      1,
      expect.stringContaining('1 file could not be moved: storage/app/public/m/none.png does not exist'),
    ]);
    expect(result(run)).toMatchObject({ app: 'pixelfed', to: 's3', state: 'moved', files: 1 });
    const moved = await photoOf(here.status);
    expect([moved.url.startsWith(THERE), moved.preview.startsWith(THERE)]).toEqual([true, true]);
    expect(await shown(moved)).toEqual([200, 200]);
    sql("delete from media where media_path = 'public/m/none.png'");
    const again = await move('move', '--to', 's3');
    expect([again.code, again.stderr]).toEqual([0, '']);
    expect(result(again)).toMatchObject({ state: 'plan', files: 0 });
  });

  test('`media move --to local` is refused, with the reason', async () => {
    const refused = await move('move', '--to', 'local');
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/stores with each photo where it is/),
    ]);
    expect(site.read('fedi.yaml')).toMatch(/media: s3/);
  });

  test('the receipt reports a provider that disappeared', async () => {
    expect((await site.apply([], { env: remote })).code).toBe(0);
    docker('stop', '--time', '1', `${site.name}-s3-1`);
    const run = await tool(['prove', '--dir', site.folder, '--json'], { env: remote });
    expect(run.code).toBe(5);
    expect(run.events.find(({ event, id }) => event === 'proof' && id === 'storage')).toMatchObject({
      ok: false,
    });
  });
});
