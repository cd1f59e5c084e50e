/**
 * Rendered sites, for people to read and for Compose and Caddy to judge. Every combination is linted; some are kept below sites/
 * (`npx vitest run --project golden -u` writes them anew: look at the diff).
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { configOf } from '../../wizard/config/config.ts';
import type { Value } from '../../wizard/config/question.ts';
import { questionsFor } from '../../wizard/config/questions.ts';
import { resolve } from '../../wizard/config/resolve.ts';
import { saveInto, worthSaving } from '../../wizard/config/save.ts';
import { wantedImages } from '../../wizard/plan/lock.ts';
import type { Lock } from '../../wizard/plan/lock.ts';
import { renderSite } from '../../wizard/render/site.ts';
import type { RenderedSite } from '../../wizard/render/site.ts';
import { STORE_FILE, Store } from '../../wizard/secrets/store.ts';
import { inCaddy } from '../support/caddy.ts';
import { readTree, tempFolder, writeTree } from '../support/temp.ts';

const SITES = fileURLToPath(new URL('./sites', import.meta.url));
const SECRETS = fileURLToPath(new URL('./secrets.json', import.meta.url));

interface Row {
  readonly name: string;
  readonly answers: Readonly<Record<string, string>>;
  readonly images: 'loaded' | 'pulled';
  readonly custom?: string;
  /** Kept below sites/. */
  readonly kept: boolean;
}

const MAIL: Record<string, Record<string, string>> = {
  none: { 'mail.mode': 'none' },
  smtp: {
    'mail.mode': 'smtp',
    'mail.host': 'smtp.example.org',
    'mail.port': '465',
    'mail.user': "o'brien $HOME",
  },
  catcher: { 'mail.mode': 'catcher' },
};
const BIND: Record<string, string> = { all: '0.0.0.0', loopback: '127.0.0.1', ipv6: '::1' };

const row = (tls: string, mail: string, bind: string, kept: boolean, more: Partial<Row> = {}): Row => ({
  name: `snac-${tls}-${mail}-${bind}`,
  answers: { 'tls.mode': tls, bind: BIND[bind] as string, ...MAIL[mail] },
  images: 'pulled',
  kept,
  ...more,
});

/** Every certificate with every mail; kept where bind goes round. */
const ROWS: readonly Row[] = [
  ...['acme', 'internal'].flatMap((tls, t) =>
    Object.keys(MAIL).flatMap((mail, m) =>
      Object.keys(BIND).map((bind, b) => row(tls, mail, bind, (t + m) % 3 === b)),
    ),
  ),
  row('internal', 'none', 'loopback', true, { name: 'snac-loaded-images', images: 'loaded' }),
  row('acme', 'none', 'all', true, {
    name: 'snac-custom-caddy',
    custom: 'www.example.org {\n\tredir https://social.example.org{uri}\n}\n',
  }),
];

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

async function render({ answers, images, custom = '' }: Row): Promise<RenderedSite> {
  const given = {
    apps: 'snac',
    'apps.snac.domain': 'social.example.org',
    'apps.snac.admin': 'anna',
    'apps.snac.email': 'anna@example.org',
    ...answers,
  };
  const resolved = await resolve([
    new Map(Object.entries(given).map(([key, text]) => [key, { text, from: 'the test' }])),
  ]);
  expect(resolved.problems.filter((problem) => !problem.startsWith('Password'))).toEqual([]);
  const config = configOf(resolved.answers);
  const folder = tempFolder();
  copyFileSync(SECRETS, join(folder, STORE_FILE));
  const lock: Lock = Object.fromEntries(
    Object.entries(wantedImages(config)).map(([name, { reference }], i) => {
      const id = digest('abcdef'[i] as string);
      return [
        name,
        images === 'pulled'
          ? { tag: reference, digest: id }
          : { tag: reference, id, source: 'loaded' as const },
      ];
    }),
  );
  const saved: [string, Value][] = worthSaving(questionsFor(config.apps.map(({ id }) => id)), resolved);
  return renderSite({
    config,
    store: await Store.open(folder),
    lock,
    answersText: saveInto(undefined, saved),
    customCaddy: custom,
  });
}

/** What the person sees in the directory: without our own folder, with their snippet. */
const filesOf = ({ files }: RenderedSite, { custom }: Row): Record<string, string> => ({
  ...Object.fromEntries(
    files.filter(({ path }) => !path.startsWith('.fedi/')).map(({ path, text }) => [path, text]),
  ),
  ...(custom === undefined ? {} : { 'caddy/custom/theirs.caddy': custom }),
});

const sites = new Map<Row, RenderedSite>();
let parent = '';
beforeAll(async () => {
  parent = tempFolder();
  for (const one of ROWS) {
    const site = await render(one);
    sites.set(one, site);
    writeTree(join(parent, one.name), filesOf(site, one));
  }
});

describe.each(ROWS.map((one) => [one.name, one] as const))('%s', (name, one) => {
  const site = (): RenderedSite => sites.get(one) as RenderedSite;

  test('the same answers give the same bytes', async () => {
    const again = await render(one);
    expect(again.files).toEqual(site().files);
    expect(again.caddyId).toBe(site().caddyId);
  });

  test('Compose takes it, without a word', () => {
    // stderr would hold warnings, such as a variable that is not set.
    const said = execFileSync('sh', ['-c', 'docker compose config --quiet 2>&1'], {
      cwd: join(parent, name),
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
    });
    expect(said).toBe('');
  });

  test('nothing is left open, and no secret lies in a plain file', () => {
    const secrets = ["it's", 'a-fixed-'];
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
  test('is what was agreed on', async () => {
    const files = filesOf(site(), one);
    for (const [path, text] of Object.entries(files))
      await expect(text).toMatchFileSnapshot(join(SITES, name, path));
    expect(existsSync(join(SITES, name)) ? Object.keys(readTree(join(SITES, name))) : []).toEqual(
      Object.keys(files).toSorted(),
    );
  });
});

test('Caddy takes them all, without a network', () => {
  const said = inCaddy(
    parent,
    'chmod -R a+rwX .; for site in *; do rm -rf /etc/caddy; ln -s "/work/$site/caddy" /etc/caddy; caddy validate --config /etc/caddy/Caddyfile --adapter caddyfile >/tmp/said 2>&1 || { echo "$site"; cat /tmp/said; }; done\n',
  );
  expect(said).toBe('');
});

test('any difference in the answers, images or snippets is a difference in what runs', () => {
  const texts = [...sites].map(([one, site]) => JSON.stringify(filesOf(site, one)));
  expect(new Set(texts).size).toBe(ROWS.length);
  const plain = ROWS.find(({ name }) => name === 'snac-acme-none-all') as Row;
  const custom = ROWS.find(({ custom: text }) => text !== undefined) as Row;
  expect(sites.get(custom)?.caddyId).not.toBe(sites.get(plain)?.caddyId);
});

test('sites/ holds nothing that is no longer rendered', () => {
  const kept = ROWS.filter((one) => one.kept).map(({ name }) => name);
  expect([...new Set(Object.keys(readTree(SITES)).map((path) => path.split('/')[0]))]).toEqual(
    kept.toSorted(),
  );
});
