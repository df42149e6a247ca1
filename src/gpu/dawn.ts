// WebGPU in Node: Dawn, from the npm package `webgpu`. Where Linux has no Vulkan driver, the software
// driver SwiftShader from npm takes its place, without root and without touching the system.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { NoAdapterError } from '../errors.ts'
import { languageOf, type Provider } from './provider.ts'
import { hasVulkanDriver, softwareDriver, withDriver } from './software-driver.ts'

/** The GPU lives as long as this object is referenced, and as long as it is, Node does not exit. */
let instances: GPU[] = []

/** What to do where there is no adapter at all. */
const FIXES = [
  'with a GPU, install its Vulkan driver',
  'without a GPU on Linux x64 and without root, run `npm install @sparticuz/chromium@147.0.0`, whose software ' +
    'driver is then found by itself',
  'with root, install Mesa 24 or newer (`mesa-vulkan-drivers`; on Debian 12 from backports)',
]

/**
 * Milliseconds to sleep between looks at a pending promise. A look costs 20 us of a core that a software adapter
 * computes on, so shorter naps gain nothing: runs of 5, 15 and 35 ms took 7, 6 and 9 % longer with 0.2 ms (lavapipe, two
 * cores, November 2026), and sleeping until shortly before the expected end gained 1 %.
 */
const NAP_MS = 1

/** @param boundsChecks as in OpenOptions */
export async function openDawn(adapterName?: string, boundsChecks = false): Promise<Provider> {
  const create = await load(boundsChecks)
  return inTurn(async () => {
    // 1. The system's drivers; asking Dawn without any only makes it complain on stderr
    const tried: string[] = []
    const wantsSoftware = adapterName !== undefined && 'swiftshader'.includes(adapterName.toLowerCase())
    if (!wantsSoftware && hasSystemDriver()) {
      const found = await request(create, adapterName)
      if (found.adapter) return provider(found.gpu, found.adapter)
      tried.push(`the system's drivers (${found.reason})`)
    } else if (!wantsSoftware) {
      tried.push("the system's Vulkan drivers (none installed)")
    }

    // 2. SwiftShader from npm
    const software = softwareDriver()
    if (software.ready) {
      const found = await withDriver(software.manifest, () => request(create, adapterName))
      if (found.adapter) return provider(found.gpu, found.adapter)
      tried.push(`SwiftShader from npm (${found.reason})`)
    } else {
      tried.push(`SwiftShader from npm (${software.reason})`)
    }

    const names = adapterName === undefined ? [] : await adapterNames(create)
    if (names.length > 0) {
      throw new NoAdapterError(
        `No WebGPU adapter matches '${adapterName}': this machine has ${names.map((name) => `'${name}'`).join(', ')}. ` +
          'Pass a part of such a name, or none for the default adapter.',
      )
    }
    throw new NoAdapterError(
      `No WebGPU adapter${adapterName ? ` matches '${adapterName}'` : ''}. Tried: ${tried.join('; ')}. ` +
        `Three ways to fix it: ${FIXES.map((fix, i) => `(${i + 1}) ${fix}`).join('; ')}. ` +
        '`flowseg doctor` shows what this machine has.',
      { tried, fixes: FIXES },
    )
  })
}

/** Names of the adapters that can be opened now, without opening one. */
export async function listAdapters(): Promise<string[]> {
  const create = await load()
  return inTurn(() => adapterNames(create))
}

type Create = (options: string[]) => GPU

async function load(boundsChecks = false): Promise<Create> {
  const dawn = await import('webgpu').catch((error: unknown) => {
    throw new NoAdapterError(
      `The npm package 'webgpu' (Dawn for Node) can't be loaded on ${process.platform} ${process.arch}: ` +
        `${error instanceof Error ? error.message : String(error)}. Install it with: npm install webgpu`,
      { cause: error },
    )
  })
  // Constants such as GPUBufferUsage, which Node lacks
  Object.assign(globalThis, dawn.globals)
  // Timestamps are quantised to 0.1 ms otherwise, longer than most kernels take
  const toggles = ['disable-dawn-features=timestamp_quantization']
  if (!boundsChecks) toggles.push('enable-dawn-features=disable_robustness')
  return (options) => dawn.create([...options, ...toggles])
}

let last: Promise<unknown> = Promise.resolve()

/** One after another: which driver Dawn finds depends on the environment, which is the process's. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = last.then(work)
  last = mine.catch(() => undefined)
  return mine
}

function hasSystemDriver(): boolean {
  return process.platform !== 'linux' || hasVulkanDriver()
}

async function adapterNames(create: Create): Promise<string[]> {
  // Asking for an adapter that can't exist makes Dawn list those that do
  const ask = async (): Promise<string[]> => {
    const { reason } = await request(create, 'no such adapter')
    return namesListed(reason)
  }
  const names = hasSystemDriver() ? await ask() : []
  const software = softwareDriver()
  if (software.ready) names.push(...(await withDriver(software.manifest, ask)))
  return [...new Set(names)]
}

/**
 * The adapters in Dawn's complaint, each once. OpenGL shows again, under other names, the devices that it shares
 * with Vulkan, and Dawn's null backend computes nothing.
 *
 * @param complaint lines such as " * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'"
 */
export function namesListed(complaint: string): string[] {
  const listed = [...complaint.matchAll(/backend: '([^']*)', name: '([^']+)'/g)]
  const real = listed.filter(([, backend]) => !/^(opengl|opengles|null)$/i.test(backend!))
  return [...new Set(real.map(([, , name]) => name!))]
}

async function request(
  create: Create,
  adapterName: string | undefined,
): Promise<
  { gpu: GPU; adapter: GPUAdapter; reason: string } | { gpu?: never; adapter?: never; reason: string }
> {
  try {
    const options = adapterName ? [`adapter=${adapterName}`] : []
    const gpu = create(options)
    const adapter = await gpu.requestAdapter()
    if (adapter) return { gpu, adapter, reason: '' }
    return { reason: 'Dawn found no usable driver' }
  } catch (error) {
    return { reason: error instanceof Error ? error.message.trim() : String(error) }
  }
}

function provider(gpu: GPU, adapter: GPUAdapter): Provider {
  instances.push(gpu)
  return {
    runtime: `${'bun' in process.versions ? `Bun ${process.versions['bun']}` : `Node ${process.versions.node}`}, Dawn`,
    adapter,
    language: languageOf(gpu),
    calm: sleepily,
    close: () => {
      instances = instances.filter((other) => other !== gpu)
    },
  }
}

const nap = new Int32Array(new SharedArrayBuffer(4))

/**
 * Dawn in Node looks for finished work on every turn of the event loop, as fast as it can spin, and so
 * takes a whole core from a software adapter that computes on the same cores (measured on two cores:
 * 73 -> 45 GFLOP/s). Sleeping a little in each turn gives the core back.
 */
async function sleepily<T>(promise: Promise<T>): Promise<T> {
  const state = { pending: true }
  const done = (): void => {
    state.pending = false
  }
  promise.then(done, done)
  await Promise.resolve()
  while (state.pending) {
    Atomics.wait(nap, 0, 0, NAP_MS)
    await nextTurn()
  }
  return promise
}
