// A real Chromium with WebGPU on the software driver: CHROMIUM_PATH, or the one in @sparticuz/chromium, unpacked once into
// this user's cache.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { type Browser, chromium } from 'playwright'
import { userCache } from '../../src/cache-folder.ts'

const PLAIN = [
  '--no-sandbox',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
]

/** Compute and canvas: fewer of these and one of the two fails, or the canvas stays blank. */
const SOFTWARE_GPU = [
  '--enable-unsafe-webgpu',
  '--use-angle=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
]

/** @param args instead of those that bring WebGPU */
export async function launch(args: readonly string[] = SOFTWARE_GPU): Promise<Browser> {
  const { path, libraries } = find()
  const inherited = process.env['LD_LIBRARY_PATH']
  const LD_LIBRARY_PATH = [libraries, inherited].filter(Boolean).join(':')
  const env = { ...(process.env as Record<string, string>), ...(LD_LIBRARY_PATH ? { LD_LIBRARY_PATH } : {}) }
  return chromium.launch({ executablePath: path, headless: true, args: [...PLAIN, ...args], env })
}

function find(): { path: string; libraries: string } {
  const given = process.env['CHROMIUM_PATH']
  if (given) return { path: given, libraries: '' }
  const folder = unpack()
  return { path: join(folder, 'chromium'), libraries: `${folder}:${join(folder, 'lib')}` }
}

const ARCHIVES = ['swiftshader.tar.br', 'al2023.tar.br', 'fonts.tar.br', 'chromium.br']

function unpack(): string {
  const require = createRequire(import.meta.url)
  const packageFolder = join(dirname(require.resolve('@sparticuz/chromium')), '../..')
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as {
    version: string
  }
  const folder = join(userCache(), `chromium-${version}`)
  if (existsSync(join(folder, 'chromium'))) return folder
  const draft = mkdtempSync(join(userCache(), 'unpacking-'))
  try {
    for (const archive of ARCHIVES) {
      const bytes = brotliDecompressSync(readFileSync(join(packageFolder, 'bin', archive)))
      if (archive.includes('.tar')) untar(bytes, draft)
      else writeFileSync(join(draft, 'chromium'), bytes, { mode: 0o755 })
    }
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(join(folder, 'chromium'))) throw error
  }
  return folder
}

/** The plain files of a tar archive. */
function untar(archive: Uint8Array, folder: string): void {
  const text = new TextDecoder('latin1')
  const field = (start: number, length: number): string =>
    text.decode(archive.subarray(start, start + length)).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const bytes = Number.parseInt(field(at + 124, 12), 8) || 0
    const type = field(at + 156, 1)
    if (type === '0' || type === '') {
      const file = join(folder, field(at, 100))
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, archive.subarray(at + 512, at + 512 + bytes), { mode: 0o755 })
    }
    at += 512 + Math.ceil(bytes / 512) * 512
  }
}
