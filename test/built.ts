// dist/, up to date, for the tests that run the built package rather than the sources.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { placeOf } from './runtime.ts'

const root = resolve(placeOf('.'))
const SOURCES = [
  'src',
  'shaders',
  'tools/notices.ts',
  'tools/link-shader.ts',
  'tools/wgsl-plugin.ts',
  'vite.config.ts',
  'tsconfig.build.json',
]
/** One of each step of `npm run build`. */
const MADE = ['dist/engine.js', 'dist/browser/engine.js', 'dist/engine.d.ts']
const LOCK = join(root, 'node_modules/.cache/flowseg-building')

let built: Promise<string> | undefined

/**
 * Builds dist/ unless it is newer than all it is made of: once per run, as files that are tested side by side take
 * turns.
 */
export function upToDate(): Promise<string> {
  built ??= build()
  return built
}

async function build(): Promise<string> {
  mkdirSync(join(LOCK, '..'), { recursive: true })
  for (;;) {
    try {
      mkdirSync(LOCK)
      break
    } catch {
      // Whoever made it may be gone
      if (Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? 0) > 120_000)
        rmSync(LOCK, { recursive: true, force: true })
      await new Promise((again) => setTimeout(again, 100))
    }
  }
  try {
    const times = MADE.map((path) => join(root, path)).map((file) =>
      existsSync(file) ? statSync(file).mtimeMs : 0,
    )
    if (Math.max(...SOURCES.map((path) => newest(join(root, path)))) > Math.min(...times)) {
      const { status, stderr, error } = spawnSync('npm', ['run', 'build'], { cwd: root, encoding: 'utf8' })
      if (status !== 0) throw new Error(`npm run build failed: ${error?.message ?? stderr}`)
    }
  } finally {
    rmSync(LOCK, { recursive: true, force: true })
  }
  return join(root, 'dist')
}

function newest(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).mtimeMs
  const entries = readdirSync(path, { recursive: true }) as string[]
  return Math.max(...entries.map((entry) => statSync(join(path, entry)).mtimeMs))
}
