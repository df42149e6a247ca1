// Runs a problem of a kernel family by itself: on tensors of its own, filled with noise, by one variant or another.
//
// A family's problem is a plain object with tensors somewhere in it. So a problem that came up in a model
// is rebuilt without knowing its family: each tensor is replaced by a resident one of the same shape and type. Weights
// take the layout that is asked for, rows or packed, with the same values in both, and so may be compared.

import { entryOf, expectDefined } from '../check.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { type Param, recordWith, type Storage } from '../gpu/recorder.ts'
import { Uploader } from '../gpu/transfer.ts'
import { uploadPacked, type WeightLayout } from '../kernels/packed.ts'
import type { FamilyWeight, Variant } from '../kernels/variants.ts'
import { type Plan, plan } from '../tensor/plan.ts'
import { allocate, type DType, release, storagesOf, type Tensor } from '../tensor/tensor.ts'

/** A problem that stands alone. */
export interface StandaloneProblem<P> {
  /** The problem with tensors of its own in place of the plan's; weights may stay those of the model. */
  readonly problem: P
  /** The tensors that its variants read or write. */
  readonly tensors: readonly Tensor[]
  /** Those of them that come into being by it: whatever they hold before must not matter. */
  readonly fresh: ReadonlySet<Tensor>
  /** Frees the tensors that were allocated for it; others stay. */
  readonly release: () => void
}

/** Elements of noise before it repeats: a prime, so that what a kernel reads in a wrong place differs. */
const NOISE = 65_521

/**
 * @param weights those that take the layout; they get values of their own, the same in both layouts
 * @param layout  rows or packed weights; undefined: as they are
 * @throws OutOfMemoryError, LimitError
 */
export async function rebuild<P>(
  gpu: Gpu,
  problem: P,
  weights: readonly FamilyWeight[] = [],
  layout?: WeightLayout,
): Promise<StandaloneProblem<P>> {
  const runsOf = new Map(weights.map(({ tensor, runs = 1 }) => [tensor.storage, runs]))
  const replacements = new Map<Storage, Tensor>()
  const owned: Tensor[] = []
  const options = { label: 'trial', owner: 'tuner' }

  const make = async (x: Tensor, seed: number): Promise<Tensor> => {
    const { shape, dtype } = x
    const isPacked = runsOf.has(x.storage)
      ? (layout ?? (x.packed ? 'packed' : 'rows')) === 'packed'
      : x.packed
    // A weight that is there serves as it is, unless its layout may change
    if (x.storage.kind === 'resident' && !x.packed && !runsOf.has(x.storage)) return x
    const data = noise(dtype, x.size, seed)
    let y: Tensor
    if (isPacked) {
      y = await uploadPacked(gpu, data, { shape, dtype, runs: runsOf.get(x.storage) ?? 1 }, options)
    } else {
      y = await allocate(gpu, shape, dtype, { ...options, sharded: x.shards !== undefined })
      await fill(gpu, y, data)
    }
    owned.push(y)
    if (!x.scales) return y
    const scales = await make(x.scales, seed + 1000)
    return { ...y, scales }
  }

  const releaseAll = (): void => {
    for (const x of owned.splice(0)) release(gpu, x)
  }
  try {
    const originals: Tensor[] = []
    mapTensors(problem, (x) => {
      originals.push(x)
      return x
    })
    for (const [i, x] of originals.entries()) {
      if (!replacements.has(x.storage)) replacements.set(x.storage, await make(x, i))
    }
    const rebuilt = mapTensors(problem, (x) => {
      const y = expectDefined(replacements.get(x.storage), 'a replacement')
      return y === x || y.shape === x.shape ? y : { ...y, shape: x.shape, size: x.size }
    })
    const fresh = [...replacements].flatMap(([{ kind }, y]) => (kind === 'intermediate' ? [y] : []))
    return {
      problem: rebuilt,
      tensors: [...replacements.values()],
      fresh: new Set(fresh),
      release: releaseAll,
    }
  } catch (error) {
    releaseAll()
    throw error
  }
}

