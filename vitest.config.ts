import { defineConfig } from 'vitest/config'
import { wgsl } from './tools/wgsl-plugin.ts'

export default defineConfig({
  plugins: [wgsl()],
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Two software GPUs on two cores gain nothing from more workers, and each worker opens its own device
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
