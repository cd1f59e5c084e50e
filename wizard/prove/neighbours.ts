/** Proof that an app's container reaches the other apps of the site: federation with them can fail although all else works. */
import { isPublic } from '../config/addresses.ts';
import type { AppConfig } from '../config/config.ts';
import type { Proof, ProofContext } from './proof.ts';

/** What a container found for a name. */
export interface Sight {
  readonly addresses: readonly string[];
  /** Why the HTTPS connection failed; absent: it succeeded (the app may be down), or was not tried. */
  readonly error?: string;
}

/** Names that programs resolve to the loopback address, whatever DNS says (RFC 6761). */
const isLocal = (name: string): boolean => /(^|\.)localhost$/.test(name);

const RESOLVERS =
  'Give the containers DNS servers that return the public address: set {"dns": ["9.9.9.9"]} in /etc/docker/daemon.json and restart Docker, or set `dns:` in compose.override.yaml';

/** What is wrong with a name as the container sees it; undefined: nothing. */
export function problemOf(
  name: string,
  { addresses, error }: Sight,
  refusedBy: string | undefined,
): string | undefined {
  const inner = addresses.filter((address) => !isPublic(address));
  if (addresses.length === 0) return `the container finds no address of ${name}. ${RESOLVERS}`;
  if (refusedBy !== undefined && inner.length > 0)
    return `in the container ${name} resolves to ${inner.join(', ')}, and ${refusedBy} rejects servers at private addresses. ${RESOLVERS}`;
  if (error === undefined) return undefined;
  return `the container cannot reach ${name} (${addresses.join(', ')}): ${error}. ${
    inner.length > 0
      ? 'Is that an address of this site?'
      : 'Many routers do not let internal hosts reach the public address (“hairpin NAT”): enable that, or these servers cannot reach each other'
  }`;
}

/**
 * @param look resolves names in the app's container; `ask`: and connects by HTTPS
 * @param own the app also looks up its own name
 * @param refusedBy name of the app, if it rejects private addresses
 */
export function neighbourProofs(
  { config }: ProofContext,
  app: AppConfig,
  look: (names: readonly string[], ask: boolean) => Promise<Readonly<Record<string, Sight>>>,
  { own, refusedBy }: { readonly own: boolean; readonly refusedBy: string | undefined },
): Proof[] {
  const others = config.apps.filter(({ id, domain }) => id !== app.id && !isLocal(domain));
  const itself = own && !isLocal(app.domain) ? [app.domain] : [];
  if (others.length + itself.length === 0) return [];
  return [
    {
      id: 'neighbours',
      inside: true,
      title:
        others.length === 0
          ? 'Its own name, resolved in its container'
          : 'The other servers here, reached from its container',
      run: async () => {
        const results = {
          ...(itself.length > 0 ? await look(itself, false) : {}),
          ...(others.length > 0
            ? await look(
                others.map(({ domain }) => domain),
                true,
              )
            : {}),
        };
        const problems = Object.entries(results).flatMap(
          ([name, one]) => problemOf(name, one, refusedBy) ?? [],
        );
        if (problems.length > 0) throw new Error(problems.join('; '));
        return Object.entries(results)
          .map(([name, { addresses }]) => `${name} at ${addresses.join(', ')}`)
          .join('; ');
      },
    },
  ];
}

/** Seconds to connect. */
export const PATIENCE_S = 30;

/** Uses curl in the container. Trusted CA certificates come from the container's environment. */
export const byCurl =
  ({ inside }: ProofContext, service: string) =>
  async (names: readonly string[]): Promise<Record<string, Sight>> => {
    const results: Record<string, Sight> = {};
    for (const name of names) {
      const found = await inside(service, { argv: ['getent', 'ahosts', name] });
      const addresses = [...new Set(found.stdout.split('\n').flatMap((line) => line.split(' ')[0] || []))];
      const { code, stdout, stderr } = await inside(service, {
        argv: [
          'curl',
          '--silent',
          '--show-error',
          '--output',
          '/dev/null',
          '--max-time',
          String(PATIENCE_S),
          // Caddy rejects a request without Host (RFC 9112, 3.2), so it does not wait for an app that is down.
          '--http1.1',
          '--header',
          'Host:',
          '--write-out',
          '%{time_appconnect}',
          `https://${name}/`,
        ],
      });
      const error = stderr.trim().split('\n').at(-1) || `curl ended with ${code}`;
      // After a verified TLS handshake the name is reachable, whatever the app answers.
      const reached = code === 0 || Number(stdout.replace(',', '.')) > 0;
      results[name] = { addresses, ...(reached ? {} : { error }) };
    }
    return results;
  };
