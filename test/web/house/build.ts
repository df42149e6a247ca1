// Builds the studio as people host it. Vitest calls `setup` once before the files of the project studio, some of which
// run at the same time.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** The folder that `build` writes to without arguments. */
export const DIST: string = join(ROOT, 'web/dist')

export function setup(): Promise<void> {
  return build()
}

/**
 * Writes the studio to web/dist, or elsewhere, in a process of its own: what the test runner sets would make it one for
 * development.
 */
export async function build(...args: string[]): Promise<void> {
  const vite = join(ROOT, 'node_modules/vite/bin/vite.js')
  const env = { ...process.env, NODE_ENV: 'production' }
  await run(process.execPath, [vite, 'build', '--config', 'web/vite.config.ts', ...args], { cwd: ROOT, env })
}
