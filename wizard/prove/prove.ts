/** Runs the proofs: uses the site as its users do. */
import { hasOwnDirectory, ingressAddress } from '../config/config.ts';
import type { AppConfig, Config } from '../config/config.ts';
import { caddyRunsOn } from '../docker/caddy.ts';
import type { Engine } from '../docker/engine.ts';
import { NotRunning, runtimeOf } from '../docker/runtime.ts';
import type { Runtime } from '../docker/runtime.ts';
import { messageOf } from '../problem.ts';
import { withPublic } from '../trust.ts';
import type { Progress } from '../progress.ts';
import { splitRoot } from '../secrets/openssl.ts';
import type { Store } from '../secrets/store.ts';
import { client } from './http.ts';
import type { Client } from './http.ts';
import { Down, Skipped } from './proof.ts';
import type { Proof, ProofContext, ProofResult } from './proof.ts';
import { answerProof, certificateProof, proxyProof, trustedHere } from './tls.ts';
import type { Visitor } from './tls.ts';

const LOG_LINES = 100;
/** Time for a proof's command in a container: Rails starts slowly on a small host, and a mail server may be slow. */
const INSIDE_MS = 5 * 60_000;

/** One app to prove. */
export interface Subject {
  readonly app: AppConfig;
  /** As its makers write it. */
  readonly name: string;
  /** All its names. */
  readonly names: readonly string[];
  /** It uses WebSockets. */
  readonly live: boolean;
  /** See ProofContext. */
  readonly first: boolean;
  readonly proofs: (context: ProofContext) => readonly Proof[];
}

export interface ProveInput {
  readonly store: Store;
  readonly engine: Engine;
  /** PEM of the CA certificates of the administrator's own servers. */
  readonly ownCas: string | undefined;
  /** A mail may be sent. */
  readonly mail: boolean;
  readonly progress: Progress;
  /** Of each request to the site. */
  readonly headers: Readonly<Record<string, string>>;
}

export async function prove(
  config: Config,
  subjects: readonly Subject[],
  { store, engine, ownCas, mail, progress, headers }: ProveInput,
): Promise<ProofResult[]> {
  const runtime = runtimeOf(engine, config.name);
  const inside: ProofContext['inside'] = (service, command) =>
    runtime.exec(service, command, { timeoutMs: INSIDE_MS });
  const ingress = ingressAddress(config);
  const ca = await trusted(config, store, ownCas, inside);
  const common: Omit<ProofContext, 'first'> = {
    config,
    // Names with `internal` certificates need not be in DNS, so connect to Caddy's address; otherwise use DNS.
    http: client(
      config.tls.isLab ? ingress : undefined,
      ca,
      subjects.flatMap(({ names }) => names),
      undefined,
      headers,
      ownCas,
    ),
    secret: (name) => store.find(name),
    mail,
    inside,
    recentLogs: (service, seconds) => runtime.logs(service, LOG_LINES, seconds),
  };

  const results: ProofResult[] = [];
  for (const { app, name, names, live, first, proofs: proofsOf } of subjects) {
    if (subjects.length > 1) progress.say(name);
    const context: ProofContext = { ...common, first };
    const proofs = [...proofsOf(context)];
    const gates = gatesOf(config, { names, live }, { runtime, ingress, ca, http: context.http });
    proofs.unshift(...gates.map(({ proof }) => proof));
    let closed: string | undefined;
    let isDown = false;
    for (const proof of proofs) {
      const since = Date.now();
      progress.start(`prove.${app.id}.${proof.id}`, proof.title);
      let result: ProofResult;
      try {
        if (closed !== undefined) throw new Skipped(closed);
        if (isDown && proof.inside !== true) throw new Skipped(`https://${app.domain} does not answer`);
        for (const service of proof.needs ?? []) await runtime.needed(service);
        const evidence = await proof.run();
        result = {
          app: app.id,
          id: proof.id,
          title: proof.title,
          ok: true,
          ms: Date.now() - since,
          seen: evidence,
        };
        progress.done(evidence);
      } catch (error) {
        result = {
          app: app.id,
          id: proof.id,
          title: proof.title,
          ok: false,
          ...(error instanceof Skipped ? { skipped: true as const } : {}),
          ms: Date.now() - since,
          seen: error instanceof NotRunning ? `${error.message} ${error.next}` : messageOf(error),
        };
        if (result.skipped) progress.skip(result.seen);
        else progress.fail(result.seen);
        const gate = gates.find((one) => one.proof === proof);
        if (gate !== undefined) closed ??= gate.closed;
        // Caddy waits a while for an app that is down; do not wait in every proof.
        else if (proof.id === FIRST) isDown = error instanceof Down || error instanceof NotRunning;
      }
      results.push(result);
      progress.emit({ event: 'proof', ...result });
    }
  }
  return results;
}

/** Of {@link discoveryProofs}: whether the site answers. */
const FIRST = 'https';

/** Proofs that run before all others of an app, with the reason given for skipping those if one fails. */
export function gatesOf(
  { tls }: Config,
  { names, live }: Pick<Subject, 'names' | 'live'>,
  { runtime, ingress, ca, http }: { runtime: Runtime; ingress: string; ca: string | undefined; http: Client },
): { readonly proof: Proof; readonly closed: string }[] {
  // In that mode the client connects to Caddy's address, and only this site has a certificate of the internal CA.
  if (tls.isLab) return [];
  const visitor: Visitor = {
    http,
    id: async () => {
      const id = await caddyRunsOn(runtime);
      if (id === undefined) throw new Error('Caddy is not running. Start it: `fedi-setup start`.');
      return id;
    },
  };
  if (tls.proxy !== undefined)
    return [
      {
        proof: noting(
          proxyProof(
            visitor,
            names,
            `${ingress.includes(':') ? `[${ingress}]` : ingress}:${tls.proxy.port}`,
            live,
          ),
        ),
        closed: 'your proxy does not forward to this site yet',
      },
    ];
  const certificate = certificateProof({ runtime, address: ingress, ca }, names);
  return [
    {
      proof: ca === undefined ? noting(certificate) : certificate,
      closed: 'there is no certificate yet',
    },
    { proof: answerProof(visitor, names), closed: 'another server answers' },
  ];
}

/** Adds to the evidence the CA certificates that this run trusts and visitors do not. */
const noting = (proof: Proof): Proof => ({
  ...proof,
  run: async () => `${await proof.run()}${trustedHere(process.env)}`,
});

/** PEM of the CA certificates that visitors trust; undefined: the system's. */
async function trusted(
  config: Config,
  store: Store,
  ownCas: string | undefined,
  inside: ProofContext['inside'],
): Promise<string | undefined> {
  const { tls } = config;
  if (ownCas !== undefined && hasOwnDirectory(config)) return withPublic(ownCas);
  if (tls.isLab) {
    const root = splitRoot(store.get('tls.root').reveal());
    return 'certificate' in root ? root.certificate : undefined;
  }
  if (tls.ca?.root === undefined) return undefined;
  try {
    // The file as Caddy sees it. The CA's server and its certificates may have different roots; the file has both.
    const { code, stdout } = await inside('caddy', {
      argv: ['cat', `/etc/caddy/custom/${tls.ca.root}`],
    });
    return code === 0 ? stdout : undefined;
  } catch {
    return undefined; // Caddy is not running; the proofs report that
  }
}
