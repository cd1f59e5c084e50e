import { defineConfig } from 'vitest/config';

/** One project a layer, so that `vitest --project unit` runs what needs no engine. */
const layer = (
  name: string,
  options: { seconds: number; parallel: boolean; packed: boolean; after?: number },
) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: options.seconds * 1000,
    hookTimeout: options.seconds * 1000,
    fileParallelism: options.parallel,
    // Layers with sites of their own run one after the other: each may need every address of the host.
    sequence: { groupOrder: options.after ?? 0 },
    ...(options.packed ? { globalSetup: ['test/support/packed.ts'] } : {}),
  },
});

export default defineConfig({
  test: {
    projects: [
      layer('unit', { seconds: 60, parallel: true, packed: false }),
      layer('golden', { seconds: 120, parallel: true, packed: false }),
      layer('terminal', { seconds: 120, parallel: true, packed: true, after: 1 }),
      layer('engine', { seconds: 600, parallel: false, packed: true, after: 2 }),
      layer('faults', { seconds: 600, parallel: false, packed: true, after: 3 }),
      // Mastodon's own, with the official images where they are loaded.
      layer('mastodon', { seconds: 900, parallel: false, packed: true, after: 4 }),
      // Pixelfed's own, likewise.
      layer('pixelfed', { seconds: 900, parallel: false, packed: true, after: 5 }),
    ],
  },
});
