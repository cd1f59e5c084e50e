/** Runs the proofs and writes the receipt: what a user of the server would see, seen. */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWhole } from '../atomic.ts';
import { OWN } from '../layout.ts';
import { APPS } from '../apps/index.ts';
import { doorOf } from '../config/config.ts';
import type { AppConfig, Config } from '../config/config.ts';
import type { Engine } from '../docker/engine.ts';
import { messageOf } from '../problem.ts';
import type { Progress } from '../progress.ts';
import { splitRoot } from '../secrets/openssl.ts';
import type { Store } from '../secrets/store.ts';
import { client } from './http.ts';
import type { Client } from './http.ts';
import type { Proof, ProofContext, ProofResult, Receipt } from './proof.ts';
import { certificateProof, proxyProof } from './tls.ts';

const LOG_LINES = 100;

export async function prove(
  config: Config,
  store: Store,
  engine: Engine,
  generation: number,
  live: ReadonlySet<string>,
  mail: boolean,
  progress: Progress,
  now: () => Date,
): Promise<Receipt> {
  const containerOf = async (service: string): Promise<string> => {
    const container = (await engine.containers(config.name)).find((one) => one.service === service);
    if (container === undefined) throw new Error(`the container of ${service} is gone`);
    return container.id;
  };
  const inside: ProofContext['inside'] = async (service, { argv, stdin }) =>
    engine.exec(await containerOf(service), argv, stdin);
  const door = doorOf(config);
  const ca = await trusted(config, store, inside);
  const common: Omit<ProofContext, 'first'> = {
    config,
    // An internal root goes with names that the DNS need not know: then the door itself is asked. Real certificates: by DNS.
    http: client(config.tls.mode === 'internal' ? door : undefined, ca, config.apps.flatMap(namesOf(config))),
    secret: (name) => store.find(name),
    mail,
    inside,
    said: async (service, seconds) => engine.logs(await containerOf(service), LOG_LINES, seconds),
  };

  const results: ProofResult[] = [];
  for (const app of config.apps) {
    // With its data an app loses its accounts: one that is made anew has a password that nobody has seen yet.
    const first = !live.has(app.id) || !store.wasShown(APPS[app.id].adminSecret);
    const context: ProofContext = { ...common, first };
    const proofs = [...APPS[app.id].proofs(context, app)];
    const gate = gateOf(config, namesOf(config)(app), {
      engine,
      door,
      ca,
      http: context.http,
    });
    if (gate !== undefined) proofs.unshift(gate.proof);
    let open = true;
    let isDown = false;
    for (const proof of proofs) {
      const since = Date.now();
      progress.start(`prove.${app.id}.${proof.id}`, proof.title);
      let result: ProofResult;
      try {
        if (!open) throw new Error(`not tried: ${gate?.closed}`);
        if (isDown && proof.inside !== true)
          throw new Error(`not tried: https://${app.domain} does not answer`);
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
        if (proof === gate?.proof) open = false;
        // Caddy waits for an app a while before it says so: not once a proof.
        else if (proof.id === FIRST && open) isDown = !(await answers(context.http, app));
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
    ...(mailProven(results) ? { mail: mailKey(config, store) } : {}),
    proofs: results,
  };
}

/** Of {@link discoveryProofs}: whether there is anybody. */
const FIRST = 'https';

async function answers(http: Client, { domain }: AppConfig): Promise<boolean> {
  try {
    return (await http(`https://${domain}/`)).status < 500;
  } catch {
    return false;
  }
}

const namesOf =
  (config: Config) =>
  (app: AppConfig): readonly string[] =>
    APPS[app.id].names?.(config, app) ?? [app.domain];

const isMail = ({ id }: ProofResult): boolean => id === 'mail';
const mailProven = (results: readonly ProofResult[]): boolean =>
  results.some(isMail) && results.filter(isMail).every(({ ok }) => ok);

/** What a mail depends on: other settings need another mail. */
const mailKey = ({ mail, apps }: Config, store: Store): string =>
  store.keyedHash(JSON.stringify([mail, store.find('mail.password')?.reveal(), apps]));

/** True as long as no mail was accepted with these settings, and after one that was not. */
export async function mailDue(site: string, config: Config, store: Store): Promise<boolean> {
  for (const name of (await receipts(site)).toReversed()) {
    const receipt = JSON.parse(await readFile(join(folderOf(site), name), 'utf8')) as Receipt;
    if (receipt.proofs.some(isMail)) return receipt.mail !== mailKey(config, store);
  }
  return true;
}

/** What comes before all other proofs of an app, and what those say when it failed: each would only find that out anew. */
function gateOf(
  { name, tls }: Config,
  names: readonly string[],
  { engine, door, ca, http }: { engine: Engine; door: string; ca: string | undefined; http: Client },
): { readonly proof: Proof; readonly closed: string } | undefined {
  if (tls.mode === 'internal') return undefined;
  if (tls.mode === 'proxy')
    return {
      proof: proxyProof(http, names, `${door.includes(':') ? `[${door}]` : door}:${tls.port}`),
      closed: 'your proxy does not lead here yet',
    };
  return {
    proof: certificateProof({ engine, project: name, address: door, ca }, names),
    closed: 'there is no certificate yet',
  };
}

/** PEM of the roots that visitors trust; undefined: the system's. */
async function trusted(
  { tls }: Config,
  store: Store,
  inside: ProofContext['inside'],
): Promise<string | undefined> {
  if (tls.mode === 'internal') {
    const root = splitRoot(store.get('tls.root').reveal());
    return 'certificate' in root ? root.certificate : undefined;
  }
  if (tls.mode !== 'directory' || tls.directoryRoot === undefined) return undefined;
  try {
    // As Caddy itself reads it. The CA's own address and its certificates may have different roots: the file holds both.
    const { code, stdout } = await inside('caddy', {
      argv: ['cat', `/etc/caddy/custom/${tls.directoryRoot}`],
    });
    return code === 0 ? stdout : undefined;
  } catch {
    return undefined; // Caddy does not run, which the proofs will say
  }
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

/** Oldest first. */
export async function allReceipts(site: string): Promise<Receipt[]> {
  const texts = (await receipts(site)).map((name) => readFile(join(folderOf(site), name), 'utf8'));
  return (await Promise.all(texts)).map((text) => JSON.parse(text) as Receipt);
}

/** Apps whose first run is over: they were proven at least once, so they may be live. */
export async function everProven(site: string): Promise<ReadonlySet<string>> {
  const whole = (await allReceipts(site)).flatMap(({ proofs }) => {
    const apps = new Set(proofs.map(({ app }) => app));
    for (const { app, ok } of proofs) if (!ok) apps.delete(app);
    return [...apps];
  });
  return new Set(whole);
}
