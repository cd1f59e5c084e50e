/** Receipts on the disk: the last one is the newest, also after a wrong clock; a damaged one is ignored. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allReceipts, lastReceipt, mailKey, proveSite } from '../../../wizard/apply/receipt.ts';
import type { ProveOptions } from '../../../wizard/apply/receipt.ts';
import type { Config } from '../../../wizard/config/config.ts';
import type { Answers } from '../../../wizard/config/question.ts';
import { jsonProgress } from '../../../wizard/progress.ts';
import type { Receipt } from '../../../wizard/prove/proof.ts';
import { Store } from '../../../wizard/secrets/store.ts';
import { ENGINE, contextOf } from '../../support/checks.ts';
import { tempFolder } from '../../support/temp.ts';

const folderOf = (site: string): string => join(site, '.fedi/receipts');

function siteWith(files: Readonly<Record<string, unknown>>): string {
  const site = tempFolder();
  mkdirSync(folderOf(site), { recursive: true });
  for (const [name, content] of Object.entries(files))
    writeFileSync(
      join(folderOf(site), `${name}.json`),
      typeof content === 'string' ? content : JSON.stringify(content),
    );
  return site;
}

const receipt = (at: string, more: Partial<Receipt> = {}): Receipt => ({
  version: 1,
  at,
  generation: 1,
  proven: true,
  proofs: [],
  ...more,
});

const configWith = (more: Answers = {}): Config => contextOf(more).config;

/** No container runs, so nothing is proven; the test reads the receipt. */
async function prove(folder: string, at: string): Promise<Receipt> {
  const options = {
    folder,
    config: configWith(),
    store: await Store.open(folder),
    engine: ENGINE,
    progress: {
      ...jsonProgress(),
      start: () => undefined,
      done: () => undefined,
      fail: () => undefined,
      skip: () => undefined,
      emit: () => undefined,
    },
    now: () => new Date(at),
  } satisfies ProveOptions;
  return proveSite(options);
}

test('a receipt dated in the future is not the last one until then', async () => {
  const site = siteWith({ '2025-01-01T00-00-00.000Z': receipt('2025-01-01T00:00:00.000Z') });
  await prove(site, '2030-01-01T00:00:00.000Z');
  await prove(site, '2026-01-01T00:00:00.000Z');
  expect((await allReceipts(site)).map(({ at, number }) => [at.slice(0, 4), number])).toEqual([
    ['2025', undefined],
    ['2030', 1],
    ['2026', 2],
  ]);
  expect((await lastReceipt(site))?.at).toBe('2026-01-01T00:00:00.000Z');
});

test('a future receipt without a number is older than every numbered one', async () => {
  const site = siteWith({ '2030-01-01T00-00-00.000Z': receipt('2030-01-01T00:00:00.000Z') });
  expect((await prove(site, '2026-01-01T00:00:00.000Z')).number).toBe(1);
  expect((await lastReceipt(site))?.at).toBe('2026-01-01T00:00:00.000Z');
});

test.each<[string, unknown]>([
  ['cut off', '{"version":1,"at":"20'],
  ['empty', ''],
  ['no object', '[]'],
  ['null', 'null'],
  ['another version', { ...receipt('2026'), version: 2 }],
  ['no proofs', { ...receipt('2026'), proofs: undefined }],
  ['an invalid proof', { ...receipt('2026'), proofs: [null] }],
  ['an invalid number', { ...receipt('2026'), number: 'x' }],
])('%s: is ignored', async (_, content) => {
  const good = receipt('2025-01-01T00:00:00.000Z');
  const site = siteWith({ '2025-01-01T00-00-00.000Z': good, '2026-01-01T00-00-00.000Z': content });
  expect(await allReceipts(site)).toEqual([good]);
  expect(await lastReceipt(site)).toEqual(good);
  expect(readdirSync(folderOf(site))).toHaveLength(2);
});

test('a site without receipts', async () => {
  expect(await allReceipts(tempFolder())).toEqual([]);
  expect(await lastReceipt(tempFolder())).toBeUndefined();
});

test('only a change of mail settings, of an app’s domain or of its admin needs another test mail', async () => {
  const store = await Store.open(tempFolder());
  store.put('site.key', 'forever', '01'.repeat(32), new Date());
  const key = (more: Answers): string => mailKey(configWith(more), store);
  const now = key({});
  expect(key({ 'apps.snac.data-dir': '/srv/snac', bind: '127.0.0.1' })).toBe(now);
  for (const more of [
    { 'mail.mode': 'catcher' },
    { 'mail.from': 'x@example.org' },
    { 'apps.snac.domain': 'other.example.org' },
    { 'apps.snac.email': 'other@example.org' },
  ])
    expect(key(more)).not.toBe(now);
});
