/** Docker lets health checks time out, in every service of a site: the servers have to go on. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
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

/** The processes of a container: [pid, parent, command]. */
const processes = (id: string): (readonly [number, number, string])[] =>
  docker('top', id, '-o', 'pid,ppid,args')
    .split('\n')
    .slice(1)
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line))
    .map((found) => [Number(found?.[1]), Number(found?.[2]), found?.[3] ?? ''] as const);

/**
 * Gives each check of the site two seconds instead of half an hour. Docker then ends every call that watches, and the `sleep` in
 * it becomes a child of process 1. Waits until such an orphan has ended in each container.
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
  // Healthy for the others that wait for it: so many failures do not change that.
  const healthcheck = { interval: '1s', timeout: '2s', retries: 1000 };
  writeFileSync(
    override,
    printYaml({ services: Object.fromEntries(checked.map((name) => [name, { healthcheck }])) }),
  );
  try {
    compose('up', '--detach');
    const ids = site.containers();
    const inspect = (service: string): Inspected =>
      (JSON.parse(docker('inspect', ids[service] ?? 'none')) as [Inspected])[0];
    const before = new Map(checked.map((service) => [service, inspect(service).State]));
    const started = (service: string): string | undefined => before.get(service)?.StartedAt;

    const orphans = new Map<string, number>();
    await vi.waitFor(
      () => {
        for (const service of checked.filter((name) => !orphans.has(name))) {
          const { State } = inspect(service);
          const orphan = processes(ids[service] ?? 'none').find(
            ([, parent, command]) => parent === State.Pid && command === 'sleep 45',
          );
          const timedOut = State.Health?.Log?.some(({ Output }) => Output.includes('exceeded timeout'));
          if (timedOut === true && orphan !== undefined) orphans.set(service, orphan[0]);
        }
        expect(checked.filter((name) => !orphans.has(name))).toEqual([]);
      },
      { timeout: 600_000, interval: 500 },
    );
    await vi.waitFor(() => expect([...orphans].filter(([, pid]) => existsSync(`/proc/${pid}`))).toEqual([]), {
      timeout: 90_000,
      interval: 500,
    });
    for (const service of checked) {
      expect([service, inspect(service).State.StartedAt]).toEqual([service, started(service)]);
      expect([service, logsOf(ids[service] ?? 'none')]).toEqual([
        service,
        expect.not.stringMatching(/terminat.*(other|signal)|crash/i),
      ]);
    }
  } finally {
    rmSync(override);
  }
}