/** A copy of plain objects and arrays, with the tensors changed. */
export function mapTensors<T>(value: T, change: (x: Tensor) => Tensor): T {
  const map = (x: unknown): unknown => {
    if (Array.isArray(x)) return x.map(map)
    if (typeof x !== 'object' || x === null || Object.getPrototypeOf(x) !== Object.prototype) return x
    if ('storage' in x && 'dtype' in x) return change(x as Tensor)
    return Object.fromEntries(Object.entries(x).map(([key, part]) => [key, map(part)]))
  }
  return map(value) as T
}

/** One variant on a rebuilt problem. */
export class Trial<P> {
  readonly #gpu: Gpu
  readonly #rebuilt: StandaloneProblem<P>
  readonly #variant: Variant<P>
  readonly #written: readonly Tensor[]
  readonly #params: Readonly<Record<string, number>>
  /** Floating-point operations of one run of the variant. */
  readonly flops: number
  #timed: { plan: Plan; repeats: number } | undefined
  /** Milliseconds that `outputs` saw. */
  #seenMs = 0

  /** @throws KernelError and ShapeError as recording the variant does */
  constructor(gpu: Gpu, rebuilt: StandaloneProblem<P>, variant: Variant<P>) {
    this.#gpu = gpu
    this.#rebuilt = rebuilt
    this.#variant = variant
    const { dispatches } = recordWith(() => variant.record(rebuilt.problem), gpu.adapter).recorder
    const written = new Set(dispatches.flatMap(({ writes }) => Object.values(writes)))
    this.#written = rebuilt.tensors.filter(({ storage }) => written.has(storage))
    const params = dispatches.flatMap(({ sizes }) => Object.values(sizes)).filter(isParam)
    this.#params = Object.fromEntries(params.map(({ param }) => [param, 1]))
    this.flops = dispatches.reduce((sum, { flops }) => sum + flops, 0)
  }

