// A real Chromium for tests, on a machine that has only Node and npm: CHROMIUM_PATH, or the system's own, or (Linux
// x64) the one in the npm package @sparticuz/chromium, unpacked once into node_modules/.cache.
//
//   const browser = await chromium.launch(await launchOptions())   // chromium: Playwright's
//
// It computes on SwiftShader, whatever the machine has, so that results and pictures are the same everywhere.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { untar } from '../src/gpu/adapters/software-driver.ts'

/**
 * The flags that Chromium needs for WebGPU on a software adapter, canvases and screenshots included. Without any of the
 * last four there is no adapter, or the GPU process ends with the first canvas, or canvases stay blank (Chromium 147
 * and 156, November 2026).
 */
const FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--enable-unsafe-webgpu',
  '--use-angle=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
]

export interface LaunchOptions {
  readonly executablePath?: string
  /** The Chrome that is installed, on platforms without a Chromium to unpack. */
  readonly channel?: 'chrome'
  readonly args: string[]
  readonly env: Record<string, string>
  readonly headless: true
}

/** For Playwright's launch, launchPersistentContext, or Vitest's provider; the browser is there when it returns. */
export function launchOptions(): LaunchOptions {
  const own = process.env['CHROMIUM_PATH'] || ['/usr/bin/chromium'].find(existsSync)
  const env = { ...process.env } as Record<string, string>
  const common = { args: FLAGS, env, headless: true } as const
  if (own) return { executablePath: own, ...common }
  if (process.platform !== 'linux' || process.arch !== 'x64') return { channel: 'chrome', ...common }

  const folder = unpacked()
  // NSS, NSPR and Expat, which a bare system lacks
  env['LD_LIBRARY_PATH'] = [folder, process.env['LD_LIBRARY_PATH']].filter(Boolean).join(':')
  return { executablePath: join(folder, 'chromium'), ...common }
}

/** The folder with Chromium and all it needs. */
function unpacked(): string {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium')
  const home = join(dirname(entry), '../..') // the package's main file is build/cjs/index.cjs
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { version: string }
  const cache = join(home, '../../.cache')
  const folder = join(cache, `chromium-${version}`)
  if (existsSync(folder)) return folder

  // Beside its place and moved there whole, so that two runs can't see half of it
  mkdirSync(cache, { recursive: true })
  const draft = mkdtempSync(join(cache, 'unpacking-'))
  const archive = (name: string): Buffer => brotliDecompressSync(readFileSync(join(home, 'bin', name)))
  try {
    writeFileSync(join(draft, 'chromium'), archive('chromium.br'), { mode: 0o755 })
    for (const name of ['swiftshader.tar.br', 'al2023.tar.br']) {
      for (const file of untar(archive(name)))
        writeFileSync(join(draft, file.name), file.data, { mode: 0o755 })
    }
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}
