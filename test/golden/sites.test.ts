/**
 * Rendered sites, for review, and checked by Compose and Caddy. Every combination is checked; some are stored below sites/
 * (`npx vitest run --project golden -u` writes them again: review the diff).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { ROOT_FOLDER } from '../../wizard/render/site.ts';
import type { RenderedSite } from '../../wizard/render/site.ts';
import { inCaddy } from '../support/caddy.ts';
import { brokenRules, rightsOfService } from '../support/policy.ts';
import { SECRET_VALUES, render } from '../support/render.ts';
import { readTree, tempFolder, writeTree } from '../support/temp.ts';

const SITES = fileURLToPath(new URL('./sites', import.meta.url));

interface Row {
  readonly name: string;
  readonly answers: Readonly<Record<string, string>>;
  readonly images?: 'loaded' | 'pulled';
  readonly custom?: string;
  readonly ownCas?: string;
  /** Stored below sites/. */
  readonly kept: boolean;
}

type Answers = Readonly<Record<string, string>>;

const MAIL: Readonly<Record<string, Answers>> = {
  none: { 'mail.mode': 'none' },
  smtp: {
    'mail.mode': 'smtp',
    'mail.host': 'smtp.example.org',
    'mail.port': '465',
    'mail.user': "o'brien $HOME",
  },
  catcher: { 'mail.mode': 'catcher' },
};
const BIND: Readonly<Record<string, string>> = { all: '0.0.0.0', loopback: '127.0.0.1', ipv6: '::1' };
const EVERY = '::';

const SNAC: Answers = {
  apps: 'snac',
  'apps.snac.domain': 'social.example.org',
  'apps.snac.admin': 'anna',
  'apps.snac.email': 'anna@example.org',
};

const row = (tls: string, mail: string, bind: string, kept: boolean, more: Partial<Row> = {}): Row => ({
  name: `snac-${tls}-${mail}-${bind}`,
  answers: { ...SNAC, 'tls.mode': tls, bind: BIND[bind] ?? EVERY, ...MAIL[mail] },
  kept,
  ...more,
});

/** The size is set: its default depends on the memory of the test machine. */
const MASTODON: Answers = {
  apps: 'mastodon',
  'apps.mastodon.domain': 'social.example.org',
  'apps.mastodon.admin': 'anna',
  'apps.mastodon.email': 'anna@example.org',
  'apps.mastodon.size': '4gb',
  'mail.mode': 'none',
};

const mastodon = (name: string, answers: Answers, kept = false): Row => ({
  name: `mastodon-${name}`,
  answers: { ...MASTODON, ...answers },
  kept,
});

const smtp = (port: string, security: string, more: Answers = {}): Answers => ({
  ...MAIL['smtp'],
  'mail.port': port,
  'mail.security': security,
  ...more,
});
const S3: Answers = {
  'apps.mastodon.media': 's3',
  'apps.mastodon.s3.bucket': 'example-media',
  'apps.mastodon.s3.access-key': 'AKIAEXAMPLE',
};
const { 'mail.user': _user, ...withoutLogin } = smtp('25', 'none');

