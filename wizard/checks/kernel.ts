/** Advice about settings of the host's kernel. */
import { appOf } from '../apps/index.ts';
import type { App } from '../apps/app.ts';
import { Problem } from '../problem.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** What quic-go, Caddy's HTTP/3, asks the kernel for, in bytes. */
const UDP_BYTES = 7_500_000;
const FILE = '/etc/sysctl.d/60-fedi.conf';

const line = (settings: readonly string[]): string =>
  `As root: \`printf '${settings.map((one) => `${one}\\n`).join('')}' >>${FILE} && sysctl --load ${FILE}\``;

/** Applies to an engine on this host's own kernel. */
export async function checkKernel({
  config,
  host,
  info,
  exists,
}: CheckContext): Promise<CheckResult | undefined> {
  if (info instanceof Problem || !exists || info.system.startsWith('Docker Desktop')) return undefined;
  const found: Finding[] = [];
  const seen: string[] = [];
  const hasValkey = config.apps.some(({ id, options }) =>
    ((appOf(id) as App).servers?.(options) ?? []).some(({ image }) => image === 'valkey'),
  );
  const overcommit = hasValkey ? await host.sysctl('vm.overcommit_memory') : undefined;
  if (overcommit !== undefined) {
    seen.push(`vm.overcommit_memory ${overcommit}`);
    if (overcommit !== 1)
      found.push({
        level: 'advice',
        what: `vm.overcommit_memory is ${overcommit}; Valkey recommends 1.`,
        means:
          'When memory is short, Valkey may fail to save its data in the background, and then accepts no new jobs.',
        next: `${line(['vm.overcommit_memory = 1'])}.`,
      });
  }
  // Behind another proxy Caddy serves no HTTP/3.
  const buffers =
    config.tls.proxy === undefined
      ? await Promise.all(
          ['net.core.rmem_max', 'net.core.wmem_max'].map(
            async (name) => [name, await host.sysctl(name)] as const,
          ),
        )
      : [];
  const known = buffers.flatMap(([name, bytes]) => (bytes === undefined ? [] : [{ name, bytes }]));
  seen.push(...known.map(({ name, bytes }) => `${name} ${bytes}`));
  const small = known.filter(({ bytes }) => bytes < UDP_BYTES);
  if (small.length > 0)
    found.push({
      level: 'advice',
      what: `UDP buffers are limited to ${small.map(({ name, bytes }) => `${bytes} bytes (${name})`).join(' and ')}; HTTP/3 works best with ${UDP_BYTES}.`,
      means: 'On a fast connection large files are served more slowly over HTTP/3.',
      next: `${line(small.map(({ name }) => `${name} = ${UDP_BYTES}`))}. Then \`fedi-setup restart caddy\`.`,
    });
  return seen.length === 0 ? undefined : { seen: seen.join(', '), found };
}
