/** An engine that stops during a run: an error reports it, and the next run completes the site. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { afterAll, expect, test } from 'vitest';
import { leftovers } from '../support/faults.ts';
import { testSite } from '../support/site.ts';

const site = testSite('engine-gone', 170);
const scratch = mkdtempSync(join(tmpdir(), 'fedi-engine-gone-'));
afterAll(() => {
  site.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** A socket that forwards to the real engine until it is removed. */
async function engineAt(path: string): Promise<() => void> {
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const engine = connect('/var/run/docker.sock');
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.pipe(other);
    }
  });
  server.listen(path);
  await once(server, 'listening');
  return () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
}

test.each(['images', 'verify', 'seal.snac', 'up', 'snac.account'])(
  'at %s',
  { timeout: 300_000 },
  async (point) => {
    site.remove();
    const path = join(scratch, 'docker.sock');
    const removeEngine = await engineAt(path);
    let isGone = false;
    const run = await site.apply([], {
      env: { ...site.env, DOCKER_HOST: `unix://${path}` },
      onEvent: ({ event, id, state }) => {
        if (event !== 'step' || state !== 'start' || id !== point) return;
        isGone = true;
        removeEngine();
      },
    });
    if (!isGone) removeEngine();
    expect(existsSync(path)).toBe(false);
    expect(run.stderr).not.toMatch(/Internal error in fedi-setup/);
    if (isGone) {
      expect(run.stderr).toMatch(/Error: The Docker engine at \S+ stopped answering\.\n.*\n.*Next: /s);
      expect(run.code).toBe(4);
    }
    const next = await site.apply();
    expect([next.code, next.stderr]).toEqual([0, '']);
    expect(leftovers(site.folder)).toEqual([]);
  },
);