/** Every condition of Mastodon's stack alone, and some together. */
const MASTODON_ROWS: readonly Row[] = [
  // Local media, real certificates, no mail: what everything else is a change of.
  mastodon('local', {}, true),
  ...['2gb', '8gb', '16gb'].map((size) => mastodon(`size-${size}`, { 'apps.mastodon.size': size })),
  mastodon('split-sidekiq', { 'apps.mastodon.sidekiq': 'split' }, true),
  mastodon('one-sidekiq-16gb', { 'apps.mastodon.size': '16gb', 'apps.mastodon.sidekiq': 'one' }),
  mastodon('without-cache', { cache: 'off' }),
  mastodon('web-domain', { 'apps.mastodon.web-domain': 'web.example.org' }, true),
  mastodon(
    'data-elsewhere',
    {
      'apps.mastodon.database': 'external',
      'apps.mastodon.redis': 'external',
      'apps.mastodon.media-dir': '/srv/media',
    },
    true,
  ),
  mastodon('data-dirs', {
    'apps.mastodon.db-dir': '/srv/fast/db',
    'apps.mastodon.valkey-dir': '/srv/fast/valkey',
    'apps.mastodon.media-dir': '/srv/big/media',
  }),
  mastodon('single-user', { 'apps.mastodon.single-user': 'yes', 'apps.mastodon.locale': 'de' }),
  mastodon(
    'access-log',
    { 'apps.mastodon.web-domain': 'web.example.org', 'apps.mastodon.access-log': 'short' },
    true,
  ),
  mastodon('older-release', { 'apps.mastodon.release': '4.6.5' }),
  mastodon('smtp-tls', smtp('465', 'tls'), true),
  mastodon('smtp-starttls', smtp('587', 'starttls')),
  mastodon('smtp-none', withoutLogin),
  mastodon('catcher', MAIL['catcher'] as Answers),
  mastodon('s3-aws', { ...S3, 'apps.mastodon.s3.region': 'eu-central-1' }),
  mastodon(
    's3-policy-alias',
    {
      ...S3,
      'apps.mastodon.s3.endpoint': 'https://ACCOUNT.r2.cloudflarestorage.com',
      'apps.mastodon.s3.region': 'auto',
      'apps.mastodon.s3.alias': 'media.example.org',
      'apps.mastodon.s3.acl': 'none',
    },
    true,
  ),
  ...['acme', 'internal', 'proxy'].map((mode) =>
    mastodon(`s3-served-by-caddy-${mode}`, {
      ...S3,
      ...(mode === 'acme' ? {} : { 'apps.mastodon.s3.endpoint': 'http://nas.lan:9000' }),
      'apps.mastodon.s3.alias': 'media.example.org',
      'apps.mastodon.s3.proxy': 'caddy',
      'tls.mode': mode,
    }),
  ),
  mastodon('s3-acl', { ...S3, 'apps.mastodon.s3.endpoint': 'https://fsn1.your-objectstorage.com' }),
  mastodon('internal', { 'tls.mode': 'internal', bind: '127.0.0.1', ...MAIL['catcher'] }, true),
  mastodon('directory', {
    'tls.mode': 'directory',
    'tls.directory': 'https://ca.example.org/acme/directory',
  }),
  mastodon('proxy', { 'tls.mode': 'proxy', 'apps.mastodon.web-domain': 'web.example.org' }, true),
  mastodon('ipv6', { bind: '::1' }),
  mastodon(
    'monitored',
    { 'monitoring.mode': 'full', 'backup.to': '/mnt/backup', ...smtp('587', 'starttls') },
    true,
  ),
  mastodon('monitored-internal', {
    'monitoring.mode': 'full',
    'tls.mode': 'internal',
    'apps.mastodon.sidekiq': 'split',
    bind: '127.0.0.1',
    ...MAIL['catcher'],
  }),
  mastodon('monitored-proxy', { 'monitoring.mode': 'full', 'tls.mode': 'proxy' }),
  mastodon('monitored-directory', {
    'monitoring.mode': 'exporters',
    'tls.mode': 'directory',
    'tls.directory': 'https://ca.example.org/acme/directory',
  }),
  // Split, S3, mail and a separate web domain together: conditions that edit the same services.
  mastodon('all-at-once', {
    ...S3,
    ...smtp('587', 'starttls'),
    'tls.mode': 'internal',
    'apps.mastodon.size': '16gb',
    'apps.mastodon.web-domain': 'web.example.org',
  }),
  mastodon('and-snac', { ...SNAC, apps: 'mastodon,snac', 'apps.snac.domain': 'snac.example.org' }, true),
  { ...mastodon('loaded-images', { 'tls.mode': 'internal' }), images: 'loaded' },
];

const PIXELFED: Answers = {
  apps: 'pixelfed',
  'apps.pixelfed.domain': 'pix.example.org',
  'apps.pixelfed.admin': 'anna',
  'apps.pixelfed.email': 'anna@example.org',
  'apps.pixelfed.size': '4gb',
  'mail.mode': 'none',
};

