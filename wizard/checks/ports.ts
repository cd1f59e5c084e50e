/** Checks whether Caddy's ports are free, and whether the proxy port is open to others. */
import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { PRIVATE_RANGES } from '../ingress/tls.ts';
import { grafanaAddress } from '../config/monitoring.ts';
import { Problem } from '../problem.ts';
import { isPublic } from '../config/addresses.ts';
import type { CheckContext, CheckResult, Finding } from './check.ts';

/** Whether binding to `bind` fails because of a listener at `address`. `::` includes IPv4. */
export function collides(bind: string, address: string): boolean {
  if (bind === address || bind === '::' || address === '::') return true;
  return (bind === '0.0.0.0' || address === '0.0.0.0') && isIP(bind) === isIP(address);
}

interface NeededPort {
  readonly address: string;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
}

/** Host ports that the site needs: Caddy's, and Grafana's. */
export function neededPorts({ tls, bind, monitoring }: Config): NeededPort[] {
  const caddy = (port: number, protocol: 'tcp' | 'udp' = 'tcp'): NeededPort => ({
    address: bind,
    protocol,
    port,
  });
  return [
    ...(tls.proxy === undefined ? [caddy(80), caddy(443), caddy(443, 'udp')] : [caddy(tls.proxy.port)]),
    ...(monitoring?.isFull === true
      ? [{ address: grafanaAddress(bind), protocol: 'tcp' as const, port: monitoring.port }]
      : []),
  ];
}

export async function checkPorts({
  config,
  engine,
  info,
  host,
}: CheckContext): Promise<CheckResult | undefined> {
  // Without the engine, the site's own containers cannot be recognized.
  if (info instanceof Problem) return undefined;
  const containers = await engine.listed();
  const taken: string[] = [];
  const seen: string[] = [];
  const all = await host.listeners();
  for (const { address, protocol, port } of neededPorts(config)) {
    const container = containers.find((one) =>
      one.ports.some(
        (other) =>
          other.port === port && other.protocol === protocol && collides(address, other.ip || '0.0.0.0'),
      ),
    );
    const listener = all.find(
      (one) => one.protocol === protocol && one.port === port && collides(address, one.address),
    );
    let by: string | undefined;
    if (container !== undefined && container.project !== config.name)
      by = `the container ${container.service} of the Compose project ${container.project}`;
    else if (container === undefined && listener !== undefined)
      by = (await host.ownerOf(listener)) ?? 'a process of another user';
    if (by !== undefined) taken.push(`${protocol} ${port}: ${by}`);
    seen.push(`${protocol} ${port} ${by ?? (container === undefined ? 'free' : 'ours')}`);
  }
  const found: Finding[] = [];
  if (!['0.0.0.0', '::'].includes(config.bind) && !host.has(config.bind))
    found.push({
      level: 'blocker',
      what: `The address ${config.bind} is not one of this host (it has ${host.addresses().join(', ') || 'none'}).`,
      means: 'Docker cannot listen on it.',
      next: 'Leave out --bind to listen on all addresses. Behind NAT, the public address belongs to the router.',
    });
  const isGrafana = taken.some((line) => line.startsWith(`tcp ${config.monitoring?.port}:`));
  if (taken.length > 0)
    found.push({
      level: 'blocker',
      what: `In use on ${config.bind}: ${taken.join('; ')}.`,
      means: 'The site needs these ports.',
      next: `Stop what uses them${taken.some((line) => line.endsWith('another user')) ? ' (`sudo ss -lntup` names it)' : ''}, or listen on another address with --bind${isGrafana ? `, and Grafana on another port with --monitoring-port` : ''}.`,
    });
  return { seen: `on ${config.bind}: ${seen.join(', ')}`, found };
}

/** Requests through Docker's userland proxy come from a private address, and private addresses are trusted by default. */
export async function checkProxy({ config }: CheckContext): Promise<CheckResult | undefined> {
  const { bind } = config;
  const { proxy } = config.tls;
  if (proxy === undefined) return undefined;
  const isOpen = bind === '0.0.0.0' || bind === '::' || isPublic(bind);
  return {
    seen: `on ${bind}:${proxy.port}, ${proxy.trusted} trusted`,
    found:
      isOpen && proxy.trusted === PRIVATE_RANGES
        ? [
            {
              level: 'warning',
              what: `Port ${proxy.port}, meant for your proxy, is open to everyone on ${bind}.`,
              means: 'Clients that connect to it can claim any address and evade limits and bans.',
              next: 'Use --bind 127.0.0.1 or a private address that only your proxy reaches, or name the proxy with --tls-proxies.',
            },
          ]
        : [],
  };
}
