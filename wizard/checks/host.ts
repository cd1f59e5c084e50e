/** Host facts for the checks, apart from the engine. Tests replace this object. */
import { Resolver } from 'node:dns/promises';
import type { CaaRecord } from 'node:dns';
import { readFile, statfs } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { spelled } from '../config/addresses.ts';
import { run } from '../docker/run.ts';
import { codeOf } from '../problem.ts';
import { dateAt } from '../prove/date.ts';
import { listeners, ownerOf } from './listeners.ts';
import type { Listener } from './listeners.ts';

export interface Space {
  readonly freeBytes: number;
  /** 0 of 0 if the file system does not count them. */
  readonly freeInodes: number;
  readonly inodes: number;
}

export interface Host {
  /** `process.platform`. */
  readonly platform: string;
  /** `process.arch`. */
  readonly arch: string;
  readonly isRoot: boolean;
  /** Addresses of this host's interfaces, without loopback and link-local ones and those of Docker's bridges. */
  addresses(): string[];
  /** Whether an interface of this host, also a bridge of Docker, has this address. */
  has(address: string): boolean;
  swapMiB(): Promise<number>;
  /** Undefined if the path does not exist. */
  space(path: string): Promise<Space | undefined>;
  listeners(): Promise<Listener[]>;
  ownerOf(listener: Listener): Promise<string | undefined>;
  /** The lowest unprivileged port. */
  firstFreePort(): Promise<number>;
  /** Empty if there are no records. Rejects with a code (`ESERVFAIL`, `ETIMEOUT`, …) if the DNS does not answer. */
  addressRecords(name: string, type: 'A' | 'AAAA'): Promise<string[]>;
  caaRecords(name: string): Promise<CaaRecord[]>;
  /** Texts of the TXT records. */
  textRecords(name: string): Promise<string[]>;
  /** The `Date` header of a reply. Certificates are not verified: with a wrong clock none is valid. */
  dateAt(url: string): Promise<Date>;
  /** Lines that `git` prints in a directory; undefined: it is not installed, or refuses the directory. */
  git(folder: string, argv: readonly string[]): Promise<string[] | undefined>;
  /** A setting of the kernel that is a number, such as `vm.overcommit_memory`; undefined: it has none. */
  sysctl(name: string): Promise<number | undefined>;
  /** Whether NTP synchronizes the clock; undefined: unknown. */
  isSynchronized(): Promise<boolean | undefined>;
}

const TIMEOUT_MS = 5000;

/** Interfaces that Docker creates for its networks. */
const OF_DOCKER = /^(docker\d+|docker_gwbridge|br-[0-9a-f]{12}|veth.*)$/;

/** @param servers `address:port`; default: the DNS servers of this host */
export function dnsAt(
  servers?: readonly string[],
): Pick<Host, 'addressRecords' | 'caaRecords' | 'textRecords'> {
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
    textRecords: (name) =>
      recordsOf(async (resolver) => (await resolver.resolveTxt(name)).map((parts) => parts.join(''))),
  };
}

const number = async (path: string, pattern: RegExp): Promise<number> =>
  Number(pattern.exec(await readFile(path, 'utf8').catch(() => ''))?.[1] ?? 0);

export const thisHost: Host = {
  platform: process.platform,
  arch: process.arch,
  isRoot: process.getuid?.() === 0,
  addresses: () =>
    Object.entries(networkInterfaces())
      .flatMap(([name, addresses]) => (OF_DOCKER.test(name) ? [] : (addresses ?? [])))
      .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
      .map(({ address }) => address),
  has: (address) =>
    // Linux accepts every address of 127.0.0.0/8.
    address.startsWith('127.') ||
    Object.values(networkInterfaces()).some((all) => all?.some((one) => spelled(one.address) === address)),
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
  async git(folder, argv) {
    try {
      const { code, stdout } = await run('git', argv, { cwd: folder, wholeMs: TIMEOUT_MS });
      return code === 0 ? stdout.split('\n').filter(Boolean) : undefined;
    } catch {
      return undefined;
    }
  },
  async sysctl(name) {
    const text = await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').catch(() => '');
    return /^\d+$/.test(text.trim()) ? Number(text) : undefined;
  },
  async isSynchronized() {
    try {
      const { code, stdout } = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
      return code === 0 && /^(yes|no)$/m.test(stdout) ? stdout.trim() === 'yes' : undefined;
    } catch {
      return undefined; // no systemd
    }
  },
};
