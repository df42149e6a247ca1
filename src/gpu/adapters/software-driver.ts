// A Vulkan driver without a GPU, without root and without a system package: SwiftShader, as shipped in the
// npm package @sparticuz/chromium (Linux x64). It is unpacked once into a cache folder; the Vulkan loader
// beside it is mapped into this process before Dawn (Node, Bun) or wgpu (Deno) looks for one.

import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { homeFolder, temporaryCache, userCache } from '../../cache-folder.ts'
import { reasonOf } from '../../printable.ts'
import { namesMeant } from './provider.ts'

/** Folders where Linux drivers announce themselves to the Vulkan loader; there is one more in the user's home. */
const DRIVER_FOLDERS = [
  '/etc/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
]

const VARIABLES = ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES', 'XDG_RUNTIME_DIR']
const MANIFEST = 'vk_swiftshader_icd.json'
/** Its adapter's name. */
const DEVICE = 'SwiftShader Device (Subzero)'
/** dlopen flag: the library stays mapped although Node then finds that it is no addon. */
const RTLD_NODELETE = 0x1000

interface DenoLike {
  readonly Deno: { dlopen(file: string, symbols: object): unknown }
}

/** Bun's door to native code. */
interface BunFfi {
  dlopen(
    file: string,
    symbols: Readonly<Record<string, { readonly args: readonly string[]; readonly returns: string }>>,
  ): { readonly symbols: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> }
}

/** Undefined outside of Bun. */
function bunFfi(): BunFfi | undefined {
  return 'Bun' in globalThis ? (createRequire(import.meta.url)('bun:ffi') as BunFfi) : undefined
}

/** Has the system announced a Vulkan driver, by file or by environment? */
export function hasVulkanDriver(): boolean {
  if (process.env['VK_ICD_FILENAMES'] || process.env['VK_DRIVER_FILES']) return true
  const home = homeFolder()
  const folders = home ? [...DRIVER_FOLDERS, join(home, '.local/share/vulkan/icd.d')] : DRIVER_FOLDERS
  return folders.some((folder) => filesIn(folder).some((file) => file.endsWith('.json')))
}

/** None, if there is no such folder; nor if we may not read it, as then the loader may not either. */
function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** SwiftShader, unpacked and in reach of this process; see `withDriver`. */
export function softwareDriver(): { ready: true; manifest: string } | { ready: false; reason: string } {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { ready: false, reason: `there is none for ${process.platform} ${process.arch}` }
  }
  try {
    const folder = unpack()
    mapLibrary(join(folder, 'libvulkan.so.1'))
    return { ready: true, manifest: join(folder, MANIFEST) }
  } catch (error) {
    return { ready: false, reason: reasonOf(error) }
  }
}

/**
 * Does something with this as the only Vulkan driver. The loader looks into the environment when an instance is
 * made; afterwards we leave it as it was, so that the next to open an adapter finds the system's drivers.
 */
export async function withDriver<T>(manifest: string, work: () => Promise<T>): Promise<T> {
  const before = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]))
  setVariables({ VK_DRIVER_FILES: undefined, ...variablesFor(manifest) })
  try {
    return await work()
  } finally {
    setVariables(before)
  }
}

/** Bun's `process.env` is a copy: a native library such as the Vulkan loader sees what `setenv` has set. */
function setVariables(values: Readonly<Record<string, string | undefined>>): void {
  const native = bunFfi()?.dlopen('libc.so.6', {
    setenv: { args: ['ptr', 'ptr', 'i32'], returns: 'i32' },
    unsetenv: { args: ['ptr'], returns: 'i32' },
  }).symbols
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) {
      delete process.env[name]
      native?.['unsetenv']?.(cString(name))
    } else {
      process.env[name] = value
      native?.['setenv']?.(cString(name), cString(value), 1)
    }
  }
}

function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}

/** Environment variables that make a driver the only one that the Vulkan loader finds. */
function variablesFor(manifest: string): Record<string, string> {
  return { VK_ICD_FILENAMES: manifest, XDG_RUNTIME_DIR: process.env['XDG_RUNTIME_DIR'] ?? tmpdir() }
}

/**
 * For Deno, whose wgpu looks for drivers when it is first asked for an adapter, and never again: where the system has
 * none, or SwiftShader is asked for by name, this process gets it. Without the permissions for that, nothing changes.
 */
export function offerDriver(adapterName?: string): void {
  const wanted = adapterName !== undefined && namesMeant(adapterName, [DEVICE]).length > 0
  try {
    if (!wanted && (process.platform !== 'linux' || hasVulkanDriver())) return
    const driver = softwareDriver()
    if (driver.ready) Object.assign(process.env, variablesFor(driver.manifest))
  } catch {
    // Deno asks for leave to read files and variables; who says no has the system's drivers
  }
}

function mapLibrary(file: string): void {
  try {
    // Deno's process.dlopen refuses what is no addon before it is mapped; its own keeps what it opens
    if ('Deno' in globalThis) return void (globalThis as unknown as DenoLike).Deno.dlopen(file, {})
    // Nor does Bun's leave what is no addon where it is
    const symbols = { vkGetInstanceProcAddr: { args: ['ptr', 'ptr'], returns: 'ptr' } }
    if ('Bun' in globalThis) return void bunFfi()?.dlopen(file, symbols)
    process.dlopen(
      { exports: {} },
      file,
      constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE,
    )
  } catch {
    // Expected: a plain library registers no addon. It is mapped all the same, and Dawn finds it by name.
  }
}

/** @returns the folder with libvk_swiftshader.so, libvulkan.so.1 and the manifest */
function unpack(): string {
  const require = createRequire(import.meta.url)
  let entry: string
  try {
    entry = require.resolve('@sparticuz/chromium')
  } catch {
    throw new Error('@sparticuz/chromium is not installed')
  }
  // The package's main file is build/cjs/index.cjs; its archives lie in bin/
  const packageFolder = join(dirname(entry), '../..')
  const manifest: { version: string } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'))
  const archive = join(packageFolder, 'bin/swiftshader.tar.br')
  const refusals: string[] = []
  for (const cache of [userCache, temporaryCache]) {
    try {
      return unpackInto(join(cache(), `swiftshader-${manifest.version}`), archive)
    } catch (error) {
      refusals.push(reasonOf(error))
    }
  }
  throw new Error(`nowhere to unpack it: ${refusals.join('; ')}`)
}

function unpackInto(folder: string, archive: string): string {
  if (existsSync(join(folder, MANIFEST))) return folder
  // Unpacked beside its place and moved there whole, so that two processes can't see half a driver
  const draft = mkdtempSync(join(dirname(folder), 'unpacking-'))
  try {
    const files = untar(brotliDecompressSync(readFileSync(archive)))
    for (const { name, data } of files) writeFileSync(join(draft, name), data, { mode: 0o755 })
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(join(folder, MANIFEST))) throw error
  }
  return folder
}

/** The plain files of a tar archive, by base name. */
export function* untar(archive: Uint8Array): Generator<{ name: string; data: Uint8Array }> {
  const text = new TextDecoder('latin1')
  const field = (start: number, length: number): string =>
    text.decode(archive.subarray(start, start + length)).replace(/\0.*$/s, '')
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const bytes = Number.parseInt(field(at + 124, 12), 8) || 0
    const type = field(at + 156, 1)
    const name = field(at, 100).split('/').pop() ?? ''
    if ((type === '0' || type === '') && name)
      yield { name, data: archive.subarray(at + 512, at + 512 + bytes) }
    at += 512 + Math.ceil(bytes / 512) * 512
  }
}
