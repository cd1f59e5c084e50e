import { defineConfig } from 'vitest/config';

/** One project a layer, so that `vitest --project unit` runs what needs no engine. */
const layer = (
  name: string,
  options: { seconds: number; workers: number; packed?: true; after?: number; env?: Record<string, string> },
) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: options.seconds * 1000,
    hookTimeout: options.seconds * 1000,
    maxWorkers: options.workers,
    // Layers of one group run together. Their sites have their own names and addresses.
    sequence: { groupOrder: options.after ?? 0 },
    ...(options.packed ? { globalSetup: ['test/support/packed.ts'] } : {}),
    ...(options.env ? { env: options.env } : {}),
  },
});

export default defineConfig({
  test: {
    projects: [
      // A unit test that uses an engine finds none.
      layer('unit', { seconds: 60, workers: 2, env: { DOCKER_HOST: 'unix:///nonexistent' } }),
      layer('golden', { seconds: 120, workers: 2 }),
      // A site mostly waits for containers: three of them keep two cores busy.
      layer('terminal', { seconds: 120, workers: 3, packed: true, after: 1 }),
      layer('engine', { seconds: 600, workers: 3, packed: true, after: 1 }),
      // Mastodon's own, with the official images where they are loaded.
      layer('mastodon', { seconds: 900, workers: 3, packed: true, after: 1 }),
      // Pixelfed's own, likewise.
      layer('pixelfed', { seconds: 900, workers: 3, packed: true, after: 1 }),
      // By name: the contract of the stand-ins, and variants of sites.
      layer('contract', { seconds: 900, workers: 2, after: 1 }),
      // By name, from scripts/bench.
      layer('bench', { seconds: 600, workers: 1, after: 4 }),
      layer('variants', { seconds: 900, workers: 3, packed: true, after: 1 }),
      // These need every address of the host or of a lab, or look at everything on the engine.
      layer('exclusive', { seconds: 900, workers: 1, packed: true, after: 2 }),
      layer('faults', { seconds: 600, workers: 1, packed: true, after: 3 }),
    ],
  },
});
