/** Who listens where on this host, from /proc: no program needed, and it names the owner. */
import { readFile, readdir, readlink } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { shortIPv6 } from '../config/parse.ts';
import { Problem } from '../problem.ts';
import { isPublic } from '../config/addresses.ts';
import type { CheckContext, Looked } from './check.ts';

export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  /** `0.0.0.0` and `::` for all addresses. */
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

/** `0100007F` → `127.0.0.1`; IPv6 as eight groups, all zero as `::`, v4-mapped as v4. */
function parseAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex')].toReversed());
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.every((byte) => byte === 0)) return '::';
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  if (mapped) return bytes.slice(12).join('.');
  const groups = Array.from({ length: 8 }, (_, k) =>
    (((bytes[2 * k] ?? 0) << 8) | (bytes[2 * k + 1] ?? 0)).toString(16),
  );
  return shortIPv6(groups.join(':'));
}

/** The rows of one /proc/net table that listen (TCP state 0A) or, for UDP, are bound (07). */
export function parseTable(text: string, protocol: 'tcp' | 'udp'): Listener[] {
  const wanted = protocol === 'tcp' ? '0A' : '07';
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (state !== wanted) return [];
      const [address = '', port = ''] = local.split(':');
      return [{ protocol, address: parseAddress(address), port: Number.parseInt(port, 16), inode }];
    });
}

export async function listeners(): Promise<Listener[]> {
  const tables = [
    ['tcp', 'tcp'],
    ['tcp6', 'tcp'],
    ['udp', 'udp'],
    ['udp6', 'udp'],
  ] as const;
  const texts = await Promise.all(
    tables.map(async ([name, protocol]) => {
      try {
        return parseTable(await readFile(`/proc/net/${name}`, 'utf8'), protocol);
      } catch {
        return []; // a kernel without IPv6
      }
    }),
  );
  return texts.flat();
}

/** Whether binding to `bind` fails because of somebody at `address`: `::` takes IPv4 too, `0.0.0.0` only that. */
export function collides(bind: string, address: string): boolean {
  if (bind === address || bind === '::' || address === '::') return true;
  return (bind === '0.0.0.0' || address === '0.0.0.0') && isIP(bind) === isIP(address);
}

/** `nginx (process 812)`, as far as we may look; undefined when the owner is hidden from us. */
export async function ownerOf({ inode }: Listener): Promise<string | undefined> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      for (const fd of await readdir(`/proc/${pid}/fd`)) {
        if ((await readlink(`/proc/${pid}/fd/${fd}`)) === `socket:[${inode}]`) {
          return `${(await readFile(`/proc/${pid}/comm`, 'utf8')).trim()} (process ${pid})`;
        }
      }
    } catch {
      // Gone, or another user's.
    }
  }
  return undefined;
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