  /**
   * Computes its results, twice.
   *
   * @param seed of what its outputs hold before: other noise for another variant shows what one of them leaves as it is
   */
  async outputs(seed: number, signal?: AbortSignal): Promise<[first: TrialOutputs, second: TrialOutputs]> {
    const ready = await this.#plan(1, true, signal)
    const run = async (): Promise<TrialOutputs> => {
      for (const [i, x] of this.#written.entries()) {
        const own = this.#rebuilt.fresh.has(x) ? seed : 0
        await fill(this.#gpu, x, noise(x.dtype, x.size, -1 - i - 100 * own))
      }
      const started = performance.now()
      const { read } = await ready.run({ params: this.#params, signal })
      this.#seenMs = performance.now() - started
      return Object.values(read)
    }
    try {
      return [await run(), await run()]
    } finally {
      ready.release()
    }
  }

  /** Milliseconds of one, from a run of as many as fill `sampleMs`. The first call also compiles and warms up. */
  async time(sampleMs: number, signal?: AbortSignal): Promise<number> {
    signal?.throwIfAborted()
    if (!this.#timed) {
      this.#timed = { plan: await this.#plan(1, false, signal), repeats: 1 }
      // A long time was spent on the device; short ones are only seen by timestamps
      const once = this.#seenMs > sampleMs ? this.#seenMs : await this.#sample(signal)
      const repeats = Math.min(MOST_REPEATS, Math.round(sampleMs / Math.max(once, 1e-3)))
      if (repeats > 1) {
        this.#timed.plan.release()
        this.#timed = { plan: await this.#plan(repeats, false, signal), repeats }
      }
    }
    return this.#sample(signal)
  }

  async #sample(signal: AbortSignal | undefined): Promise<number> {
    const { plan: ready, repeats } = expectDefined(this.#timed, 'the plan to time')
    const values = { params: this.#params, signal }
    if (this.#gpu.features.timestamps) {
      const times = await ready.profile(values)
      return times.reduce((sum, ms) => sum + ms, 0) / repeats
    }
    const started = performance.now()
    await ready.run(values)
    return (performance.now() - started) / repeats
  }

  #plan(repeats: number, isRead: boolean, signal: AbortSignal | undefined): Promise<Plan> {
    const build = () => {
      for (let i = 0; i < repeats; i++) this.#variant.record(this.#rebuilt.problem)
      return isRead ? { read: Object.fromEntries(this.#written.map((x, i) => [`y${i}`, x])) } : {}
    }
    return plan(this.#gpu, 'trial', build, { signal })
  }

  /** Frees the plan that `time` made; the rebuilt problem stays its owner's. */
  release(): void {
    this.#timed?.plan.release()
    this.#timed = undefined
  }
}

/** The values that a variant computes: an array per tensor that it writes. */
export type TrialOutputs = readonly (Float32Array | Uint32Array)[]

/** Dispatches of one sample: they take at least some 10 us each on any adapter. */
const MOST_REPEATS = 100

function isParam(size: unknown): size is Param {
  return typeof size === 'object'
}

/** |a - b| / |b|, the worst of the outputs; infinite where anything isn't finite. */
export function distance(a: TrialOutputs, b: TrialOutputs): number {
  return Math.max(
    ...a.map((x, i) => {
      const y = entryOf(b, i)
      let [difference, norm] = [0, 0]
      for (let k = 0; k < x.length; k++) {
        // An element that one of them lacks makes the distance infinite
        const [own, expected] = [x[k] ?? Number.NaN, y[k] ?? Number.NaN]
        difference += (own - expected) ** 2
        norm += expected ** 2
      }
      if (difference === 0) return 0
      const error = Math.sqrt(difference / norm)
      return Number.isNaN(error) ? Infinity : error
    }),
  )
}

/** True if two runs gave the same bits. */
export function sameBits(a: TrialOutputs, b: TrialOutputs): boolean {
  const bits = (x: Float32Array | Uint32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length)
  return a.every((x, i) => {
    const y = bits(entryOf(b, i))
    return bits(x).every((word, k) => word === y[k])
  })
}

// ---------------------------------------------------------------------------------------------------------
// Noise

async function fill(gpu: Gpu, x: Tensor, data: ArrayBufferView): Promise<void> {
  const uploader = new Uploader(gpu)
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  let at = 0
  for (const { buffer, bytes: length } of storagesOf(x)) {
    await uploader.write(expectDefined(buffer, 'buffer'), 0, bytes.subarray(at, at + length))
    at += length
  }
}

/** Values of a type, in [-1, 1) where they are numbers, none of them zero; the same for the same seed. */
function noise(dtype: DType, count: number, seed: number): ArrayBufferView {
  const word = (i: number): number => {
    let h = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca77)
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
    h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
    return (h ^ (h >>> 16)) >>> 0
  }
  const f32 = (i: number): number => ((word(i) >>> 9) + 0.5) / 2 ** 22 - 1
  const word32 = new DataView(new ArrayBuffer(4))
  const bf16 = (i: number): number => {
    word32.setFloat32(0, f32(i))
    return word32.getUint16(0)
  }
  // A sign, the exponent of [0.5, 1), any fraction
  const f16 = (i: number): number => (word(i) & 0x83ff) | 0x3800
  const byType: Record<DType, () => ArrayBufferView> = {
    f32: () => repeated(new Float32Array(count), f32),
    u32: () => repeated(new Uint32Array(count), word),
    f16: () => repeated(new Uint16Array(count), f16),
    bf16: () => repeated(new Uint16Array(count), bf16),
    int8: () => repeated(new Uint8Array(count), word),
    int4: () => repeated(new Uint8Array(count / 2), word),
  }
  return byType[dtype]()
}

function repeated<T extends Float32Array | Uint32Array | Uint16Array | Uint8Array>(
  values: T,
  value: (i: number) => number,
): T {
  const period = Math.min(values.length, NOISE)
  for (let i = 0; i < period; i++) values[i] = value(i)
  for (let from = period; from < values.length; from += period) {
    values.set(values.subarray(0, Math.min(period, values.length - from)), from)
  }
  return values
}
