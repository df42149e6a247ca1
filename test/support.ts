// Shared by the tests: every adapter of this machine, running one op or network, and comparing.

import { expect, vi } from 'vitest'
import { listAdapters } from '#runtime'
import { Gpu, openGpu } from '../src/gpu/gpu.ts'
import { type Constants, type Kernel, kernel } from '../src/gpu/kernel.ts'
import type { Shader } from '../src/gpu/shader.ts'
import { type Plan, plan, type RunResult, type RunValues, type Tensors } from '../src/tensor/plan.ts'
import type { Tensor } from '../src/tensor/tensor.ts'
import { opened } from './opened.ts'
import { variable } from './runtime.ts'

// Runtimes that can't list adapters (Deno, browsers) go on with any adapter: if there is none, opening it says why, in
// the tests that need one
const listed = await listAdapters().catch(() => [])

/** Adapter names to test on: all that the engine lists, or the one in FLOWSEG_ADAPTER; '' is any. */
export function adapterNames(): string[] {
  const only = variable('FLOWSEG_ADAPTER')
  if (only) return [only]
  return listed.length > 0 ? listed : ['']
}

/** FLOWSEG_VARIANTS='matmul=registers attention=tiled': variants to take wherever they fit, so that all get tested. */
export function forcedVariants(): Record<string, string> {
  const words = variable('FLOWSEG_VARIANTS').split(' ').filter(Boolean)
  return Object.fromEntries(words.map((word) => word.split('=') as [string, string]))
}

/** Every adapter of this machine, opened once per worker. */
export function adapters(): Promise<Gpu[]> {
  return Promise.all(adapterNames().map(gpuNamed))
}

/** One adapter, for tests that need any. */
export function anyGpu(): Promise<Gpu> {
  return gpuNamed(adapterNames()[0]!)
}

/** Every adapter with each variant of these families forced in turn. */
export async function machines(
  families: readonly string[],
  variants: readonly string[],
): Promise<{ gpu: Gpu; name: string }[]> {
  const ready = adapterNames().flatMap((adapter) =>
    variants.map(async (variant) => {
      const forced = Object.fromEntries(families.map((family) => [family, variant]))
      const gpu = await openGpu({ ...(adapter ? { adapter } : {}), variants: forced })
      return { gpu, name: `${gpu.name}, ${variant}` }
    }),
  )
  return Promise.all(ready)
}

export async function gpuNamed(name: string): Promise<Gpu> {
  const before = opened.get(name)
  // A device that another file closed or lost is opened anew
  if (before && (await before).isOpen) return before
  const gpu = openGpu({ ...(name ? { adapter: name } : {}), variants: forcedVariants() })
  opened.set(name, gpu)
  return gpu
}

type HostArray = Float32Array | Uint32Array | Uint16Array
export interface HostTensor {
  readonly data: HostArray
  readonly shape: readonly number[]
  /** By default f32, u32 for a Uint32Array; a Uint16Array must say f16 or bf16. */
  readonly dtype?: 'f32' | 'u32' | 'f16' | 'bf16'
}

/** Plans a function of tensors; `run` replays it on new values. The caller releases the plan. */
export async function planOf<Name extends string, Read extends Tensors>(
  gpu: Gpu,
  inputs: Readonly<Record<Name, HostTensor>>,
  build: (tensors: Readonly<Record<Name, Tensor>>) => Read,
): Promise<{ plan: Plan; run: (values?: RunValues) => Promise<RunResult<Read>['read']> }> {
  const ready = await plan(gpu, 'test', ({ input }) => {
    const tensors = Object.entries<HostTensor>(inputs).map(
      ([name, { data, shape, dtype }]): [string, Tensor] => [
        name,
        input(name, shape, dtype ?? (data instanceof Uint32Array ? 'u32' : 'f32')),
      ],
    )
    return { read: build(Object.fromEntries(tensors) as Record<Name, Tensor>) }
  })
  const values = Object.fromEntries(
    Object.entries<HostTensor>(inputs).map(([name, { data }]) => [name, data]),
  )
  return { plan: ready, run: async (more = {}) => (await ready.run({ inputs: values, ...more })).read }
}

