// The door to WebGPU: opens a device in any runtime, or takes one that the caller has, and holds what
// belongs to it: the memory ledger, the kernel cache, the measured speed. Nothing above this floor sees a
// GPUAdapter; only ops record dispatches, and only src/gpu submits them.

import { openProvider } from '#runtime'
import { describe, expectDefined } from '../check.ts'
import { closeWhenDisposed } from '../dispose.ts'
import { DeviceLostError, FlowSegError, NoAdapterError, UsageError } from '../errors.ts'
import { COUNT, expectKind, expectOptions, FLAG, NAME, type OptionKinds, oneOf, TABLE } from '../options.ts'
import { printable, reasonOf } from '../printable.ts'
import { type AdapterFacts, Choices, type Features, VARIANTS } from './adapter.ts'
import { languageOf, type Provider } from './adapters/provider.ts'
import { KernelCache } from './kernel.ts'
import { Memory, type MemoryReport } from './memory.ts'
import { applyTuned, type Identity, identityOf, readTuned, type Tuned } from './tuned.ts'

/** Options of {@link openGpu}: the adapter or device to open, and the features and kernel variants to use. */
export interface OpenOptions {
  /** A device of the caller's own. It is used as it is and never destroyed; its uncaptured errors stay the caller's. */
  readonly device?: GPUDevice
  /**
   * Part of an adapter's name, such as 'llvmpipe' or 'swiftshader', in any case. Node only; elsewhere it must match.
   */
  readonly adapter?: string
  /**
   * Checks every access of a shader against the bounds of its buffer, as every browser does. In Node the default is
   * false: the engine's own kernels stay in bounds, and SwiftShader takes up to half as long again with checks. Turn it
   * on for kernels of your own, until you trust them.
   */
  readonly boundsChecks?: boolean
  /** Features not to use although the adapter has them; for tests. */
  readonly without?: readonly ('shader-f16' | 'subgroups' | 'timestamp-query')[]
  /** Bind no more than this many bytes at once; for testing what small adapters do. */
  readonly bindingLimit?: number
  /**
   * Variants of kernels to take wherever they can run, by family: { matmul: 'subgroup' }. For tests and comparisons.
   */
  readonly variants?: Readonly<Record<string, string>>
  /**
   * The result of `tune` on this adapter: the choices themselves, their JSON, or a function that loads them
   * (loadTuned). What is damaged or was made for something else is left aside, with one of `notes`. Without, a cost
   * model chooses.
   */
  readonly tuned?: Tuned | string | ((identity: Identity) => Promise<Tuned | string | undefined>)
}

/** FLOP/s of this device as seen so far: cuts long plans into submissions. */
export class Rate {
  #flopsPerSecond: number

  constructor(initial: number) {
    this.#flopsPerSecond = initial
  }

  /** A moving average, in which each run that is long enough counts 30 %. */
  get flopsPerSecond(): number {
    return this.#flopsPerSecond
  }

  /** Runs too short to tell are ignored; the first ones are mostly overhead. */
  learn(flops: number, seconds: number): void {
    if (seconds < 0.02 || flops < 1e7) return
    const seen = flops / seconds
    this.#flopsPerSecond = 0.7 * this.#flopsPerSecond + 0.3 * seen
  }
}

/** Limits worth raising to what the adapter offers; unknown names would be rejected. */
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBuffersPerShaderStage',
] as const

/** A provider whose device is open. */
type Host = Omit<Provider, 'adapter'>

const WANTED_FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'] as const

