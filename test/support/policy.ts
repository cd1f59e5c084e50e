/** The policy for containers, tested on running containers: what an intruder in one of them could do. */
import { spawnSync } from 'node:child_process';
import { expect, vi } from 'vitest';
import { connect } from '../../wizard/docker/docker.ts';
import type { Container } from '../../wizard/docker/engine.ts';
import { violations } from '../../wizard/docker/policy.ts';
import type { Exceptions, Rights } from '../../wizard/docker/policy.ts';
import type { Service } from '../../wizard/stack/compose.ts';
import { parseYaml } from '../../wizard/yaml.ts';
import { docker, logsOf } from './site.ts';
import type { TestSite } from './site.ts';

/** A container that follows every rule. */
export const STRICT: Rights = {
  user: '999:999',
  privileged: false,
  network: 'site_front',
  capDrop: ['ALL'],
  capAdd: [],
  securityOptions: ['no-new-privileges:true'],
  readOnly: true,
  tmpfs: { '/tmp': 'size=64m,mode=1777' },
  sources: ['site_data'],
  memory: 2 ** 29,
  pids: 512,
  init: true,
  logSize: '10m',
};

/** Bytes of `64m`, `2gb` and the like. */
function bytes(size: unknown): number {
  const [, number = '0', unit = ''] = /^(\d+)([kmg]?)b?$/.exec(String(size ?? '0')) ?? [];
  return Number(number) * 1024 ** ['', 'k', 'm', 'g'].indexOf(unit);
}

/** The rights that a service of a Compose file requests. */
export function rightsOfService(one: Service): Rights {
  const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
  return {
    user: String(one['user'] ?? ''),
    privileged: one['privileged'] === true,
    network: String(one['network_mode'] ?? ''),
    capDrop: list(one['cap_drop']),
    capAdd: list(one['cap_add']),
    securityOptions: list(one['security_opt']),
    readOnly: one['read_only'] === true,
    tmpfs: Object.fromEntries(
      list(one['tmpfs']).map((entry) => {
        const at = entry.indexOf(':');
        return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
      }),
    ),
    sources: (one.volumes ?? []).map((mount) => mount.split(':')[0] ?? ''),
    memory: bytes(one['mem_limit']),
    pids: Number(one['pids_limit'] ?? 0),
    init: one['init'] === true,
    logSize:
      (one['logging'] as { options?: Record<string, string> } | undefined)?.options?.['max-size'] ?? '',
  };
}

/** As sentences, so that a failed test says which service violates which rule. */
export const brokenRules = (name: string, rights: Rights, exceptions: Exceptions = {}): string[] =>
  violations(rights, exceptions).map(({ demand }) => `${name} ${demand}`);

/**
 * Opens the root directory of the host's file system from a container, as the "shocker" exploit does: by a handle (inode 2,
 * the root of an ext4), relative to any file that is mounted from there. Prints `opened`, or the error's number. amd64, arm64.
 */
const EXPLOIT = `use POSIX; my $n = (POSIX::uname())[4] eq 'aarch64' ? 265 : 304; open(my $f, '<', '/etc/hostname') or die;
my $handle = pack('L l L L', 8, 1, 2, 0); my $r = syscall($n, fileno($f), $handle, 0); print $r < 0 ? $! + 0 : 'opened';`;
export const EPERM = '1';

/** @param argv `exec …` or `run …`, to the container */
export function exploit(...argv: string[]): string {
  const { stdout, stderr } = spawnSync('docker', [...argv, 'perl', '-e', EXPLOIT], { encoding: 'utf8' });
  return stdout || stderr;
}

const startOf = (id: string): string =>
  docker('inspect', '--format', '{{.State.Running}} {{.State.StartedAt}}', id);

/**
 * A health check that Docker ends leaves its child behind. This ends such an orphan by a signal: process 1 must reap it and
 * the server must keep running. timeouts.ts has Docker do it, which takes a minute.
 */
async function expectOrphanIsReaped({ id, service }: Container): Promise<void> {
  const before = startOf(id);
  const orphan = docker('exec', id, 'sh', '-c', 'sleep 1000 >/dev/null 2>&1 & echo $!');
  docker('exec', id, 'sh', '-c', `kill -PIPE ${orphan}`);
  await vi.waitFor(
    () =>
      expect([service, docker('exec', id, 'sh', '-c', `test -e /proc/${orphan} || echo reaped`)]).toEqual([
        service,
        'reaped',
      ]),
    { timeout: 30_000, interval: 100 },
  );
  expect([service, startOf(id)]).toEqual([service, before]);
  expect(logsOf(id)).not.toMatch(/terminat.*(other|signal)|crash/i);
}

/** Checks every running container of a site against the policy, by its settings in the engine and from inside. */
export async function expectPolicy(site: TestSite): Promise<void> {
  const { services } = parseYaml(site.read('compose.yaml')) as unknown as {
    services: Record<string, Service>;
  };
  const containers = await (await connect()).containers(site.name);
  expect(containers.map(({ service }) => service).toSorted()).toEqual(Object.keys(services).toSorted());
  expect(
    containers.flatMap(({ service, rights }) =>
      brokenRules(service, rights, services[service]?.['x-exceptions']),
    ),
  ).toEqual([]);
  for (const container of containers.filter(({ state }) => state === 'running')) {
    const { id, service } = container;
    const status = docker('exec', id, 'cat', '/proc/1/status');
    const field = (name: string): string => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '';
    expect([service, field('NoNewPrivs'), field('Seccomp')]).toEqual([service, '1', '2']);
    // Bit 10 is NET_BIND_SERVICE.
    const allowed = container.rights.capAdd.length > 0 ? '0000000000000400' : '0000000000000000';
    expect([service, field('CapBnd')]).toEqual([service, allowed]);
    expect([service, exploit('exec', id), exploit('exec', '--user', '0', id)]).toEqual([
      service,
      EPERM,
      EPERM,
    ]);
    expect([service, spawnSync('docker', ['exec', id, 'sh', '-c', ': >/policy-test']).status === 0]).toEqual([
      service,
      false,
    ]);
    await expectOrphanIsReaped(container);
  }
}
