/** What the checks see of this host beside its engine. One object, so that a test can be another host. */
import { Resolver } from 'node:dns/promises';
import type { CaaRecord } from 'node:dns';
import { readFile, statfs } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { run } from '../docker/run.ts';
import { codeOf } from '../problem.ts';
import { dateAt } from '../prove/date.ts';
import { listeners, ownerOf } from './listeners.ts';
import type { Listener } from './listeners.ts';

export interface Space {
  readonly freeBytes: number;
  /** 0 of 0 where the file system does not count them. */
  readonly freeInodes: number;
  readonly inodes: number;
}

export interface Host {
  /** As `process.platform` has it. */
  readonly platform: string;
  /** As `process.arch` has it. */
  readonly arch: string;
  readonly isRoot: boolean;
  /** Of this machine's interfaces, loopback and link-local ones aside. */
  addresses(): string[];
  swapMiB(): Promise<number>;
  /** Undefined where there is no such path here. */
  space(path: string): Promise<Space | undefined>;
  listeners(): Promise<Listener[]>;
  ownerOf(listener: Listener): Promise<string | undefined>;
  /** The lowest port that anybody may listen on. */
  firstFreePort(): Promise<number>;
  /** Records as the DNS has them; none: empty. Rejects with a code (`ESERVFAIL`, `ETIMEOUT`, …) when it gave no answer. */
  addressRecords(name: string, type: 'A' | 'AAAA'): Promise<string[]>;
  caaRecords(name: string): Promise<CaaRecord[]>;
  /** The `Date` of a reply, whoever's certificate it comes with: with a wrong clock none is valid. */
  dateAt(url: string): Promise<Date>;
  /** Whether the system keeps its clock by others; undefined: it does not say. */
  isSynchronized(): Promise<boolean | undefined>;
}

const TIMEOUT_MS = 5000;

/** @param servers `address:port`; absent: those of this host */
export function dnsAt(servers?: readonly string[]): Pick<Host, 'addressRecords' | 'caaRecords'> {
  const recordsOf = async <T>(ask: (resolver: Resolver) => Promise<T[]>): Promise<T[]> => {
    const resolver = new Resolver({ timeout: 2000, tries: 2 });
    if (servers !== undefined) resolver.setServers(servers);
    try {
      return await ask(resolver);
    } catch (error) {
      if (['ENODATA', 'ENOTFOUND'].includes(codeOf(error) ?? '')) return [];
      throw error;
    }
  };
  return {
    addressRecords: (name, type) =>
      recordsOf((resolver) => (type === 'A' ? resolver.resolve4(name) : resolver.resolve6(name))),
    caaRecords: (name) => recordsOf((resolver) => resolver.resolveCaa(name)),
  };
}

const number = async (path: string, pattern: RegExp): Promise<number> =>
  Number(pattern.exec(await readFile(path, 'utf8').catch(() => ''))?.[1] ?? 0);

export const thisHost: Host = {
  platform: process.platform,
  arch: process.arch,
  isRoot: process.getuid?.() === 0,
  addresses: () =>
    Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
      .map(({ address }) => address),
  swapMiB: async () => Math.floor((await number('/proc/meminfo', /^SwapTotal:\s+(\d+) kB/m)) / 1024),
  async space(path) {
    try {
      const { bavail, bsize, files, ffree } = await statfs(path);
      return { freeBytes: bavail * bsize, freeInodes: ffree, inodes: files };
    } catch {
      return undefined;
    }
  },
  listeners,
  ownerOf,
  firstFreePort: () => number('/proc/sys/net/ipv4/ip_unprivileged_port_start', /(\d+)/),
  ...dnsAt(),
  dateAt: (url) => dateAt(url, TIMEOUT_MS),
  async isSynchronized() {
    try {
      const { code, stdout } = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
      return code === 0 && /^(yes|no)$/m.test(stdout) ? stdout.trim() === 'yes' : undefined;
    } catch {
      return undefined; // no systemd
    }
  },
};
