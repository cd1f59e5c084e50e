/** What lies outside: the registry, as the engine reaches it, and the world, as a container does. */
import type { Config } from '../config/config.ts';
import type { EngineInfo, Output } from '../docker/engine.ts';
import { Problem } from '../problem.ts';
import { isPublic, isReserved } from '../config/addresses.ts';
import type { CheckContext, Finding, Looked } from './check.ts';

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';

/** Where the certificates come from; undefined: from nobody out there. */
export const acmeDirectory = ({ tls }: Config): string | undefined =>
  tls.mode === 'acme' ? LETS_ENCRYPT : tls.mode === 'directory' ? tls.directory : undefined;

/** The registry of an image: its name in the reference (Docker Hub where there is none), and where it answers. */
export function registryOf(reference: string): { name: string; url: string } {
  const first = reference.split('/')[0] ?? '';
  const named = reference.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  const name = named ? first : 'docker.io';
  return { name, url: `https://${name === 'docker.io' ? 'registry-1.docker.io' : name}/v2/` };
}

/** Every image that has to be pulled, asked for by the engine: it has its own network, proxy and mirrors. */
export async function checkRegistry({ engine, info, pulls }: CheckContext): Promise<Looked | undefined> {
  if (info instanceof Problem || pulls.length === 0) return undefined;
  const asked = await Promise.all(
    [...new Set(pulls)].map((reference) => askRegistry(engine, info, reference)),
  );
  // A registry that is not reached is one finding for all of its images.
  const found = new Map<string, Finding>();
  for (const { reference, found: findings } of asked) {
    for (const finding of findings) {
      const key = registryOf(reference).name + finding.what.replace(reference, '');
      const same = found.get(key);
      found.set(
        key,
        same === undefined
          ? finding
          : { ...same, what: same.what.replace(/^(The image .+?)(?= could| is)/, `$1, ${reference}`) },
      );
    }
  }
  return { seen: [...new Set(asked.flatMap(({ seen }) => seen))].join('; '), found: [...found.values()] };
}

async function askRegistry(
  engine: CheckContext['engine'],
  { architecture }: EngineInfo,
  reference: string,
): Promise<{ reference: string; seen: string[]; found: Finding[] }> {
  const { name } = registryOf(reference);
  const [tag = '', digest] = reference.split('@');
  const seen: string[] = [];
  const found: Finding[] = [];
  try {
    const published = await engine.findInRegistry(reference);
    seen.push(`${name} answers`);
    const platform = `linux/${architecture}`;
    const { platforms = [] } = published ?? {};
    if (platforms.length > 0 && !platforms.includes(platform)) {
      seen.push(`${reference} is for ${platforms.join(', ')}`);
      found.push({
        level: 'blocker',
        what: `The image ${reference} is not made for ${platform}, only for ${platforms.join(', ')}.`,
        means: 'Its programs cannot run here.',
        next: 'Use a machine with another processor, or name another image with --images-NAME.',
      });
    }
    if (digest === undefined) return { reference, seen, found };
    const now = await engine.findInRegistry(tag);
    if (now === undefined || now.digest === digest) return { reference, seen, found };
    seen.push(`${tag} is ${now.digest}`);
    found.push({
      level: 'warning',
      what: `The registry has another image by now under the name ${tag}.`,
      means: `It took the place of the one that is known to work, which this site gets: ${digest}.`,
      next: 'Ask its makers, if you like to know why: a version that was published does not change.',
    });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { message: what, means = '', next = '' } = error;
    found.push({ level: 'blocker', what, means, next });
    seen.push(`${name} does not give ${reference}`);
  }
  return { reference, seen, found };
}

/**
 * What containers of this site have to reach, and do not only for our curiosity; undefined: nothing. Behind a proxy that
 * is nothing we know by name, so the registry answers that Caddy's image came from.
 */
export function outsideOf({
  config,
  caddy = '',
}: Pick<CheckContext, 'config'> & { readonly caddy?: string | undefined }): string | undefined {
  const url =
    acmeDirectory(config) ??
    (config.tls.mode === 'proxy' && caddy.includes('@') ? registryOf(caddy).url : undefined);
  return url === undefined || isReserved(new URL(url).hostname) ? undefined : url;
}

