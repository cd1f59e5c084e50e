/** `trust.ca`: how each part of a site gets the CA certificates of the administrator's own servers, besides the public ones. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { appOf } from '../../../wizard/apps/index.ts';
import { dataEnv, streamingDataEnv } from '../../../wizard/apps/mastodon/data.ts';
import { mastodonOptions } from '../../../wizard/apps/mastodon/options.ts';
import { pixelfedOptions } from '../../../wizard/apps/pixelfed/options.ts';
import { Secret } from '../../../wizard/secrets/secret.ts';
import type { RenderedSite } from '../../../wizard/render/site.ts';
import { certificatesIn } from '../../../wizard/trust.ts';
import { render } from '../../support/render.ts';

const OWN = readFileSync(new URL('../../golden/own-cas.pem', import.meta.url), 'utf8');
const IN = '/etc/fedi/trust/ca.crt';
const PUBLIC = '/etc/ssl/certs/ca-certificates.crt';
const MOUNT = './trust:/etc/fedi/trust:ro';

type Answers = Readonly<Record<string, string>>;
const site = (app: string, more: Answers = {}, ownCas: string | null = OWN): Promise<RenderedSite> =>
  render(
    {
      apps: app,
      'tls.mode': 'acme',
      'mail.mode': 'none',
      ...Object.fromEntries(
        app.split(',').flatMap((id) => [
          [`apps.${id}.domain`, `${id}.example.org`],
          [`apps.${id}.admin`, 'anna'],
          [`apps.${id}.email`, 'anna@example.org'],
        ]),
      ),
      ...(ownCas === null ? {} : { 'trust.ca': 'own.pem' }),
      ...more,
    },
    ownCas === null ? {} : { ownCas },
  );
const fileOf = ({ files }: RenderedSite, path: string): string | undefined =>
  files.find((file) => file.path === path)?.text;
const trusting = ({ compose }: RenderedSite): string[] =>
  Object.entries(compose.services)
    .filter(([, { volumes = [] }]) => volumes.includes(MOUNT))
    .map(([name]) => name)
    .toSorted();
const external = (app: string): Answers => ({
  [`apps.${app}.database`]: 'external',
  [`apps.${app}.redis`]: 'external',
});

describe('the file', () => {
  test('has only those certificates; in a lab also that of the internal CA', async () => {
    expect(fileOf(await site('snac'), 'trust/ca.crt')).toBe(OWN);
    const lab = await site('snac', { 'tls.mode': 'internal' });
    expect(fileOf(lab, 'trust/ca.crt')).toBe(`${fileOf(lab, 'trust/root.crt')}${OWN}`);
    expect(certificatesIn(fileOf(lab, 'trust/ca.crt') ?? '')).toHaveLength(2);
  });

  test.each(['acme', 'internal'])('is in no site without the option (%s)', async (mode) => {
    const { files, compose } = await site('snac,mastodon,pixelfed', { 'tls.mode': mode }, null);
    expect(files.map(({ path }) => path)).not.toContain('trust/ca.crt');
    expect(JSON.stringify([files, compose])).not.toContain(IN);
  });

  test('a change of it recreates the containers that read it, and no other', async () => {
    const [one, two] = [await site('snac,mastodon'), await site('snac,mastodon', {}, `${OWN}${OWN}`)];
    const changed = Object.keys(one.compose.services).filter(
      (name) =>
        JSON.stringify(one.compose.services[name]?.labels) !==
        JSON.stringify(two.compose.services[name]?.labels),
    );
    expect(changed.toSorted()).toEqual(trusting(one));
    expect(changed).not.toContain('caddy');
  });
});

describe('apps', () => {
  test('snac adds it to the certificates of its image', async () => {
    const one = await site('snac');
    expect(one.env['snac']?.['SNAC_CA_FILE']).toBe(IN);
    expect(trusting(one)).toEqual(['snac']);
  });

  test('Mastodon: Ruby by OpenSSL’s file, besides its directory', async () => {
    const one = await site('mastodon');
    expect(one.env['mastodon']?.['SSL_CERT_FILE']).toBe(IN);
    expect(one.env['mastodon-streaming']?.['SSL_CERT_FILE']).toBeUndefined();
    expect(trusting(one)).toEqual([
      'mastodon_gate',
      'mastodon_sidekiq',
      'mastodon_streaming',
      'mastodon_web',
    ]);
  });

  test.each([
    ['alone', {}, IN],
    [
      'with database-ca, which counts first',
      { 'apps.mastodon.database-ca': 'db.pem' },
      '/etc/fedi/trust/custom/db.pem',
    ],
  ])('Mastodon, PostgreSQL whose certificate is verified, %s', (_, more, roots) => {
    const options = mastodonOptions({ 'apps.mastodon.database': 'external', ...more });
    const url = new Secret('postgresql://m:p@db.example.org/mastodon?sslmode=verify-full');
    const data = dataEnv({ ...options, hasOwnCas: true }, () => url);
    expect(data['PGSSLROOTCERT']).toBe(roots);
    expect(streamingDataEnv(data)['NODE_EXTRA_CA_CERTS']).toBe(roots);
  });

  test('Pixelfed, MariaDB whose certificate is verified: in its check too', () => {
    const options = {
      ...pixelfedOptions({ 'apps.pixelfed.database': 'external' }),
      hasOwnCas: true as const,
    };
    const url = new Secret('mysql://p:p@db.example.org/pixelfed?ssl-mode=VERIFY_IDENTITY');
    const [check] = appOf('pixelfed').trials?.(options) ?? [];
    expect(check?.env(() => url)['MYSQL_ATTR_SSL_CA']).toBe(IN);
  });

  test('Mastodon, external Redis: web, Sidekiq, migrations and streaming', async () => {
    const { env } = await site('mastodon', { 'apps.mastodon.redis': 'external' });
    for (const group of ['mastodon', 'mastodon-gate'])
      expect(env[group]).toMatchObject({ SSL_CERT_FILE: IN });
    expect(env['mastodon-streaming']).toMatchObject({ NODE_EXTRA_CA_CERTS: IN });
    expect(env['mastodon-streaming']?.['SSL_CERT_FILE']).toBeUndefined();
  });

  test('Pixelfed: PHP by its ini file, besides the directory of the image; migrations have it too', async () => {
    const one = await site('pixelfed', external('pixelfed'));
    expect(fileOf(one, 'trust/php.ini')).toBe(`openssl.cafile=${IN}\nopenssl.capath=/etc/ssl/certs\n`);
    expect(one.env['pixelfed']).toMatchObject({ PHP_INI_SCAN_DIR: ':/etc/fedi/trust', SSL_CERT_FILE: IN });
    expect(one.env['pixelfed-gate']).toMatchObject({ SSL_CERT_FILE: IN });
    expect(trusting(one)).toEqual([
      'pixelfed_gate',
      'pixelfed_horizon',
      'pixelfed_scheduler',
      'pixelfed_web',
    ]);
  });
});

describe('Caddy', () => {
  const directory = { 'tls.mode': 'directory', 'tls.directory': 'https://ca.example.org/directory' };
  const line = 'trusted_roots /etc/caddy/tls/ca.crt';

  test('trusts an ACME directory by it, besides the certificates of the image', async () => {
    const one = await site('snac', directory);
    expect(fileOf(one, 'caddy/tls/ca.crt')).toBe(OWN);
    expect(fileOf(one, 'caddy/tls/global.caddy')).toContain(line);
    expect(fileOf(one, 'caddy/tls/global.caddy')).toContain(`acme_ca_root ${PUBLIC}`);
    expect((await site('snac', directory, `${OWN}${OWN}`)).caddyId).not.toBe(one.caddyId);
  });

  test.each<[string, Answers]>([
    ['a public CA', {}],
    ['tls.directory-root, which counts first', { ...directory, 'tls.directory-root': 'other.pem' }],
  ])('not with %s', async (_, more) => {
    const one = await site('snac', more);
    expect(fileOf(one, 'caddy/tls/ca.crt')).toBeUndefined();
    expect(fileOf(one, 'caddy/tls/global.caddy')).not.toContain(line);
  });

  test('monitoring requests such pages, and mails alerts, with it', async () => {
    const one = await site('snac', {
      ...directory,
      'monitoring.mode': 'full',
      'mail.mode': 'smtp',
      'mail.host': 'mail.example.org',
    });
    for (const name of ['monitoring_blackbox', 'monitoring_alertmanager'])
      expect(one.compose.services[name]).toMatchObject({ environment: { SSL_CERT_FILE: IN } });
    expect(trusting(one)).toEqual(['monitoring_alertmanager', 'monitoring_blackbox', 'snac']);
  });
});
