/** The checks, in the order they run. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exists } from '../atomic.ts';
import { APPS } from '../apps/index.ts';
import type { Config } from '../config/config.ts';
import type { Check, CheckContext, Finding } from './check.ts';
import { collides, listeners, ownerOf } from './ports.ts';

/** Ports of this host that Caddy needs. */
function neededPorts({ tls }: Config): { protocol: 'tcp' | 'udp'; port: number }[] {
  if (tls.mode === 'proxy') return [{ protocol: 'tcp', port: tls.port }];
  return [
    { protocol: 'tcp', port: 80 },
    { protocol: 'tcp', port: 443 },
    { protocol: 'udp', port: 443 },
  ];
}

async function checkPorts({ config, engine }: CheckContext): Promise<Finding | undefined> {
  const containers = await engine.containers();
  const taken: string[] = [];
  const all = await listeners();
  for (const { protocol, port } of neededPorts(config)) {
    const container = containers.find(
      (one) =>
        one.state === 'running' &&
        one.ports.some((other) => other.port === port && collides(config.bind, other.ip || '0.0.0.0')),
    );
    if (container?.project === config.name) continue;
    if (container !== undefined) {
      taken.push(
        `${protocol} ${port}: the container ${container.service} of the Compose project ${container.project}`,
      );
      continue;
    }
    const listener = all.find(
      (one) => one.protocol === protocol && one.port === port && collides(config.bind, one.address),
    );
    if (listener !== undefined)
      taken.push(`${protocol} ${port}: ${(await ownerOf(listener)) ?? 'a process of another user'}`);
  }
  if (taken.length === 0) return undefined;
  return {
    level: 'blocker',
    what: `Taken on ${config.bind}: ${taken.join('; ')}.`,
    means: 'Caddy needs these ports: it is the door of the site.',
    next: 'Stop what holds them, or listen on another address with --bind.',
  };
}

const GIB = 1024 ** 3;

async function checkDisk({ folder, config, info }: CheckContext): Promise<Finding | undefined> {
  const need = config.apps.reduce((sum, { id }) => sum + APPS[id].minimum.diskGiB, 0);
  let existing = folder;
  while (!(await exists(existing)) && dirname(existing) !== existing) existing = dirname(existing);
  const places = [
    { path: existing, what: 'the site directory', bytes: 16 * 1024 ** 2 },
    { path: info.dataRoot, what: 'Docker’s data', bytes: need * GIB },
  ];
  for (const { path, what, bytes } of places) {
    let fs: Awaited<ReturnType<typeof statfs>>;
    try {
      fs = await statfs(path);
    } catch {
      continue; // an engine in a machine of its own, whose disk we cannot see
    }
    const free = fs.bavail * fs.bsize;
    const show = (amount: number): string =>
      amount >= GIB ? `${(amount / GIB).toFixed(1)} GB` : `${Math.floor(amount / 1024 ** 2)} MB`;
    if (free < bytes) {
      return {
        level: 'blocker',
        what: `Only ${show(free)} are free for ${what} (${path}); ${show(bytes)} are needed.`,
        means: 'A database on a full disk stops, and may lose what it was writing.',
        next: 'Free some space there.',
      };
    }
    if (fs.files > 0 && fs.ffree < 5000) {
      return {
        level: 'blocker',
        what: `Only ${fs.ffree} more files fit where ${what} lies (${path}): its inodes are used up.`,
        means: 'Nothing can be created there, however many bytes are free.',
        next: 'Remove many small files there.',
      };
    }
  }
  return undefined;
}

async function checkMemory({ config, info }: CheckContext): Promise<Finding | undefined> {
  const need = config.apps.reduce((sum, { id }) => sum + APPS[id].minimum.memoryMiB, 0);
  if (info.memoryMiB >= need) return undefined;
  return {
    level: 'warning',
    what: `This host has ${info.memoryMiB} MiB of memory; ${need} are the least for this site.`,
    means: 'It may start and later be killed by the kernel.',
    next: 'Add memory or swap.',
  };
}

export const CHECKS: readonly Check[] = [
  { id: 'disk', title: 'Disk', run: checkDisk },
  { id: 'memory', title: 'Memory', run: checkMemory },
  { id: 'ports', title: 'Ports', run: checkPorts },
];
