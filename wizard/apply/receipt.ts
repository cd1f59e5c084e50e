/** Proves a site and keeps its receipts: `.fedi/receipts/TIME.json`. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf, servedNamesOf } from '../apps/index.ts';
import { writeWhole } from '../atomic.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { OWN } from '../layout.ts';
import type { Progress } from '../progress.ts';
import type { ProofContext, ProofResult, Receipt } from '../prove/proof.ts';
import { prove } from '../prove/prove.ts';
import type { Store } from '../secrets/store.ts';
import { readOwnCas } from '../trust.ts';
import { readManifest } from './files.ts';
import { MAINTENANCE_HEADER, readUpgrading } from './upgrading.ts';

export interface ProveOptions {
  readonly folder: string;
  readonly config: Config;
  readonly store: Store;
  readonly engine: Engine;
  readonly progress: Progress;
  readonly now: () => Date;
  /** Send a mail even if one was accepted with these settings before. */
  readonly mail?: boolean;
  /** Trials of this run that --skip-check left out. */
  readonly untested?: readonly string[];
}

export async function proveSite(options: ProveOptions): Promise<Receipt> {
  const { folder, config, store, now, untested = [] } = options;
  const { generation } = await readManifest(folder);
  const live = await everProven(folder);
  const subjects = config.apps.map((app) => {
    const { name, adminSecret, webSockets, proofs } = appOf(app.id);
    return {
      app,
      name,
      names: servedNamesOf(app),
      live: webSockets !== undefined,
      // An app that lost its data gets a new account, whose password was not shown yet.
      first: !live.has(app.id) || !store.wasShown(adminSecret),
      proofs: (context: ProofContext) => proofs(context, app),
    };
  });
  const mail = options.mail === true || (await mailDue(folder, config, store));
  const token = (await readUpgrading(folder))?.token;
  const headers = token === undefined ? {} : { [MAINTENANCE_HEADER]: token };
  const proofs = await prove(config, subjects, {
    ...options,
    ownCas: await readOwnCas(folder, config),
    mail,
    headers,
  });
  const before = await allReceipts(folder);
  const receipt: Receipt = {
    version: 1,
    number: Math.max(0, ...before.map(({ number = 0 }) => number)) + 1,
    at: now().toISOString(),
    generation,
    proven: proofs.every(({ ok }) => ok),
    ...(mailProven(proofs) ? { mail: mailKey(config, store) } : {}),
    ...(untested.length > 0 ? { untested } : {}),
    proofs,
  };
  await keepReceipt(folder, receipt);
  return receipt;
}

const isMail = ({ id }: ProofResult): boolean => id === 'mail';
const mailProven = (results: readonly ProofResult[]): boolean =>
  results.some(isMail) && results.filter(isMail).every(({ ok }) => ok);

/** Hash of the mail settings, of which each receipt keeps a copy: a change needs another mail. */
export function mailKey({ mail: { server, from }, apps }: Config, store: Store): string {
  const receivers = apps.map(({ id, domain, admin, email }) => ({ id, domain, admin, email }));
  return store.keyedHash(
    JSON.stringify([{ server, from }, store.find('mail.password')?.reveal(), receivers]),
  );
}

/** True until the last mail sent with these settings was accepted. */
async function mailDue(site: string, config: Config, store: Store): Promise<boolean> {
  const last = (await allReceipts(site)).findLast(({ proofs }) => proofs.some(isMail));
  return last === undefined || last.mail !== mailKey(config, store);
}

/** The last mail that a proof sent, from receipts, oldest first; undefined: none. */
export function lastMail(
  receipts: readonly Receipt[],
): { readonly at: string; readonly ok: boolean } | undefined {
  const last = receipts.findLast(({ proofs }) => proofs.some(isMail));
  return last === undefined ? undefined : { at: last.at, ok: mailProven(last.proofs) };
}

const folderOf = (site: string): string => join(site, OWN, 'receipts');

/** The name has the time, for people; the order is that of the numbers, since a clock may be wrong. */
async function keepReceipt(site: string, receipt: Receipt): Promise<void> {
  await mkdir(folderOf(site), { recursive: true, mode: 0o700 });
  await writeWhole(
    join(folderOf(site), `${receipt.at.replaceAll(':', '-')}.json`),
    `${JSON.stringify(receipt, null, 2)}\n`,
    0o600,
  );
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Parses a receipt; undefined: it is damaged, or of another version. */
function receiptIn(text: string): Receipt | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value['version'] !== 1) return undefined;
  const { at, generation, proven, proofs, number } = value;
  const isProof = (proof: unknown): boolean =>
    isRecord(proof) && isText(proof['app']) && isText(proof['id']) && typeof proof['ok'] === 'boolean';
  return isText(at) &&
    typeof generation === 'number' &&
    typeof proven === 'boolean' &&
    (number === undefined || typeof number === 'number') &&
    Array.isArray(proofs) &&
    proofs.every(isProof)
    ? (value as unknown as Receipt)
    : undefined;
}

/** Oldest first; damaged files do not count. */
export async function allReceipts(site: string): Promise<Receipt[]> {
  const names = (await readdir(folderOf(site)).catch(() => [])).filter((name) => name.endsWith('.json'));
  const texts = names.toSorted().map((name) => readFile(join(folderOf(site), name), 'utf8').catch(() => ''));
  const found = (await Promise.all(texts)).flatMap((text) => receiptIn(text) ?? []);
  return found.toSorted((a, b) => (a.number ?? 0) - (b.number ?? 0));
}

export const lastReceipt = async (site: string): Promise<Receipt | undefined> =>
  (await allReceipts(site)).at(-1);

/** Titles of failed proofs, with the app if there are several; skipped ones follow from them. */
export const failedProofs = ({ proofs }: Receipt, { apps }: Config): string[] =>
  proofs
    .filter(({ ok, skipped }) => !ok && skipped !== true)
    .map(({ app, title }) => (apps.length > 1 ? `${appOf(app).name}: ${title}` : title));

/** Apps that were proven at least once, so they may be live. */
async function everProven(site: string): Promise<ReadonlySet<string>> {
  const whole = (await allReceipts(site)).flatMap(({ proofs }) => {
    const apps = new Set(proofs.map(({ app }) => app));
    for (const { app, ok } of proofs) if (!ok) apps.delete(app);
    return [...apps];
  });
  return new Set(whole);
}