/** An open device with everything that the engine keeps on it: buffers, compiled kernels, choices among variants. */
export class Gpu {
  /** The same as {@link Gpu.close}, for `using`. */
  declare readonly [Symbol.dispose]: () => void
  /** The WebGPU device; of the caller, if it was given. */
  readonly device: GPUDevice
  /** The adapter's name for people: 'llvmpipe (LLVM 15.0.6, 256 bits)', or 'google swiftshader'. */
  readonly name: string
  /** WebGPU's own information on the adapter. */
  readonly info: GPUAdapterInfo
  /** The program and the WebGPU implementation that speaks to the driver: 'Node 20.20.2, Dawn'. */
  readonly runtime: string
  /** The features that the device was opened with. */
  readonly features: Features
  /** @internal The adapter's properties that ops choose kernels by. */
  readonly adapter: AdapterFacts
  /** The adapter, driver and engine that tuned choices belong to. */
  readonly identity: Identity
  /** Notes for the user, in sentences. */
  readonly notes: string[] = []
  /** The most bytes of a buffer that one binding of a kernel may cover. */
  readonly bindingLimit: number
  /** @internal Every buffer of this device that is ours, by owner. */
  readonly buffers: Memory
  /** @internal Every kernel that was compiled. */
  readonly kernels: KernelCache
  /** @internal How fast the device was seen to be. */
  readonly rate: Rate
  readonly #provider: Host | undefined
  readonly #owned: boolean
  #lost: DeviceLostError | undefined
  #fault: FlowSegError | undefined
  /** Called when the device is lost: `device.lost` lives long, so nothing is chained to it per call. */
  readonly #waiting = new Set<(error: DeviceLostError) => void>()
  readonly #onError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault() // or the runtime prints it; the caller that awaits our work gets it instead
    this.#fault ??= new FlowSegError('ERR_GPU', `The device reported: ${event.error.message}`)
  }
  #closed = false

  private constructor(
    device: GPUDevice,
    provider: Host | undefined,
    options: OpenOptions,
    known?: AdapterFacts,
  ) {
    this.device = device
    this.info = device.adapterInfo
    this.name = nameOf(this.info)
    this.runtime = provider?.runtime ?? 'device of the caller'
    this.identity = identityOf(this.name, this.info, this.runtime)
    const has = (name: (typeof WANTED_FEATURES)[number]): boolean =>
      device.features.has(name) && !options.without?.includes(name)
    this.features = known?.features ?? {
      f16: has('shader-f16'),
      subgroups: has('subgroups'),
      timestamps: has('timestamp-query'),
    }
    const { subgroupMinSize, subgroupMaxSize, isFallbackAdapter } = this.info
    this.adapter = known ?? {
      features: this.features,
      subgroupSize:
        this.features.subgroups && subgroupMinSize === subgroupMaxSize ? (subgroupMinSize ?? 0) : 0,
      ...(provider?.language ?? languageOf(globalThis.navigator?.gpu)),
      software: isFallbackAdapter ?? false,
      maxInvocations: device.limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
      choices: new Choices(options.variants),
    }
    this.bindingLimit = Math.min(device.limits.maxStorageBufferBindingSize, options.bindingLimit ?? Infinity)
    this.buffers = new Memory(device)
    this.kernels = new KernelCache(device)
    // First guesses, an order of magnitude below typical: a software adapter and a small GPU
    this.rate = new Rate(this.info.isFallbackAdapter ? 5e9 : 2e11)
    this.#provider = provider
    this.#owned = options.device === undefined
    // Another's device reports another's mistakes too: they are not ours to silence, nor to throw
    if (this.#owned) device.addEventListener('uncapturederror', this.#onError)
    void device.lost.then((info) => {
      const reason = this.#closed
        ? 'The Gpu was closed while work was under way.'
        : `The GPU device was lost (${info.reason}): ${info.message || 'no reason given'}. ` +
          'Open a new one with openGpu() and load the model again.'
      this.#lost = new DeviceLostError(reason)
      for (const giveUp of this.#waiting) giveUp(this.#lost)
    })
  }

  /**
   * @throws NoAdapterError when no adapter can be had; the message says what was tried and what to do
   * @throws UsageError if an option doesn't exist, or has a value that it can't have
   */
  static async open(options: OpenOptions = {}): Promise<Gpu> {
    checkOptions(options)
    if (options.device) return new Gpu(options.device, undefined, options).#takeTuned(options)
    const provider = await openProvider(options.adapter, options.boundsChecks)
    const { adapter } = provider
    const features = WANTED_FEATURES.filter((f) => adapter.features.has(f) && !options.without?.includes(f))
    const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]))
    const device = await adapter
      .requestDevice({ requiredFeatures: features, requiredLimits })
      .catch((error: unknown) => {
        provider.close()
        throw new NoAdapterError(
          `The adapter ${adapter.info.description || adapter.info.vendor} gave no device: ${reasonOf(error)}. ` +
            'Close other programs that use the GPU, or choose another adapter.',
          { cause: error },
        )
      })
    return new Gpu(device, provider, options).#takeTuned(options)
  }

  /** @internal A Gpu of a device that computes nothing (dry-gpu.ts), with the facts and choices of another. */
  static dry(device: GPUDevice, { adapter, runtime, bindingLimit }: Gpu): Gpu {
    const host: Host = { runtime, language: adapter, calm: (promise) => promise, close: () => undefined }
    return new Gpu(device, host, { device, bindingLimit }, { ...adapter, choices: adapter.choices.copy() })
  }

  async #takeTuned({ tuned }: OpenOptions): Promise<this> {
    try {
      const opened = typeof tuned === 'function' ? await tuned(this.identity) : tuned
      if (opened === undefined) return this
      const read = readTuned(opened, this.identity)
      if ('note' in read) this.notes.push(read.note)
      else applyTuned(this.adapter.choices, read.tuned)
      return this
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Bytes on the device, by owner, of the buffers and textures that exist now. */
  memory(): MemoryReport {
    return this.buffers.report()
  }

  /** Waits until everything submitted so far has run. */
  async idle(): Promise<void> {
    await this.wait(this.device.queue.onSubmittedWorkDone())
    await this.check()
  }

  /** Awaits a promise of the device's, without spinning where the runtime would, and never past a loss. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let giveUp: (error: DeviceLostError) => void = () => undefined
    const lost = new Promise<never>((_, reject) => {
      giveUp = reject
    })
    this.#waiting.add(giveUp)
    try {
      const either = Promise.race([promise, lost])
      return await (this.#provider?.calm(either) ?? either)
    } catch (error) {
      await this.check()
      throw error
    } finally {
      this.#waiting.delete(giveUp)
    }
  }

  /** True if the device is neither closed nor lost, as far as is known now. */
  get isOpen(): boolean {
    return !this.#closed && !this.#lost
  }

  /** Throws what our own device reported outside of any error scope, once; and always when it is lost or closed. */
  async check(): Promise<void> {
    // A loss is announced through a promise: let its callback run before we look
    await Promise.resolve()
    if (this.#closed) throw new DeviceLostError('This Gpu was closed. Open a new one with openGpu().')
    if (this.#lost) throw this.#lost
    const fault = this.#fault
    this.#fault = undefined
    if (fault) throw fault
  }

  /** Frees all buffers, and the device unless it came from the caller. Afterwards Node can exit by itself. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.buffers.releaseAll()
    this.device.removeEventListener('uncapturederror', this.#onError)
    if (this.#owned) this.device.destroy()
    this.#provider?.close()
  }

  static {
    closeWhenDisposed(Gpu.prototype)
  }
}

const OPEN_KINDS: OptionKinds<OpenOptions> = {
  device: { is: isDevice, what: "the GPUDevice that an adapter's requestDevice() resolves to" },
  adapter: NAME,
  boundsChecks: FLAG,
  without: { is: Array.isArray, what: 'an array of names of features' },
  bindingLimit: COUNT,
  variants: TABLE,
  tuned: {
    is: (value) =>
      typeof value === 'object' ? value !== null : ['string', 'function'].includes(typeof value),
    what: 'what `tune` returned as `tuned`, its JSON, or a function that loads it',
  },
}

const FEATURE = oneOf(...WANTED_FEATURES)

function checkOptions(options: OpenOptions): void {
  if (typeof options === 'string') {
    throw new UsageError(
      `openGpu: the options are ${describe(options)}, expected { adapter: ${describe(options)} }.`,
    )
  }
  expectOptions('openGpu', options, OPEN_KINDS)
  const { without = [], variants = {} } = options
  for (const feature of without) expectKind('openGpu: a feature in `without`', feature, FEATURE)
  for (const [family, variant] of Object.entries(variants)) {
    expectKind('openGpu: a family in `variants`', family, oneOf(...Object.keys(VARIANTS)))
    const names = expectDefined(VARIANTS[family], `the variants of ${family}`)
    expectKind(`openGpu: the variant of ${family}`, variant, oneOf(...names))
  }
}

/** True if a value has a device's methods: a device may come from another realm, or be a proxy for one. */
function isDevice(device: unknown): device is GPUDevice {
  if (typeof device !== 'object' || device === null) return false
  const { createBuffer, limits, queue } = device as Partial<GPUDevice>
  return typeof createBuffer === 'function' && typeof limits === 'object' && typeof queue === 'object'
}

/**
 * For people: wgpu tells numbers for the vendor and the device, browsers often no more than vendor and architecture.
 */
function nameOf({ device, description, vendor, architecture }: GPUAdapterInfo): string {
  const name = /\D/.test(device)
    ? device
    : description || `${vendor} ${architecture}`.trim() || 'WebGPU device'
  return printable(description && !description.startsWith(name) ? `${name} (${description})` : name)
}

/**
 * Opens the default device of this runtime, or wraps the caller's.
 *
 * @throws NoAdapterError where there is none, with what was tried and what helps
 * @throws UsageError naming an option that doesn't exist or has a wrong value
 *
 * @example
 * ```ts
 * import { openGpu } from 'flowseg/engine'
 *
 * const gpu = await openGpu({ without: ['shader-f16'] })
 * console.log(`${gpu.name}, ${gpu.runtime}`)
 * console.log(gpu.features.f16) // false
 * gpu.close()
 * ```
 */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  return Gpu.open(options)
}
