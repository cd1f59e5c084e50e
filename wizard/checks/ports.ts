/** Whether Caddy can have its ports, and who else gets to them. */
import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { Problem } from '../problem.ts';
import { isPublic } from '../config/addresses.ts';
import type { CheckContext, Looked } from './check.ts';

/** Whether binding to `bind` fails because of somebody at `address`: `::` takes IPv4 too, `0.0.0.0` only that. */
export function collides(bind: string, address: string): boolean {
  if (bind === address || bind === '::' || address === '::') return true;
  return (bind === '0.0.0.0' || address === '0.0.0.0') && isIP(bind) === isIP(address);
}

/** Ports of this host that Caddy needs. */
export function neededPorts({ tls }: Config): { protocol: 'tcp' | 'udp'; port: number }[] {
  if (tls.mode === 'proxy') return [{ protocol: 'tcp', port: tls.port }];
  return [
    { protocol: 'tcp', port: 80 },
    { protocol: 'tcp', port: 443 },
    { protocol: 'udp', port: 443 },
  ];
}

export async function checkPorts({ config, engine, info, host }: CheckContext): Promise<Looked | undefined> {
  // Without the engine our own containers would look like strangers.
  if (info instanceof Problem) return undefined;
  const containers = await engine.containers();
  const taken: string[] = [];
  const seen: string[] = [];
  const all = await host.listeners();
  for (const { protocol, port } of neededPorts(config)) {
    const container = containers.find(
      (one) =>
        one.state === 'running' &&
        one.ports.some(
          (other) =>
            other.port === port &&
            other.protocol === protocol &&
            collides(config.bind, other.ip || '0.0.0.0'),
        ),
    );
    const listener = all.find(
      (one) => one.protocol === protocol && one.port === port && collides(config.bind, one.address),
    );
    let by: string | undefined;
    if (container !== undefined && container.project !== config.name)
      by = `the container ${container.service} of the Compose project ${container.project}`;
    else if (container === undefined && listener !== undefined)
      by = (await host.ownerOf(listener)) ?? 'a process of another user';
    if (by !== undefined) taken.push(`${protocol} ${port}: ${by}`);
    seen.push(`${protocol} ${port} ${by ?? (container === undefined ? 'free' : 'ours')}`);
  }
  return {
    seen: `on ${config.bind}: ${seen.join(', ')}`,
    found:
      taken.length === 0
        ? []
        : [
            {
              level: 'blocker',
              what: `Taken on ${config.bind}: ${taken.join('; ')}.`,
              means: 'Caddy needs these ports: it is the door of the site.',
              next: `Stop what holds them${taken.some((line) => line.endsWith('another user')) ? ' (`sudo ss -lntup` names it)' : ''}, or listen on another address with --bind.`,
            },
          ],
  };
}

/** Docker's own proxy hands visitors on under a private address, whose word about a client counts by default. */
export async function checkProxy({ config }: CheckContext): Promise<Looked | undefined> {
  const { bind, tls } = config;
  if (tls.mode !== 'proxy') return undefined;
  const isOpen = bind === '0.0.0.0' || bind === '::' || isPublic(bind);
  return {
    seen: `on ${bind}:${tls.port}, ${tls.proxies} believed`,
    found:
      isOpen && tls.proxies === 'private_ranges'
        ? [
            {
              level: 'warning',
              what: `Port ${tls.port}, which is for your proxy, is open to everybody on ${bind}.`,
              means: 'Who comes in there may claim any address: limits and bans do not hit them.',
              next: 'Listen where only your proxy gets: --bind 127.0.0.1 or an inner address; or name the proxy with --tls-proxies.',
            },
          ]
        : [],
  };
}
