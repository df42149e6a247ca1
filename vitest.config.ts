// One suite in every runtime. Which files run where is told by their place and name:
//
//   test/{gpu,tensor,kernels,ops,selftest,tuning,masks,model,e2e}/   everywhere, unless the name says otherwise:
//   *.node.test.ts                         only in Node: files, processes, and plain TypeScript, the same everywhere
//   *.browser.test.ts                      only in a browser: what no other runtime has
//   *.host.test.ts                         in Node and Deno; in a browser with FLOWSEG_SLOW=1 only
//   test/package/                          only in the project package: projects that install the packed tarball
//   test/web/                              only in the project studio: a browser that is driven from Node
//   anything else under test/              only in Node
//
// `npm test` and `npm run test:all` run them (tools/test.mjs); `npx vitest --project node` is for working on one thing.

import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { playwright } from '@vitest/browser-playwright'
import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import { serveHub } from './test/io/http/hub/local-hub.ts'
import { serveManners } from './test/io/http/manners.ts'
import { launchOptions } from './tools/chromium.ts'
import { wgsl } from './tools/wgsl-plugin.ts'

const EVERYWHERE = [
  'test/{gpu,tensor,kernels,ops,selftest,tuning,masks,model,e2e}/**/*.test.ts',
  'examples/**/*.test.ts',
]
const ONLY_NODE = '**/*.node.test.ts'
const ONLY_BROWSER = '**/*.browser.test.ts'
const PACKAGE = 'test/package/**/*.test.ts'
const STUDIO = 'test/web/**/*.test.ts'
/**
 * These tests run whole models, without golden values, on an adapter that Node has as well. In a browser they take a
 * minute, and the studio's tests ask the same.
 */
const SELDOM_IN_BROWSERS = process.env['FLOWSEG_SLOW'] === '1' ? [] : ['**/*.host.test.ts']
const NOBODY = ['**/node_modules/**', '**/.cache/**']

/** Files share what a worker has loaded, and its devices with their pipelines: a third of the time goes by that. */
const SHARED = { isolate: false }

/**
 * Where Mesa keeps the machine code of kernels without being told. Tests with an XDG_CACHE_HOME of their own would wait
 * for it to be made again, which takes most of a minute for a whole model.
 */
process.env['MESA_SHADER_CACHE_DIR'] ||= process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')

/** Variables that tests look at; browsers have none of their own. */
const VARIABLES = ['FLOWSEG_VARIANTS', 'FLOWSEG_SEED', 'FLOWSEG_SLOW']

const node: TestProjectConfiguration = {
  extends: true,
  test: {
    ...SHARED,
    name: 'node',
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    exclude: [ONLY_BROWSER, PACKAGE, STUDIO, ...NOBODY],
  },
}

/** Projects that install the package, in Node too. `package` is a reserved word. */
const installed: TestProjectConfiguration = { extends: true, test: { name: 'package', include: [PACKAGE] } }

/** People at the studio. */
const studio: TestProjectConfiguration = {
  extends: true,
  test: {
    name: 'studio',
    include: [STUDIO],
    globalSetup: 'test/web/house/build.ts',
    expect: { poll: { timeout: 20_000 } }, // two browsers compute at the same time
  },
}

const deno: TestProjectConfiguration = {
  extends: true,
  test: { ...SHARED, name: 'deno', include: EVERYWHERE, exclude: [ONLY_NODE, ONLY_BROWSER, ...NOBODY] },
}

const browser = (): TestProjectConfiguration => ({
  extends: true,
  // Found while tests run, they would make the page load again in the middle of them
  optimizeDeps: { include: ['@huggingface/tokenizers', 'd3-contour', 'fast-png', 'wgpu-matrix'] },
  test: {
    ...SHARED,
    name: 'browser',
    include: [...EVERYWHERE, `test/${ONLY_BROWSER}`],
    exclude: [ONLY_NODE, ...SELDOM_IN_BROWSERS, ...NOBODY],
    env: Object.fromEntries(VARIABLES.map((name) => [name, process.env[name] ?? ''])),
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: launchOptions() }),
      instances: [{ browser: 'chromium' }],
      commands: { serveHub, serveManners },
    },
  },
})

/** Examples import the package by its name; here that is its source. */
const DOORS = {
  'flowseg/engine': fileURLToPath(new URL('src/engine.ts', import.meta.url)),
  flowseg: fileURLToPath(new URL('src/index.ts', import.meta.url)),
}

export default defineConfig({
  plugins: [wgsl()],
  resolve: { alias: DOORS },
  test: {
    pool: 'forks',
    restoreMocks: true,
    unstubEnvs: true,
    unstubGlobals: true,
    // Making machine code is most of the work, and done by one thread: lavapipe's first dispatch of a kernel, SwiftShader's
    // pipelines. More than two workers compute at the same time, and gain nothing on two cores.
    maxWorkers: 2,
    // A busy machine takes three times as long to make machine code; what hangs is found all the same
    testTimeout: 300_000,
    hookTimeout: 300_000,
    setupFiles: ['test/setup.ts'],
    // Vitest in Deno is the runtime's own job: there is no browser to start from it
    projects: 'Deno' in globalThis ? [deno] : [node, browser(), installed, studio],
  },
})
