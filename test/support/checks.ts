/** A context for checks: a healthy site, host and engine, with the differences that a test sets. */
import { CHECKS } from '../../wizard/checks/table.ts';
import type { CheckContext, CheckResult } from '../../wizard/checks/check.ts';
import type { Host } from '../../wizard/checks/host.ts';
import { configOf } from '../../wizard/answers/config.ts';
import type { Answers } from '../../wizard/config/question.ts';
import type { Engine, EngineInfo } from '../../wizard/docker/engine.ts';

export const HOST: Host = {
  platform: 'linux',
  arch: 'x64',
  isRoot: true,
  addresses: () => ['192.0.2.7', '10.0.0.7', '2001:db8::7'],
  has: (address) =>
    address.startsWith('127.') || ['192.0.2.7', '10.0.0.7', '2001:db8::7', '::1'].includes(address),
  swapMiB: async () => 0,
  space: async () => ({ freeBytes: 100 * 1024 ** 3, freeInodes: 1e6, inodes: 2e6 }),
  listeners: async () => [],
  ownerOf: async () => undefined,
  firstFreePort: async () => 1024,
  addressRecords: async (_, type) => (type === 'A' ? ['192.0.2.7'] : ['2001:db8::7']),
  caaRecords: async () => [],
  textRecords: async () => [],
  dateAt: async () => new Date(0),
  git: async () => undefined,
  sysctl: async () => undefined,
  isSynchronized: async () => undefined,
};

export const INFO: EngineInfo = {
  version: '28.2.2',
  composeVersion: '2.36.0',
  memoryMiB: 4096,
  cpus: 2,
  dataRoot: '/var/lib/docker',
  rootless: false,
  mapsUsers: false,
  architecture: 'amd64',
  system: 'Debian GNU/Linux 12 (bookworm)',
  socket: 'unix:///var/run/docker.sock',
  chosenBy: undefined,
  ignored: [],
};

/** An empty engine; it lacks methods that a check must not call. */
export const ENGINE = {
  containers: async () => [],
  listed: async () => [],
  logs: async () => '',
} as unknown as Engine;

export function contextOf(
  answers: Answers = {},
  {
    host,
    info,
    engine,
    ...rest
  }: {
    host?: Partial<Host>;
    info?: Partial<EngineInfo> | Error;
    engine?: Partial<Engine>;
  } & Partial<Omit<CheckContext, 'host' | 'info' | 'engine'>> = {},
): CheckContext {
  return {
    folder: '/srv/fedi',
    config: configOf({
      apps: 'snac',
      'apps.snac.domain': 'social.example.org',
      'apps.snac.admin': 'anna',
      'apps.snac.email': 'anna@example.org',
      'tls.mode': 'acme',
      'mail.mode': 'none',
      name: 'fedi',
      bind: '0.0.0.0',
      ...answers,
    }),
    host: { ...HOST, ...host },
    engine: { ...ENGINE, ...engine },
    info: info instanceof Error ? (info as CheckContext['info']) : { ...INFO, ...info },
    pulls: [],
    exists: false,
    caddy: undefined,
    images: {},
    swapGiB: 0,
    now: () => new Date(0),
    ...rest,
  };
}

export async function runCheck(id: string, context: CheckContext): Promise<CheckResult | undefined> {
  const check = CHECKS.find((one) => one.id === id);
  if (check === undefined) throw new Error(`there is no check ${id}`);
  return check.run(context);
}