const pixelfed = (name: string, answers: Answers, kept = false): Row => ({
  name: `pixelfed-${name}`,
  answers: { ...PIXELFED, ...answers },
  kept,
});

/** Every condition of Pixelfed's stack, and every mix of apps. */
const PIXELFED_ROWS: readonly Row[] = [
  // Local media, real certificates, no mail: what everything else is a change of.
  pixelfed('local', {}, true),
  pixelfed('monitored', { 'monitoring.mode': 'exporters' }, true),
  pixelfed('monitored-postgresql', { 'monitoring.mode': 'full', 'apps.pixelfed.database': 'postgresql' }),
  ...['2gb', '8gb', '16gb'].map((size) => pixelfed(`size-${size}`, { 'apps.pixelfed.size': size })),
  pixelfed(
    'open-smtp',
    {
      ...smtp('587', 'starttls'),
      'apps.pixelfed.registrations': 'open',
      'apps.pixelfed.stories': 'yes',
      'apps.pixelfed.locale': 'de',
      'apps.pixelfed.title': 'Pictures of "us" & $HOME',
      'apps.pixelfed.description': 'Where o’Brien’s friends show what they see.',
      'apps.pixelfed.rules': 'Be kind, “always”; No $ales',
      'apps.pixelfed.banner': '/home/anna/our banner.png',
    },
    true,
  ),
  pixelfed('approved', { ...smtp('465', 'tls'), 'apps.pixelfed.registrations': 'approved' }),
  pixelfed('big', {
    'apps.pixelfed.photo-size': '50',
    'apps.pixelfed.photos': '20',
    'apps.pixelfed.media-types': 'video',
  }),
  pixelfed('data-dirs', {
    'apps.pixelfed.db-dir': '/srv/fast/db',
    'apps.pixelfed.valkey-dir': '/srv/fast/valkey',
    'apps.pixelfed.media-dir': '/srv/big/media',
  }),
  pixelfed('postgresql', { 'apps.pixelfed.database': 'postgresql' }, true),
  pixelfed('postgresql-dir', {
    'apps.pixelfed.database': 'postgresql',
    'apps.pixelfed.size': '16gb',
    'apps.pixelfed.db-dir': '/srv/fast/db',
  }),
  pixelfed(
    'data-elsewhere',
    { 'apps.pixelfed.database': 'external', 'apps.pixelfed.redis': 'external' },
    true,
  ),
  pixelfed('redis-elsewhere', { 'apps.pixelfed.redis': 'external' }),
  pixelfed(
    's3',
    {
      'apps.pixelfed.media': 's3',
      'apps.pixelfed.s3.bucket': 'example-photos',
      'apps.pixelfed.s3.access-key': 'AKIAEXAMPLE',
      'apps.pixelfed.s3.endpoint': 'https://fsn1.your-objectstorage.com',
      'apps.pixelfed.s3.alias': 'media.example.org',
    },
    true,
  ),
  pixelfed('internal', { 'tls.mode': 'internal', bind: '127.0.0.1', ...MAIL['catcher'] }),
  pixelfed('proxy', { 'tls.mode': 'proxy' }),
  { ...pixelfed('loaded-images', { 'tls.mode': 'internal' }), images: 'loaded' },
  pixelfed('and-snac', { ...SNAC, apps: 'snac,pixelfed' }),
  pixelfed('and-mastodon', { ...MASTODON, apps: 'mastodon,pixelfed' }),
  pixelfed('postgresql-and-mastodon', {
    ...MASTODON,
    apps: 'mastodon,pixelfed',
    'apps.pixelfed.database': 'postgresql',
  }),
  pixelfed(
    'and-mastodon-and-snac',
    {
      ...MASTODON,
      ...SNAC,
      apps: 'snac,mastodon,pixelfed',
      'apps.snac.domain': 'snac.example.org',
      'tls.mode': 'internal',
      ...MAIL['catcher'],
    },
    true,
  ),
];

