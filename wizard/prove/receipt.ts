/** Runs the proofs and writes the receipt: what a user of the server would see, seen. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../atomic.ts';
import { OWN } from '../layout.ts';
import { APPS } from '../apps/index.ts';
import type { Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { messageOf } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { splitRoot } from '../secrets/openssl.ts';
import type { Store } from '../secrets/store.ts';
import { client } from './http.ts';
import type { ProofContext, ProofResult, Receipt } from './proof.ts';

export async function prove(
  config: Config,
  store: Store,
  engine: Engine,
  generation: number,
  progress: Progress,
  now: () => Date,
): Promise<Receipt> {
  const root = config.tls.mode === 'internal' ? splitRoot(store.get('tls.root').reveal()) : undefined;
  const wildcard = config.bind === '0.0.0.0' || config.bind === '::';
  const context: ProofContext = {
    config,
    // An internal root goes with names that the DNS need not know: then the door itself is asked. Real certificates: by DNS.
    http: client(
      root === undefined ? undefined : wildcard ? '127.0.0.1' : config.bind,
      root !== undefined && 'certificate' in root ? root.certificate : undefined,
    ),
    secret: (name) => store.find(name),
    inside: async (service, { argv, stdin }) => {
      const container = (await engine.containers(config.name)).find((one) => one.service === service);
      if (container === undefined) throw new Error(`the container of ${service} is gone`);
      return engine.exec(container.id, argv, stdin);
    },
  };

  const results: ProofResult[] = [];
  for (const app of config.apps) {
    for (const proof of APPS[app.id].proofs(context, app)) {
      const since = Date.now();
      progress.start(`prove.${app.id}.${proof.id}`, proof.title);
      let result: ProofResult;
      try {
        const seen = await proof.run();
        result = { app: app.id, id: proof.id, title: proof.title, ok: true, ms: Date.now() - since, seen };
        progress.done(seen);
      } catch (error) {
        result = {
          app: app.id,
          id: proof.id,
          title: proof.title,
          ok: false,
          ms: Date.now() - since,
          seen: messageOf(error),
        };
        progress.fail(result.seen);
      }
      results.push(result);
      progress.emit({ event: 'proof', ...result });
    }
  }
  return {
    version: 1,
    at: now().toISOString(),
    generation,
    proven: results.every(({ ok }) => ok),
    proofs: results,
  };
}

const folderOf = (site: string): string => join(site, OWN, 'receipts');

/** Kept by time, so the newest is the last by name. */
export async function keepReceipt(site: string, receipt: Receipt): Promise<void> {
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

/** True once the first run is over: the site was proven at least once, so it may be live. */
export async function everProven(site: string): Promise<boolean> {
  for (const name of await receipts(site)) {
    const receipt = JSON.parse(await readFile(join(folderOf(site), name), 'utf8')) as Receipt;
    if (receipt.proven) return true;
  }
  return false;
}
