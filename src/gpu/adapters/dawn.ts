// WebGPU in Node: Dawn, from the npm package `webgpu`. Where Linux has no Vulkan driver, the software
// driver SwiftShader from npm takes its place, without root and without touching the system.

import { setImmediate as nextTurn } from 'node:timers/promises'
import { expectDefined } from '../../check.ts'
import { NoAdapterError } from '../../errors.ts'
import { printable, reasonOf } from '../../printable.ts'
import { languageOf, namesMeant, type Provider } from './provider.ts'
import { hasVulkanDriver, softwareDriver, withDriver } from './software-driver.ts'

/** The GPU lives as long as this object is referenced, and as long as it is, Node does not exit. */
let instances: GPU[] = []

/** The advice where there is no adapter at all. */
const FIXES = [
  'with a GPU, install its Vulkan driver',
  'without a GPU on Linux x64 and without root, run `npm install @sparticuz/chromium@147.0.0`, whose software ' +
    'driver is then found by itself',
  'with root, install Mesa 24 or newer (`mesa-vulkan-drivers`; on Debian 12 from backports)',
]

/**
 * Milliseconds to sleep between looks at a pending promise. A look costs 20 us of a core that a software adapter
 * computes on, so shorter naps gain nothing: runs of 5, 15 and 35 ms took 7, 6 and 9 % longer with 0.2 ms (lavapipe,
 * two cores, November 2026), and sleeping until shortly before the expected end gained 1 %.
 */
const NAP_MS = 1

/** @param boundsChecks as in OpenOptions */
export async function openDawn(adapterName?: string, boundsChecks = false): Promise<Provider> {
  const create = await load(boundsChecks)
  return inTurn(() => (adapterName ? openNamed(create, adapterName) : openAny(create)))
}

/** The system's, or SwiftShader from npm where there is none. */
async function openAny(create: Create, name?: string): Promise<Provider> {
  const tried: string[] = []
  for (const driver of drivers()) {
    if ('reason' in driver) {
      tried.push(`${driver.name} (${driver.reason})`)
      continue
    }
    const answer = await driver.use(() => request(create, name))
    if (answer.adapter) return provider(answer.gpu, answer.adapter)
    tried.push(`${driver.name} (${answer.reason})`)
  }
  throw noAdapter(tried)
}

/** The one adapter that a part of its name means. */
async function openNamed(create: Create, part: string): Promise<Provider> {
  // Drivers of the system aren't woken for it: some print warnings
  const isSoftware = /swiftshader|subzero/i.test(part)
  const software = isSoftware ? await listed(create, [npmDriver()]) : new Map<string, Driver>()
  const all = namesMeant(part, [...software.keys()]).length > 0 ? software : await listed(create, drivers())
  const meant = namesMeant(part, [...all.keys()])
  const [name] = meant
  const others = (names: Iterable<string>): string =>
    [...names].map((one) => `'${printable(one)}'`).join(', ')
  if (all.size > 0 && name === undefined) {
    throw new NoAdapterError(
      `No WebGPU adapter matches '${printable(part)}': this machine has ${others(all.keys())}. ` +
        'Pass a part of such a name, or none for the default adapter.',
    )
  }
  if (meant.length > 1) {
    throw new NoAdapterError(
      `'${printable(part)}' matches several WebGPU adapters: ${others(meant)}. Pass a part that only one of them has.`,
    )
  }
  if (name === undefined) return openAny(create, part) // which says why there is none
  const answer = await expectDefined(all.get(name), 'all').use(() => request(create, name))
  if (answer.adapter) return provider(answer.gpu, answer.adapter)
  throw noAdapter([`'${printable(name)}' (${answer.reason})`])
}

function noAdapter(tried: readonly string[]): NoAdapterError {
  return new NoAdapterError(
    `No WebGPU adapter. Tried: ${tried.join('; ')}. ` +
      `Three ways to fix it: ${FIXES.map((fix, i) => `(${i + 1}) ${fix}`).join('; ')}. ` +
      '`flowseg doctor` shows what this machine has.',
    { tried, fixes: FIXES },
  )
}

/** Names of the adapters that can be opened now, without opening one. */
export async function listAdapters(): Promise<string[]> {
  const create = await load()
  return inTurn(async () => [...(await listed(create, drivers())).keys()])
}

type Create = (options: string[]) => GPU

async function load(boundsChecks = false): Promise<Create> {
  const dawn = await import('webgpu').catch((error: unknown) => {
    throw new NoAdapterError(
      `The npm package 'webgpu' (Dawn for Node) can't be loaded on ${process.platform} ${process.arch}: ` +
        `${reasonOf(error)}. Install it with: npm install webgpu`,
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

/** The drivers that adapters come from. */
interface Driver {
  readonly name: string
  /** Does something while Dawn finds this driver. */
  use<T>(work: () => Promise<T>): Promise<T>
}

/** One that can't be used. */
interface UnusableAdapter {
  readonly name: string
  readonly reason: string
}

/** The drivers to try, in this order. */
function* drivers(): Generator<Driver | UnusableAdapter> {
  // Asking Dawn without any driver only makes it complain on stderr
  const hasSystemDriver = process.platform !== 'linux' || hasVulkanDriver()
  if (hasSystemDriver) yield { name: "the system's drivers", use: (work) => work() }
  else yield { name: "the system's Vulkan drivers", reason: 'none installed' }
  yield npmDriver()
}

function npmDriver(): Driver | UnusableAdapter {
  const software = softwareDriver()
  const name = 'SwiftShader from npm'
  if (!software.ready) return { name, reason: software.reason }
  return { name, use: (work) => withDriver(software.manifest, work) }
}

/** The names of these drivers' adapters, each with the driver that it is found with first. */
async function listed(
  create: Create,
  from: Iterable<Driver | UnusableAdapter>,
): Promise<Map<string, Driver>> {
  const all = new Map<string, Driver>()
  for (const driver of from) {
    if ('reason' in driver) continue
    // Asking for an adapter that can't exist makes Dawn list those that do
    const { reason } = await driver.use(() => request(create, 'no such adapter'))
    for (const name of namesListed(reason)) if (!all.has(name)) all.set(name, driver)
  }
  return all
}

/**
 * The adapters in Dawn's complaint, each once. OpenGL shows again, under other names, the devices that it shares
 * with Vulkan, and Dawn's null backend computes nothing.
 *
 * @param complaint lines such as " * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'"
 */
export function namesListed(complaint: string): string[] {
  const listed = [...complaint.matchAll(/backend: '([^']*)', name: '([^']+)'/g)]
  const real = listed.filter(([, backend = '']) => !/^(opengl|opengles|null)$/i.test(backend))
  return [...new Set(real.map(([, , name = '']) => name))]
}

async function request(
  create: Create,
  adapterName?: string,
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
