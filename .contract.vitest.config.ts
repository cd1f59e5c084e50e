import { defineConfig } from 'vitest/config';
export default defineConfig({
  test: { include: ['test/engine/contract-*.test.ts'], testTimeout: 300000, hookTimeout: 900000 },
});
