// The folders and files that the bench uses.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const BENCH = join(dirname(fileURLToPath(import.meta.url)), '..')
export const ROOT = join(BENCH, '..')

/** Our engine, bundled by lib/build.mjs. */
export const ENGINE = join(BENCH, '.cache/engine/engine.js')
