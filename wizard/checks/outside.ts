/** Connectivity checks: registry access from the engine, outbound access from containers. */
import type { EngineInfo, Output } from '../docker/engine.ts';
import { runtimeOf } from '../docker/runtime.ts';
import { Problem } from '../problem.ts';
import { isPublic, isReserved } from '../config/addresses.ts';
import type { CheckContext, Finding, CheckResult } from './check.ts';

/** Name and URL of an image's registry; Docker Hub if the reference names none. */
export function registryOf(reference: string): { name: string; url: string } {
  const first = reference.split('/')[0] ?? '';
  const named = reference.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  const name = named ? first : 'docker.io';
  return { name, url: `https://${name === 'docker.io' ? 'registry-1.docker.io' : name}/v2/` };
}

/** Asks the registry for every image to pull, through the engine, which has its own network, proxy and mirrors. */
export async function checkRegistry({ engine, info, pulls }: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem || pulls.length === 0) return undefined;
  const results = await Promise.all(
    [...new Set(pulls)].map((reference) => askRegistry(engine, info, reference)),
  );
  // Report an unreachable registry once for all of its images.
  const found = new Map<string, Finding>();
  for (const { reference, found: findings } of results) {
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
  return { seen: [...new Set(results.flatMap(({ seen }) => seen))].join('; '), found: [...found.values()] };
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
        what: `The image ${reference} is not available for ${platform}, only for ${platforms.join(', ')}.`,
        means: 'It cannot run here.',
        next: 'Use a machine with another processor, or set another image with --images-NAME.',
      });
    }
    if (digest === undefined) return { reference, seen, found };
    const now = await engine.findInRegistry(tag);
    if (now === undefined || now.digest === digest) return { reference, seen, found };
    seen.push(`${tag} is ${now.digest}`);
    found.push({
      level: 'warning',
      what: `The registry now has another image under the name ${tag}.`,
      means: `This site uses the original image, which was tested: ${digest}.`,
      next: 'A published version should not change. Ask its maintainers why it did.',
    });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { message: what, means = '', next = '' } = error;
    found.push({ level: 'blocker', what, means, next });
    seen.push(`${name} did not return ${reference}`);
  }
  return { reference, seen, found };
}

/**
 * A URL that the site's containers must reach; undefined: none. Behind another proxy no such URL is known, so the
 * registry of Caddy's image is used.
 */
export function outsideOf({
  config,
  caddy = '',
}: Pick<CheckContext, 'config'> & { readonly caddy?: string | undefined }): string | undefined {
  const url =
    config.tls.ca?.directory ??
    (config.tls.proxy !== undefined && caddy.includes('@') ? registryOf(caddy).url : undefined);
  return url === undefined || isReserved(new URL(url).hostname) ? undefined : url;
}

/** Runs curl in Caddy's container or, if it does not run, in a new one of its image on Docker's default network. */
async function curl(
  { engine, config, caddy }: CheckContext,
  ...words: string[]
): Promise<Output | undefined> {
  const argv = ['curl', '--silent', '--show-error', '--output', '/dev/null', '--max-time', '30', ...words];
  const running = await runtimeOf(engine, config.name).running('caddy');
  if (running !== undefined) return engine.exec(running.id, { argv });
  return caddy === undefined ? undefined : engine.run({ image: caddy, argv, network: 'bridge' });
}

/** Exit codes of curl. */
const NO_NAME = 6;
const UNKNOWN_ROOT = 60;
/** From 125 on they are Docker's: no container, or no curl in it. */
const NOT_RUN = 125;

/** The first line: Docker's advice follows it. */
const reason = ({ code, stderr }: Output): string =>
  stderr
    .trim()
    .split('\n')[0]
    ?.replace(/^curl: /, '') || `exit code ${code}`;

export async function checkOutside(context: CheckContext): Promise<CheckResult | undefined> {
  const url = outsideOf(context);
  if (url === undefined || context.info instanceof Problem) return undefined;
  const { hostname } = new URL(url);
  const output = await curl(context, url);
  if (output === undefined) return undefined;
  // A private CA is fine: Caddy trusts it by configuration, and here only reaching it matters.
  if (output.code === 0 || (output.code === UNKNOWN_ROOT && context.config.tls.ca?.isPublic === false))
    return { seen: `a container reaches ${hostname}`, found: [] };
  const seen = `in a container, curl ${url}: ${reason(output)}`;
  if (output.code >= NOT_RUN) {
    return {
      seen,
      found: [
        {
          level: 'warning',
          what: 'The outbound access of containers could not be checked.',
          means: 'Without it, the site gets no certificates and reaches no other server.',
          next: 'The error below shows why the container did not run; the site’s containers may fail the same way.',
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
          what: `Containers cannot resolve ${hostname}.`,
          means: 'The site would get no certificates and reach no other server.',
          next: `If this host resolves it (\`getent hosts ${hostname}\`), set DNS servers in /etc/docker/daemon.json, such as {"dns": ["9.9.9.9"]}, and restart Docker.`,
        },
      ],
    };
  }
  return {
    seen,
    found: [
      {
        level: 'blocker',
        what: `Containers cannot reach ${hostname} over HTTPS.`,
        means: 'The site would get no certificates and reach no other server.',
        next: 'Check the firewall (ufw and nftables rules for forwarding), `sysctl net.ipv4.ip_forward`, and the MTU of Docker’s networks.',
      },
    ],
  };
}

export async function checkIPv6(context: CheckContext): Promise<CheckResult | undefined> {
  const url = outsideOf(context);
  const own = context.host.addresses().filter((address) => address.includes(':') && isPublic(address));
  // Without IPv6 on the host there is nothing to fix.
  if (url === undefined || own.length === 0 || context.info instanceof Problem) return undefined;
  const { hostname } = new URL(url);
  const output = await curl(context, '--ipv6', url);
  if (output === undefined) return undefined;
  if (output.code >= NOT_RUN) return undefined; // checkOutside reports it
  if (output.code === 0 || output.code === UNKNOWN_ROOT)
    return { seen: `a container reaches ${hostname} over IPv6`, found: [] };
  return {
    seen: `in a container, curl --ipv6 ${url}: ${reason(output)}`,
    found: [
      {
        level: 'warning',
        what: 'This host has IPv6, but its containers do not.',
        means: 'The site cannot reach the few servers that have only IPv6.',
        next: 'Ignore this, or enable IPv6 in Docker: https://docs.docker.com/engine/daemon/ipv6/',
      },
    ],
  };
}
