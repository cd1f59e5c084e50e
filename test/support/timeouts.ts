/** Has Docker time out the health checks of every service of a site: the servers must keep running. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { printYaml } from '../../wizard/yaml.ts';
import { docker, logsOf } from './site.ts';
import type { TestSite } from './site.ts';

interface Inspected {
  readonly State: {
    readonly Pid: number;
    readonly StartedAt: string;
    readonly Health?: { readonly Log?: readonly { readonly Output: string }[] };
  };
}

/** Processes of this host that are a `sleep 45`, by parent. */
function sleepers(): Map<number, number> {
  const found = new Map<number, number>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== 'sleep\u000045\u0000') continue;
      const parent = /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      found.set(Number(parent), Number(pid));
    } catch {
      // It ended while it was read.
    }
  }
  return found;
}

/**
 * Gives each check of the site 20 seconds instead of half an hour. Docker then ends every long call, and the `sleep` in
 * it becomes a child of process 1. Waits until such an orphan has ended in each container.
 *
 * 20 seconds, so that Docker ends no check that it is still starting: otherwise Docker 20.10 never answers `docker inspect` of that
 * container again, and everything that lists containers on this engine hangs.
 */
export async function expectTimeoutsAreHarmless(site: TestSite): Promise<void> {
  const override = join(site.folder, 'compose.override.yaml');
  const compose = (...words: string[]): string =>
    execFileSync('docker', ['compose', ...words], { cwd: site.folder, encoding: 'utf8' });
  const { services } = JSON.parse(compose('config', '--format', 'json')) as {
    services: Record<string, { healthcheck?: { disable?: boolean } }>;
  };
  const checked = Object.keys(services).filter((name) => {
    const { healthcheck } = services[name] ?? {};
    return healthcheck !== undefined && healthcheck.disable !== true;
  });
  expect(checked.length).toBeGreaterThan(1);
  // It stays healthy for services that depend on it: this allows enough failures.
  const healthcheck = { interval: '5s', timeout: '20s', retries: 1000 };
  writeFileSync(
    override,
    printYaml({ services: Object.fromEntries(checked.map((name) => [name, { healthcheck }])) }),
  );
  try {
    compose('up', '--detach');
    const ids = site.containers();
    const states = (): Map<string, Inspected['State']> => {
      const all = JSON.parse(
        docker('inspect', ...checked.map((service) => ids[service] ?? 'none')),
      ) as Inspected[];
      return new Map(checked.map((service, i) => [service, (all[i] as Inspected).State]));
    };
    const before = states();

    const orphans = new Map<string, number>();
    await vi.waitFor(
      () => {
        const asleep = sleepers();
        for (const [service, { Pid, Health }] of states()) {
          const timedOut = Health?.Log?.some(({ Output }) => Output.includes('exceeded timeout'));
          const orphan = asleep.get(Pid);
          if (timedOut === true && orphan !== undefined) orphans.set(service, orphan);
        }
        expect(checked.filter((name) => !orphans.has(name))).toEqual([]);
      },
      { timeout: 600_000, interval: 1000 },
    );
    await vi.waitFor(() => expect([...orphans].filter(([, pid]) => existsSync(`/proc/${pid}`))).toEqual([]), {
      timeout: 90_000,
      interval: 500,
    });
    const after = states();
    for (const service of checked) {
      expect([service, after.get(service)?.StartedAt]).toEqual([service, before.get(service)?.StartedAt]);
      expect([service, logsOf(ids[service] ?? 'none')]).toEqual([
        service,
        expect.not.stringMatching(/terminat.*(other|signal)|crash/i),
      ]);
    }
  } finally {
    rmSync(override);
  }
}
