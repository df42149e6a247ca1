// A plan: a recorded list of dispatches, made ready once and replayed as often as needed.
//
// Making it ready lays intermediates out in slots, compiles kernels side by side, writes every dispatch's
// sizes into one arena and creates the bind groups. Running it encodes and submits, nothing else: no GPU
// object is made unless a different resident tensor is bound than last time, or the caller wants outputs in
// buffers of their own. A run is cut into several submissions by estimated time, so that no watchdog bites and
// an AbortSignal is honoured in between.

import { breathe } from '../../breathe.ts'
import { entryOf, expectDefined } from '../../check.ts'
import { KernelError, LimitError, OutOfMemoryError, UsageError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import type { TaskOptions } from '../../progress.ts'
import type { Gpu } from '../gpu.ts'
import { type Pipeline, SIZES_SLOT_BYTES } from '../kernel.ts'
import { type BufferRequest, formatBytes, roundUp } from '../memory.ts'
import type { Storage } from '../recorder.ts'
import { readBack } from '../transfer.ts'
import { Arena } from './arena.ts'
import { infoOf, type PlanInfo } from './info.ts'
import { SUBMIT_SECONDS } from './schedule.ts'
import { type PlanSpec, type RecordedStep, residentsOf, stepsOf } from './steps.ts'
import { timeEach } from './timer.ts'

export type { DispatchInfo, PlanInfo } from './info.ts'
export type { PlanSpec } from './steps.ts'

/** The values of a run, as bytes and buffers. */
export interface RunInputs {
  /** A whole number of words for each input: what plan() checked. */
  readonly inputs?: Readonly<Record<string, Uint8Array>>
  /** Buffers of the tensors that each run binds, by name. They stay the caller's. */
  readonly bound?: Readonly<Record<string, GPUBuffer>>
  /** Values of the sizes that each run sets, by the name given to `param`. */
  readonly params?: Readonly<Record<string, number>>
  /** Buffers for kept outputs, from an earlier run; what isn't named gets a fresh one. */
  readonly into?: Readonly<Record<string, GPUBuffer>>
  /** Owner of the kept outputs on the memory ledger. */
  readonly keepOwner?: string
}

/** The outputs of a run, by name: bytes of those that are read back, buffers of those that are kept. */
export interface RunOutputs {
  /** Copies of the outputs in host memory, by name. */
  readonly read: ReadonlyMap<string, ArrayBuffer>
  /** Buffers by name, the caller's to release unless the run got them through `into`. */
  readonly kept: ReadonlyMap<string, GPUBuffer>
}

interface Step extends RecordedStep {
  readonly pipeline: Pipeline
  bindGroup: GPUBindGroup | undefined
}

/** The outputs of a run, and which of them are new. */
interface Kept {
  readonly all: ReadonlyMap<string, GPUBuffer>
  readonly fresh: readonly GPUBuffer[]
}

const EMPTY_BYTES = 16

/**
 * Dispatches of a long run's first submission, which the device begins with while we encode the others. On SwiftShader
 * it takes nano's segment plan from 8 to 4 % above the sum of its kernels; on lavapipe, whose kernels leave no core
 * free to encode on, nothing changes (November 2026).
 */
const HEAD_START = 16

/**
 * A recording on the device: kernels compiled, memory laid out, sizes in place. It runs as often as it is asked,
 * once at a time.
 */
export class GpuPlan {
  /** The cost of a run, counted once when the plan was made. */
  readonly info: PlanInfo
  readonly #gpu: Gpu
  readonly #spec: PlanSpec
  readonly #steps: readonly Step[]
  readonly #buffers: Map<Storage, GPUBuffer>
  readonly #own: readonly GPUBuffer[]
  readonly #empty: GPUBuffer
  readonly #arena: Arena
  readonly #sizes: GPUBuffer
  /** Bound tensors that it writes. */
  readonly #changed: readonly Storage[]
  /** Tensors that outlive the plan. */
  readonly #residents: readonly Storage[]
  readonly #readback: { buffer: GPUBuffer; offsets: ReadonlyMap<string, number>; bytes: number } | undefined
  /** Every step has its bind group. */
  #bound = false
  #running = false
  #released = false

  private constructor(fields: {
    gpu: Gpu
    spec: PlanSpec
    info: PlanInfo
    steps: readonly Step[]
    buffers: Map<Storage, GPUBuffer>
    own: readonly GPUBuffer[]
    empty: GPUBuffer
    sizes: GPUBuffer
    readback: { buffer: GPUBuffer; offsets: ReadonlyMap<string, number>; bytes: number } | undefined
  }) {
    this.#gpu = fields.gpu
    this.#spec = fields.spec
    this.info = fields.info
    this.#steps = fields.steps
    this.#buffers = fields.buffers
    this.#own = fields.own
    this.#empty = fields.empty
    this.#arena = new Arena(fields.spec.name, fields.steps, fields.spec.recorder.params)
    this.#sizes = fields.sizes
    this.#residents = residentsOf(fields.spec)
    const written = new Set(fields.spec.recorder.dispatches.flatMap(({ writes }) => Object.values(writes)))
    this.#changed = [...written].filter(({ kind }) => kind === 'bound')
    this.#readback = fields.readback
  }

  /** Lays out, compiles and allocates. Nothing stays behind when it fails or is aborted. */
  static async create(gpu: Gpu, spec: PlanSpec, options: TaskOptions = {}): Promise<GpuPlan> {
    await gpu.check()
    const { recorder } = spec

    // 1. Steps
    const kept = new Set(spec.keep.values())
    const { layout, steps } = await stepsOf(gpu, spec, options.signal)

    // 2. Memory: what it will take is known before anything is allocated
    const owner = `plan ${spec.name}`
    const requests: (BufferRequest & { storages: readonly Storage[] })[] = []
    const ask = (
      label: string,
      bytes: number,
      usage: GPUBufferUsageFlags,
      storages: readonly Storage[] = [],
    ) => requests.push({ label: `${owner}: ${label}`, bytes, usage, owner, storages })
    const { STORAGE, COPY_DST, COPY_SRC, UNIFORM, MAP_READ } = GPUBufferUsage
    for (const [slot, bytes] of layout.slots.entries()) {
      ask(`slot ${slot}`, bytes, STORAGE, layout.tenantsOf.get(slot))
    }
    for (const [name, storage] of recorder.inputs)
      ask(name, storage.bytes, STORAGE | COPY_DST | COPY_SRC, [storage])
    for (const [name, storage] of spec.read) {
      const owned = storage.kind === 'intermediate' && !kept.has(storage)
      if (owned && !requests.some((r) => r.storages.includes(storage))) {
        ask(name, storage.bytes, STORAGE | COPY_SRC, [storage])
      }
    }
    const emptyIndex = ask('no tensor', EMPTY_BYTES, STORAGE) - 1
    const sizesIndex = ask('sizes', Arena.bytesFor(steps.length), UNIFORM | COPY_DST) - 1
    const offsets = new Map<string, number>()
    let readBytes = 0
    for (const [name, storage] of spec.read) {
      offsets.set(name, readBytes)
      readBytes += roundUp(storage.bytes, 16)
    }
    const readIndex = readBytes > 0 ? ask('readback', readBytes, MAP_READ | COPY_DST) - 1 : -1

    // 3. Compile and allocate
    options.signal?.throwIfAborted()
    const pipelines = await gpu.kernels.compile(
      steps.map((s) => s.kernel),
      options,
    )
    const own = await gpu.buffers.allocate(requests).catch((error: unknown) => {
      if (!(error instanceof OutOfMemoryError) && !(error instanceof LimitError)) throw error
      const tenants = layout.tenants.map(({ label, bytes }) => `${label} ${formatBytes(bytes)}`).join('; ')
      const Same = error instanceof LimitError ? LimitError : OutOfMemoryError
      throw new Same(`${error.message} Largest tensors of plan ${spec.name}: ${tenants || 'none'}.`, {
        cause: error,
      })
    })
    const buffers = new Map<Storage, GPUBuffer>()
    requests.forEach(({ storages }, i) =>
      storages.forEach((storage) => buffers.set(storage, entryOf(own, i))),
    )

    // Nobody gives up here: the buffers would be left
    await breathe()
    const ownBytes = requests.reduce((sum, r) => sum + roundUp(Math.max(r.bytes, 4), 4), 0)
    const info = infoOf(spec, steps, layout, ownBytes)
    const ready = steps.map((s, i): Step => ({ ...s, pipeline: entryOf(pipelines, i), bindGroup: undefined }))
    await breathe()
    const readback =
      readBytes > 0 ? { buffer: entryOf(own, readIndex), offsets, bytes: readBytes } : undefined
    return new GpuPlan({
      gpu,
      spec,
      info,
      steps: ready,
      buffers,
      own,
      empty: entryOf(own, emptyIndex),
      sizes: entryOf(own, sizesIndex),
      readback,
    })
  }

  /** Compiles the kernels of such a plan, so that making it later waits for none. Takes no memory. */
  static async precompile(gpu: Gpu, spec: PlanSpec, options: TaskOptions = {}): Promise<void> {
    const { steps } = await stepsOf(gpu, spec, options.signal)
    await gpu.kernels.compile(
      steps.map((s) => s.kernel),
      options,
    )
  }

  /** Uploads inputs, submits, reads outputs back. One run at a time. */
  async run(values: RunInputs = {}, options: TaskOptions = {}): Promise<RunOutputs> {
    return this.#exclusively(values.inputs, async () => {
      const kept = await this.#bind(values)
      try {
        const started = performance.now()
        const cost = await this.#submit(options)
        const read = await this.#read()
        // Only now is all of it done: submitting returns at once
        this.#gpu.rate.learn(cost, (performance.now() - started) / 1000)
        await this.#gpu.check()
        return { read, kept: kept.all }
      } catch (error) {
        for (const buffer of kept.fresh) this.#gpu.buffers.release(buffer)
        throw error
      }
    })
  }

  /** Runs once with a timestamp around every dispatch. @returns milliseconds by dispatch, NaN if missing */
  async profile(values: RunInputs = {}): Promise<number[]> {
    if (!this.#gpu.features.timestamps) {
      throw new LimitError(`${this.#gpu.name} has no timestamp-query: profile on another adapter.`)
    }
    return this.#exclusively(values.inputs, async () => {
      const kept = await this.#bind(values)
      try {
        return await timeEach(this.#gpu, this.#steps)
      } finally {
        for (const buffer of kept.fresh) this.#gpu.buffers.release(buffer)
      }
    })
  }

  /** Frees everything the plan owns. Kept outputs are the caller's. */
  release(): void {
    this.#released = true
    for (const buffer of this.#own) this.#gpu.buffers.release(buffer)
  }

  /** The caller may change its arrays as soon as it has the promise: inputs are read before anything is awaited. */
  async #exclusively<T>(inputs: RunInputs['inputs'], work: () => Promise<T>): Promise<T> {
    const name = printable(this.#spec.name)
    if (this.#released) throw new UsageError(`Plan ${name} was released: build another with plan().`)
    if (this.#running) throw new UsageError(`Plan ${name} is running already: await the first run.`)
    this.#running = true
    try {
      if (this.#gpu.isOpen) {
        for (const [input, storage] of this.#spec.recorder.inputs) {
          this.#gpu.device.queue.writeBuffer(
            expectDefined(this.#buffers.get(storage), 'buffers'),
            0,
            expectDefined(inputs?.[input], 'an input') as Uint8Array<ArrayBuffer>,
          )
        }
      }
      await this.#gpu.check()
      return await work()
    } finally {
      this.#running = false
    }
  }

  /**
   * Hands this run its residents and sizes. All that can fail comes before anything is changed: a bind
   * group must never be older than the buffers we believe it has.
   *
   * @returns buffers for the kept outputs; fresh ones are the caller's to release
   */
  async #bind(values: RunInputs): Promise<Kept> {
    const { recorder, name } = this.#spec
    const { queue } = this.#gpu.device

    // 1. What is missing or doesn't fit
    for (const storage of this.#residents)
      this.#expectAlive(storage.label, expectDefined(storage.buffer ?? storage.texture, 'its memory'))
    const homes = new Map<Storage, GPUBuffer>()
    for (const [label, storage] of recorder.bound) {
      const buffer = values.bound?.[label]
      if (!buffer) {
        throw new UsageError(
          `Plan ${printable(name)}: bound tensor '${printable(label)}' is missing from the run. Pass it in \`bound\`.`,
        )
      }
      this.#expectAlive(label, buffer)
      homes.set(storage, buffer)
    }
    for (const storage of this.#changed) {
      const others = [...homes].filter(
        ([other, buffer]) => other !== storage && buffer === homes.get(storage),
      )
      const residents = this.#residents.filter(({ buffer }) => buffer === homes.get(storage))
      const [twin] = [...others.map(([other]) => other), ...residents]
      if (!twin) continue
      throw new UsageError(
        `Plan ${printable(name)}: '${printable(storage.label)}', which the plan writes, and '${printable(twin.label)}' are one ` +
          'tensor. Bind another, or a copy.',
      )
    }
    this.#arena.set(values.params ?? {})

    // 2. Homes of kept outputs
    const kept = await this.#homes(values)
    for (const [name, storage] of this.#spec.keep)
      homes.set(storage, expectDefined(kept.all.get(name), 'all'))

    // 3. Bind groups for the steps that touch another buffer than last time
    const changed = new Set<Storage>()
    for (const [storage, buffer] of homes) {
      if (this.#buffers.get(storage) !== buffer) changed.add(storage)
      this.#buffers.set(storage, buffer)
    }
    this.#arena.upload(queue, this.#sizes)
    if (this.#bound && changed.size === 0) return kept
    for (const step of this.#steps) {
      if (!step.bindGroup || step.external.some((storage) => changed.has(storage))) {
        step.bindGroup = this.#makeBindGroup(step)
      }
    }
    this.#bound = true
    return kept
  }

  /** The buffers of kept outputs: those that the run names, else fresh ones. */
  async #homes({ into = {}, bound = {}, keepOwner }: RunInputs): Promise<Kept> {
    const { keep, name: plan } = this.#spec
    const all = new Map<string, GPUBuffer>()
    const taken = new Set(Object.values(bound))
    for (const [name, buffer] of Object.entries(into)) {
      this.#expectAlive(name, buffer)
      if (taken.has(buffer)) {
        throw new UsageError(
          `Plan ${printable(plan)}: the buffer for '${printable(name)}' has another part in this run.`,
        )
      }
      taken.add(buffer)
      all.set(name, buffer)
    }
    const wanted = [...keep].filter(([name]) => !all.has(name))
    if (wanted.length === 0) return { all, fresh: [] }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
    const owner = keepOwner ?? `outputs of ${plan}`
    const fresh = await this.#gpu.buffers.allocate(
      wanted.map(([name, { bytes }]) => ({ label: `${plan}: ${name}`, bytes, usage, owner })),
    )
    wanted.forEach(([name], i) => all.set(name, entryOf(fresh, i)))
    return { all, fresh }
  }

  /** WebGPU tells of a destroyed buffer, or of another device's, only when all is submitted. */
  #expectAlive(label: string, resource: GPUBuffer | GPUTexture): void {
    if (this.#gpu.buffers.has(resource)) return
    throw new UsageError(
      `Plan ${printable(this.#spec.name)}: the tensor '${printable(label)}' was released, or is of another Gpu.`,
    )
  }

  #makeBindGroup(step: Step): GPUBindGroup {
    const { dispatch, kernel, pipeline, slot } = step
    const inPlace = kernel !== dispatch.kernel
    const entries = kernel.bindings.map(({ name, index, access }): GPUBindGroupEntry => {
      if (access === 'uniform') {
        return {
          binding: index,
          resource: { buffer: this.#sizes, offset: slot * SIZES_SLOT_BYTES, size: 64 },
        }
      }
      const storage = access === 'read_write' ? dispatch.writes[name] : dispatch.reads[name]
      if (access === 'texture') {
        if (!storage?.texture) throw new KernelError(`Kernel ${kernel.name}: '${name}' is not a texture.`)
        return { binding: index, resource: storage.texture.createView() }
      }
      const spared = inPlace && dispatch.inPlace?.read === name
      if (!storage || spared) return { binding: index, resource: { buffer: this.#empty } }
      const buffer = storage.buffer ?? this.#buffers.get(storage)
      if (!buffer)
        throw new KernelError(`Kernel ${kernel.name}: '${name}' is read before anything writes it.`)
      const size = roundUp(Math.max(storage.bytes, 4), 4)
      return { binding: index, resource: { buffer, offset: storage.offset ?? 0, size } }
    })
    return this.#gpu.device.createBindGroup({ label: kernel.name, layout: pipeline.layout, entries })
  }

  /** @returns the cost of what was submitted; it is done when the queue is idle or the readback is mapped */
  async #submit({ signal, onProgress }: TaskOptions): Promise<number> {
    const { device, rate } = this.#gpu
    const steps = this.#steps
    const budget = rate.flopsPerSecond * SUBMIT_SECONDS
    let next = 0
    let doneCost = 0
    let doneFlops = 0
    do {
      signal?.throwIfAborted()
      // Closed or lost meanwhile: what we would submit is gone
      if (next > 0) await this.#gpu.check()
      const isHead = next === 0 && steps.length > 2 * HEAD_START
      const end = isHead ? HEAD_START : steps.length
      const encoder = device.createCommandEncoder({ label: this.#spec.name })
      const pass = encoder.beginComputePass()
      let cost = 0
      let current: GPUComputePipeline | undefined
      // No closure, spread or object in here: a dispatch leaves nothing to collect
      for (; next < end; next++) {
        const step = entryOf(steps, next)
        const { grid, pipeline } = step
        if (cost > 0 && cost + step.flops + step.bytes > budget) break
        if (pipeline.pipeline !== current) pass.setPipeline(pipeline.pipeline)
        current = pipeline.pipeline
        pass.setBindGroup(0, step.bindGroup)
        pass.dispatchWorkgroups(grid[0], grid[1], grid[2])
        // FLOPs, with a byte counted as one: the small kernels between matmuls are not free either
        cost += step.flops + step.bytes
        doneFlops += step.flops
      }
      pass.end()
      if (next === steps.length) this.#copyOutputs(encoder)
      device.queue.submit([encoder.finish()])
      doneCost += cost
      if (isHead && next === end) continue
      // Between submissions we wait, so that an abort is honoured soon and progress is real
      if (next < steps.length || onProgress) await this.#gpu.idle()
      onProgress?.({ phase: 'run', what: this.#spec.name, loaded: doneFlops, total: this.info.flops })
    } while (next < steps.length)
    if (!this.#readback) await this.#gpu.idle()
    return doneCost
  }

  #copyOutputs(encoder: GPUCommandEncoder): void {
    if (!this.#readback) return
    for (const [name, storage] of this.#spec.read) {
      const source = storage.buffer ?? expectDefined(this.#buffers.get(storage), 'buffers')
      const bytes = roundUp(storage.bytes, 4)
      encoder.copyBufferToBuffer(
        source,
        storage.offset ?? 0,
        this.#readback.buffer,
        expectDefined(this.#readback.offsets.get(name), 'offsets'),
        bytes,
      )
    }
  }

  async #read(): Promise<Map<string, ArrayBuffer>> {
    const outputs = new Map<string, ArrayBuffer>()
    if (!this.#readback) return outputs
    const all = await readBack(this.#gpu, this.#readback.buffer, this.#readback.bytes)
    for (const [name, storage] of this.#spec.read) {
      const offset = expectDefined(this.#readback.offsets.get(name), 'offsets')
      outputs.set(name, all.slice(offset, offset + storage.bytes))
    }
    return outputs
  }
}
