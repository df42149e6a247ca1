// Our engine as its sources are now, internals included, in one bundle that the children import.

import { dirname, join } from 'node:path'
import { build, loadConfigFromFile } from 'vite'
import { BENCH, ENGINE, ROOT } from './paths.mjs'

export async function buildEngine() {
  const { config } = await loadConfigFromFile(
    { command: 'build', mode: 'production' },
    join(ROOT, 'vite.config.ts'),
  )
  await build({
    ...config,
    root: ROOT,
    configFile: false,
    logLevel: 'warn',
    build: {
      ...config.build,
      lib: { entry: { engine: join(BENCH, 'lib/door.mjs') }, formats: ['es'] },
      outDir: dirname(ENGINE),
      emptyOutDir: true,
    },
  })
  return ENGINE
}