/** A CA certificate of the administrator's own servers. */
const OWN_CAS = readFileSync(new URL('./own-cas.pem', import.meta.url), 'utf8');
const trusting = (one: Row): Row => ({
  ...one,
  answers: { ...one.answers, 'trust.ca': 'own.pem' },
  ownCas: OWN_CAS,
});
const DIRECTORY: Answers = {
  'tls.mode': 'directory',
  'tls.directory': 'https://ca.example.org/acme/directory',
};
const ELSEWHERE: Answers = Object.fromEntries(
  ['mastodon', 'pixelfed'].flatMap((id) => [
    [`apps.${id}.database`, 'external'],
    [`apps.${id}.redis`, 'external'],
  ]),
);

/** Every part that trusts the administrator's own servers. */
const TRUSTING_ROWS: readonly Row[] = [
  trusting(
    pixelfed(
      'own-cas-and-all-apps',
      {
        ...MASTODON,
        ...SNAC,
        apps: 'snac,mastodon,pixelfed',
        'apps.snac.domain': 'snac.example.org',
        'monitoring.mode': 'full',
        ...DIRECTORY,
        ...ELSEWHERE,
        ...smtp('587', 'starttls'),
      },
      true,
    ),
  ),
  trusting(mastodon('own-cas-internal', { 'tls.mode': 'internal', ...smtp('465', 'tls') })),
  trusting(mastodon('own-cas-root', { ...DIRECTORY, 'tls.directory-root': 'other.pem' })),
  trusting(pixelfed('own-cas', { ...smtp('465', 'tls') })),
];

/** Every TLS mode with every mail mode; stored for one of each `bind`. */
const ROWS: readonly Row[] = [
  ...['acme', 'internal'].flatMap((tls, t) =>
    Object.keys(MAIL).flatMap((mail, m) =>
      Object.keys(BIND).map((bind, b) => row(tls, mail, bind, (t + m) % 3 === b)),
    ),
  ),
  row('acme', 'none', 'every', true),
  row('internal', 'none', 'loopback', true, { name: 'snac-loaded-images', images: 'loaded' }),
  row('acme', 'none', 'all', true, {
    name: 'snac-custom-caddy',
    custom: 'www.example.org {\n\tredir https://social.example.org{uri}\n}\n',
  }),
  row('acme', 'none', 'all', true, {
    name: 'snac-status-page',
    answers: { ...SNAC, 'mail.mode': 'none', 'status.page': 'on', 'status.notice': 'On Sunday: a new disk' },
  }),
  ...MASTODON_ROWS,
  ...PIXELFED_ROWS,
  ...TRUSTING_ROWS,
];

/** The files in the directory: without `.fedi`, with the administrator's snippet. */
const filesOf = ({ files }: RenderedSite, { custom, answers }: Row): Record<string, string> => ({
  ...Object.fromEntries(
    files.filter(({ path }) => !path.startsWith('.fedi/')).map(({ path, text }) => [path, text]),
  ),
  ...(custom === undefined ? {} : { 'caddy/custom/theirs.caddy': custom }),
  ...(answers['tls.directory-root'] === undefined ? {} : { 'caddy/custom/other.pem': OWN_CAS }),
});

const sites = new Map<Row, RenderedSite>();
let parent = '';
beforeAll(async () => {
  parent = tempFolder();
  for (const one of ROWS) {
    const site = await render(one.answers, one);
    sites.set(one, site);
    writeTree(join(parent, one.name), filesOf(site, one));
    if (site.root !== undefined) {
      const { path, certificate, key } = site.root;
      const root = `root/${path.slice(ROOT_FOLDER.length + 1)}`;
      writeTree(join(parent, one.name), { [`${root}.crt`]: certificate, [`${root}.key`]: key });
    }
  }
});

