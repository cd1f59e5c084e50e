/** Proves a site and keeps its receipts: `.fedi/receipts/TIME.json`. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { appOf, namesOf } from '../apps/index.ts';
import { writeWhole } from '../atomic.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { OWN } from '../layout.ts';
import type { Progress } from '../progress.ts';
import type { ProofContext, ProofResult, Receipt } from '../prove/proof.ts';
import { prove } from '../prove/prove.ts';
import type { Store } from '../secrets/store.ts';
import { readManifest } from './files.ts';

export interface ProveOptions {
  readonly folder: string;
  readonly config: Config;
  readonly store: Store;
  readonly engine: Engine;
  readonly progress: Progress;
  readonly now: () => Date;
  /** A mail is sent even though one was accepted with these settings before. */
  readonly mail?: boolean;
}

export async function proveSite(options: ProveOptions): Promise<Receipt> {
  const { folder, config, store, now } = options;
  const { generation } = await readManifest(folder);
  const live = await everProven(folder);
  const subjects = config.apps.map((app) => {
    const { name, adminSecret, webSockets = false, proofs } = appOf(app.id);
    return {
      app,
      name,
      names: namesOf(config, app),
      live: webSockets,
      // With its data an app loses its accounts: one that is made anew has a password that nobody has seen yet.
      first: !live.has(app.id) || !store.wasShown(adminSecret),
      proofs: (context: ProofContext) => proofs(context, app),
    };
  });
  const mail = options.mail === true || (await mailDue(folder, config, store));
  const proofs = await prove(config, subjects, { ...options, mail });
  const receipt: Receipt = {
    version: 1,
    at: now().toISOString(),
    generation,
    proven: proofs.every(({ ok }) => ok),
    ...(mailProven(proofs) ? { mail: mailKey(config, store) } : {}),
    proofs,
  };
  await keepReceipt(folder, receipt);
  return receipt;
}

const isMail = ({ id }: ProofResult): boolean => id === 'mail';
const mailProven = (results: readonly ProofResult[]): boolean =>
  results.some(isMail) && results.filter(isMail).every(({ ok }) => ok);

/** What a mail depends on: other settings need another mail. */
const mailKey = ({ mail, apps }: Config, store: Store): string =>
  store.keyedHash(JSON.stringify([mail, store.find('mail.password')?.reveal(), apps]));

/** True as long as no mail was accepted with these settings, and after one that was not. */
async function mailDue(site: string, config: Config, store: Store): Promise<boolean> {
  for (const name of (await receipts(site)).toReversed()) {
    const receipt = JSON.parse(await readFile(join(folderOf(site), name), 'utf8')) as Receipt;
    if (receipt.proofs.some(isMail)) return receipt.mail !== mailKey(config, store);
  }
  return true;
}

const folderOf = (site: string): string => join(site, OWN, 'receipts');

/** Kept by time, so the newest is the last by name. */
async function keepReceipt(site: string, receipt: Receipt): Promise<void> {
  await mkdir(folderOf(site), { recursive: true, mode: 0o700 });
  await writeWhole(
    join(folderOf(site), `${receipt.at.replaceAll(':', '-')}.json`),
    `${JSON.stringify(receipt, null, 2)}\n`,
    0o600,
  );
}

async function receipts(site: string): Promise<string[]> {
  try {
    return (await readdir(folderOf(site))).filter((name) => name.endsWith('.json')).toSorted();
  } catch {
    return [];
  }
}

export async function lastReceipt(site: string): Promise<Receipt | undefined> {
  const name = (await receipts(site)).at(-1);
  return name === undefined
    ? undefined
    : (JSON.parse(await readFile(join(folderOf(site), name), 'utf8')) as Receipt);
}

/** Oldest first. */
export async function allReceipts(site: string): Promise<Receipt[]> {
  const texts = (await receipts(site)).map((name) => readFile(join(folderOf(site), name), 'utf8'));
  return (await Promise.all(texts)).map((text) => JSON.parse(text) as Receipt);
}

/** Apps whose first run is over: they were proven at least once, so they may be live. */
async function everProven(site: string): Promise<ReadonlySet<string>> {
  const whole = (await allReceipts(site)).flatMap(({ proofs }) => {
    const apps = new Set(proofs.map(({ app }) => app));
    for (const { app, ok } of proofs) if (!ok) apps.delete(app);
    return [...apps];
  });
  return new Set(whole);
}