/** In Caddy's own container where it runs, else in one of its image on Docker's usual network. */
async function curl(
  { engine, config, caddy }: CheckContext,
  ...words: string[]
): Promise<Output | undefined> {
  const argv = ['curl', '--silent', '--show-error', '--output', '/dev/null', '--max-time', '30', ...words];
  const running = (await engine.containers(config.name)).find(
    ({ service, state }) => service === 'caddy' && state === 'running',
  );
  if (running !== undefined) return engine.exec(running.id, argv);
  return caddy === undefined ? undefined : engine.run({ image: caddy, argv, network: 'bridge' });
}

/** Exit codes of curl. */
const NO_NAME = 6;
const UNKNOWN_ROOT = 60;
/** From here on they are Docker's: no container, or no curl in it. */
const NOT_RUN = 125;

/** Docker's own words come before its advice. */
const reason = ({ code, stderr }: Output): string =>
  stderr
    .trim()
    .split('\n')[0]
    ?.replace(/^curl: /, '') || `exit code ${code}`;

export async function checkOutside(context: CheckContext): Promise<Looked | undefined> {
  const url = outsideOf(context);
  if (url === undefined || context.info instanceof Problem) return undefined;
  const { hostname } = new URL(url);
  const output = await curl(context, url);
  if (output === undefined) return undefined;
  // Whether a root of the person's own is known is Caddy's business: its answer came, that is what counts here.
  if (output.code === 0 || (output.code === UNKNOWN_ROOT && context.config.tls.mode === 'directory'))
    return { seen: `a container reaches ${hostname}`, found: [] };
  const seen = `in a container, curl ${url}: ${reason(output)}`;
  if (output.code >= NOT_RUN) {
    return {
      seen,
      found: [
        {
          level: 'warning',
          what: 'Nobody could look whether containers get out.',
          means: 'If they do not, the site gets no certificates and reaches no other server.',
          next: 'The words below say why no container looked; the site’s own may meet the same.',
        },
      ],
    };
  }
  if (output.code === NO_NAME) {
    return {
      seen,
      found: [
        {
          level: 'blocker',
          what: `Containers cannot look up names: ${hostname} is unknown to them.`,
          means: 'The site would get no certificates and reach no other server.',
          next: `Does this host know it (\`getent hosts ${hostname}\`)? Then name DNS servers in /etc/docker/daemon.json, such as {"dns": ["9.9.9.9"]}, and restart Docker.`,
        },
      ],
    };
  }
  return {
    seen,
    found: [
      {
        level: 'blocker',
        what: `Containers do not reach ${hostname} by HTTPS.`,
        means: 'The site would get no certificates and reach no other server.',
        next: 'Let containers out: look at the firewall (ufw and nftables rules for forwarding), at `sysctl net.ipv4.ip_forward`, and at the MTU of Docker’s networks.',
      },
    ],
  };
}

export async function checkIPv6(context: CheckContext): Promise<Looked | undefined> {
  const url = outsideOf(context);
  const own = context.host.addresses().filter((address) => address.includes(':') && isPublic(address));
  // Where the host has none there is nothing to mend.
  if (url === undefined || own.length === 0 || context.info instanceof Problem) return undefined;
  const { hostname } = new URL(url);
  const output = await curl(context, '--ipv6', url);
  if (output === undefined) return undefined;
  if (output.code >= NOT_RUN) return undefined; // said already
  if (output.code === 0 || output.code === UNKNOWN_ROOT)
    return { seen: `a container reaches ${hostname} by IPv6`, found: [] };
  return {
    seen: `in a container, curl --ipv6 ${url}: ${reason(output)}`,
    found: [
      {
        level: 'warning',
        what: 'This host has IPv6, its containers do not.',
        means: 'The site does not reach servers that have IPv6 only; these are few.',
        next: 'Leave it so, or turn IPv6 on in Docker: https://docs.docker.com/engine/daemon/ipv6/',
      },
    ],
  };
}