describe.each(ROWS.map((one) => [one.name, one] as const))('%s', (name, one) => {
  const site = (): RenderedSite => sites.get(one) as RenderedSite;

  test('the same answers give the same bytes', async () => {
    const again = await render(one.answers, one);
    expect(again.files).toEqual(site().files);
    expect(again.caddyId).toBe(site().caddyId);
  });

  test('Compose accepts it, without a warning', () => {
    // stderr would hold warnings, such as a variable that is not set.
    const printed = execFileSync('sh', ['-c', 'docker compose config --quiet 2>&1'], {
      cwd: join(parent, name),
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
    });
    expect(printed).toBe('');
  });

  test('every service follows the policy for containers', () => {
    const broken = Object.entries(site().compose.services).flatMap(([service, rendered]) =>
      brokenRules(service, rightsOfService(rendered), rendered['x-exceptions']),
    );
    expect(broken).toEqual([]);
  });

  test('no placeholder remains, and no public file contains a secret', () => {
    const secrets = Object.entries(SECRET_VALUES)
      .filter(([key]) => key !== 'tls.root')
      .map(([, value]) => value);
    for (const { path, text, secret, mode } of site().files) {
      expect(`${path} ${text}`).not.toMatch(/\{\$[A-Z]|(?<!\$)\$\{[A-Z]/);
      expect(mode).toBe(secret ? 0o600 : 0o644);
      if (!secret)
        expect(
          secrets.filter((hush) => text.includes(hush)).concat(text.match(/PRIVATE KEY/g) ?? []),
        ).toEqual([]);
    }
  });

  if (!one.kept) return;
  test('matches the stored files', async () => {
    const files = filesOf(site(), one);
    for (const [path, text] of Object.entries(files))
      await expect(text).toMatchFileSnapshot(join(SITES, name, path));
    expect(existsSync(join(SITES, name)) ? Object.keys(readTree(join(SITES, name))) : []).toEqual(
      Object.keys(files).toSorted(),
    );
  });
});

test('Caddy accepts all of them, without a network', () => {
  const printed = inCaddy(
    parent,
    'chmod -R a+rwX .; for site in *; do rm -rf /etc/caddy /data/fedi-setup; ln -s "/work/$site/caddy" /etc/caddy; ln -s "/work/$site/root" /data/fedi-setup; caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile >/tmp/printed 2>&1 || { echo "$site"; cat /tmp/printed; }; done\n',
  );
  expect(printed).toBe('');
});

test('nginx accepts all of them, without a network', () => {
  const folder = tempFolder();
  const seen = new Set<string>();
  for (const [one, site] of sites)
    for (const { app, text } of ['mastodon', 'pixelfed'].map((id) => ({
      app: id,
      text: Object.entries(filesOf(site, one)).filter(([path]) => path.startsWith(`nginx/${id}/`)),
    }))) {
      const key = JSON.stringify(text);
      if (text.length === 0 || seen.has(key)) continue;
      seen.add(key);
      writeTree(join(folder, String(seen.size)), Object.fromEntries(text.map(([path, content]) => [path.slice(`nginx/${app}/`.length), content]))); // prettier-ignore
    }
  expect(seen.size).toBe(3);
  const printed = execFileSync('docker', ['run', '--rm', '--interactive', '--network=none', `--volume=${folder}:/work:ro`, 'fedi-setup/nginx-cache:trixie', 'sh', '-s'], { encoding: 'utf8', input: 'mkdir /etc/fedi; for one in /work/*; do ln -sfn "$one" /etc/fedi/nginx; nginx -t -q -c /etc/fedi/nginx/nginx.conf 2>&1 || echo "$one"; done\n' }); // prettier-ignore
  expect(printed).toBe('');
});

test('any difference in answers, images or snippets changes what runs', () => {
  const texts = [...sites].map(([one, site]) => JSON.stringify(filesOf(site, one)));
  expect(new Set(texts).size).toBe(ROWS.length);
  const plain = ROWS.find(({ name }) => name === 'snac-acme-none-all') as Row;
  const custom = ROWS.find(({ custom: text }) => text !== undefined) as Row;
  expect(sites.get(custom)?.caddyId).not.toBe(sites.get(plain)?.caddyId);
});

test('sites/ contains nothing that is no longer rendered', () => {
  const kept = ROWS.filter((one) => one.kept).map(({ name }) => name);
  expect([...new Set(Object.keys(readTree(SITES)).map((path) => path.split('/')[0]))]).toEqual(
    kept.toSorted(),
  );
});
