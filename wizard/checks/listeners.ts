/** Finds listening sockets and their owners in /proc, without any other program. */
import { readFile, readdir, readlink } from 'node:fs/promises';
import { shortIPv6 } from '../config/parse.ts';

export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  /** `0.0.0.0` and `::` mean all addresses. */
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

/** `0100007F` → `127.0.0.1`. Returns v4-mapped IPv6 addresses as IPv4. */
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

/** Returns the sockets of a /proc/net table that listen (TCP state 0A) or are bound (UDP state 07). */
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

/** Returns `nginx (process 812)`; undefined without permission to see the owner. */
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
      // The process has ended, or belongs to another user.
    }
  }
  return undefined;
}
