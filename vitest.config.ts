import { defineConfig } from 'vitest/config';

/** One project a layer, so that `vitest --project unit` runs what needs no engine. */
const layer = (name: string, options: { seconds: number; parallel: boolean; packed: boolean }) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: options.seconds * 1000,
    hookTimeout: options.seconds * 1000,
    fileParallelism: options.parallel,
    ...(options.packed ? { globalSetup: ['test/support/packed.ts'] } : {}),
  },
});

export default defineConfig({
  test: {
    projects: [
      layer('unit', { seconds: 60, parallel: true, packed: false }),
      layer('golden', { seconds: 120, parallel: true, packed: false }),
      layer('terminal', { seconds: 120, parallel: true, packed: true }),
      layer('engine', { seconds: 600, parallel: false, packed: true }),
      layer('faults', { seconds: 600, parallel: false, packed: true }),
      // Mastodon's own, with the official images where they are loaded.
      layer('mastodon', { seconds: 900, parallel: false, packed: true }),
      // Pixelfed's own, likewise.
      layer('pixelfed', { seconds: 900, parallel: false, packed: true }),
    ],
  },
});