/** Runs a function of tensors once, twice if asked to, and checks that both runs give the same bits. */
export async function evaluate<Name extends string>(
  gpu: Gpu,
  inputs: Readonly<Record<Name, HostTensor>>,
  build: (tensors: Readonly<Record<Name, Tensor>>) => Tensor,
): Promise<Float32Array | Uint32Array> {
  const { plan: ready, run } = await planOf(gpu, inputs, (tensors) => ({ y: build(tensors) }))
  try {
    const first = (await run()).y
    const second = (await run()).y
    expectSameBits(second, first)
    return first
  } finally {
    ready.release()
  }
}

export function expectSameBits(
  actual: Float32Array | Uint32Array,
  expected: Float32Array | Uint32Array,
): void {
  const a = new Uint32Array(actual.buffer, actual.byteOffset, actual.length)
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length)
  expect(a.length).toBe(b.length)
  const at = a.findIndex((word, i) => word !== b[i])
  expect(at, `a second run differs at ${at}: ${expected[at]} then ${actual[at]}`).toBe(-1)
}

/** ‖actual - expected‖ / ‖expected‖, infinite when anything isn't finite. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    if (!Number.isFinite(actual[i])) return Number.POSITIVE_INFINITY
    difference += (actual[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm)
}

/** @param rtol bound on ‖actual - expected‖ / ‖expected‖ */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  rtol = 1e-5,
  what = '',
): void {
  const error = relativeError(actual, expected)
  expect(
    error,
    `${what} relative error ${error.toExponential(2)} over ${expected.length} values`,
  ).toBeLessThanOrEqual(rtol)
}

/**
 * Counts what is created on the device from now on, by method; command encoders, which every run needs, don't count.
 */
export function creations(gpu: Gpu): Map<string, number> {
  const counts = new Map<string, number>()
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(gpu.device)) as (keyof GPUDevice)[]
  for (const name of methods) {
    if (!name.startsWith('create') || name === 'createCommandEncoder') continue
    const create = (gpu.device[name] as (...args: unknown[]) => unknown).bind(gpu.device)
    vi.spyOn(gpu.device, name as 'createBuffer').mockImplementation(((...args: unknown[]) => {
      counts.set(name, (counts.get(name) ?? 0) + 1)
      return create(...args)
    }) as GPUDevice['createBuffer'])
  }
  return counts
}

/** Numbers in [-1, 1), the same every time (a 32-bit mix of seed and index). */
export function uniform(length: number, seed = 1, scale = 1): Float32Array {
  const values = new Float32Array(length)
  for (let i = 0; i < length; i++) {
    let h = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca77)
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d)
    h = Math.imul(h ^ (h >>> 15), 0x846ca68b)
    h ^= h >>> 16
    values[i] = scale * ((h >>> 8) / 2 ** 23 - 1)
  }
  return values
}

/** A host tensor of numbers in [-scale, scale). */
export function random(shape: readonly number[], seed = 1, scale = 1): HostTensor & { data: Float32Array } {
  return {
    data: uniform(
      shape.reduce((product, n) => product * n, 1),
      seed,
      scale,
    ),
    shape,
  }
}

/** f32 values rounded to bfloat16 (to nearest even), as bits and as the numbers they stand for. */
export function toBf16(values: Float32Array): { bits: Uint16Array; values: Float32Array } {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = Uint16Array.from(words, (w) => (w + 0x7fff + ((w >>> 16) & 1)) >>> 16)
  const wide = new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer)
  return { bits, values: wide }
}

const textShaders = new Map<string, Shader>()
/** A kernel of the engine from a text of the test's, as one from a file of that name would be. */
export function textKernel(name: string, text: string, constants: Constants = {}): Kernel {
  const key = JSON.stringify([name, text, Object.keys(constants)])
  let shader = textShaders.get(key)
  if (!shader) {
    const pieces = [{ source: `${name}.wgsl`, text, runs: [0, 1] }]
    shader = { name, conditions: [], constants: Object.keys(constants), pieces }
    textShaders.set(key, shader)
  }
  return kernel(shader, constants)
}
