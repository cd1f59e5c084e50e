/** The other servers of the site as an app's container finds them: what federates with the world may not with its neighbour. */
import { isPublic } from '../config/addresses.ts';
import type { AppConfig } from '../config/config.ts';
import type { Proof, ProofContext } from './proof.ts';

/** How a container sees a name. */
export interface Sight {
  readonly addresses: readonly string[];
  /** Why there was no way there by HTTPS; absent: there was one (to a server that may be down), or none was tried. */
  readonly error?: string;
}

/** Names that programs lead to themselves, whatever the DNS says (RFC 6761). */
const isLocal = (name: string): boolean => /(^|\.)localhost$/.test(name);

const RESOLVERS =
  'Name DNS servers that give the public address to the containers: {"dns": ["9.9.9.9"]} in /etc/docker/daemon.json and restart Docker, or `dns:` in compose.override.yaml';

/** What is wrong with how a name is seen; undefined: nothing. */
export function problemOf(
  name: string,
  { addresses, error }: Sight,
  refusedBy: string | undefined,
): string | undefined {
  const inner = addresses.filter((address) => !isPublic(address));
  if (addresses.length === 0) return `the container knows no address of ${name}. ${RESOLVERS}`;
  if (refusedBy !== undefined && inner.length > 0)
    return `to the container ${name} is ${inner.join(', ')}, and ${refusedBy} drops what has to do with a server at a private address. ${RESOLVERS}`;
  if (error === undefined) return undefined;
  return `${name} (${addresses.join(', ')}) does not answer the container: ${error}. ${
    inner.length > 0
      ? 'Does that address lead to this site?'
      : 'Many routers let nobody inside reach their own public address (“hairpin NAT”): allow it there, or these servers do not reach each other'
  }`;
}

/**
 * @param look how the app's container sees names; `ask`: by HTTPS too.
 * @param own the app looks itself up as well.
 * @param refusedBy name of the app, where it refuses private addresses.
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
          ? 'Its own name, as its container finds it'
          : 'The other servers here, as its container finds them',
      run: async () => {
        const seen = {
          ...(itself.length > 0 ? await look(itself, false) : {}),
          ...(others.length > 0
            ? await look(
                others.map(({ domain }) => domain),
                true,
              )
            : {}),
        };
        const problems = Object.entries(seen).flatMap(([name, one]) => problemOf(name, one, refusedBy) ?? []);
        if (problems.length > 0) throw new Error(problems.join('; '));
        return Object.entries(seen)
          .map(([name, { addresses }]) => `${name} at ${addresses.join(', ')}`)
          .join('; ');
      },
    },
  ];
}

/** Seconds for the way there. */
export const PATIENCE_S = 30;

/** By curl, in a container that has it: the address it came to. Trust comes from the container's environment. */
export const byCurl =
  ({ inside }: ProofContext, service: string) =>
  async (names: readonly string[]): Promise<Record<string, Sight>> => {
    const seen: Record<string, Sight> = {};
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
          // Such a request is refused at the door (RFC 9112, 3.2): nobody waits there for an app that is down.
          '--http1.1',
          '--header',
          'Host:',
          '--write-out',
          '%{time_appconnect}',
          `https://${name}/`,
        ],
      });
      const error = stderr.trim().split('\n').at(-1) || `curl ended with ${code}`;
      // With a certificate that was believed the way is there, whether or not somebody answers at its end.
      const reached = code === 0 || Number(stdout.replace(',', '.')) > 0;
      seen[name] = { addresses, ...(reached ? {} : { error }) };
    }
    return seen;
  };
