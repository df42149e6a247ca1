// Does this adapter compute right? The three kernels that everything rests on, against plain loops in float64,
// at sizes that end in the middle of a tile; each twice, as the same input must give the same bits.

import type { Gpu } from '../gpu/gpu.ts'
import { attention } from '../ops/attention/attention.ts'
import { conv2d } from '../ops/conv/conv.ts'
import { matmul } from '../ops/matmul/matmul.ts'
import { plan, type Tensor } from '../tensor/tensor.ts'

export interface Verdict {
  readonly name: string
  /** |y - reference| / |reference| */
  readonly error: number
  /** Undefined when all is well. */
  readonly fault?: string
}

interface Host {
  readonly data: Float32Array
  readonly shape: readonly number[]
}

interface Trial {
  readonly name: string
  readonly inputs: Readonly<Record<string, Host>>
  readonly build: (x: Readonly<Record<string, Tensor>>) => Tensor
  readonly reference: Float64Array
}

/** Sums of up to 400 products in f32: the order of adding differs, no more. */
const TOLERANCE = 2e-6

export async function selfTest(gpu: Gpu, signal: AbortSignal): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  for (const trial of [matmulTrial(), attentionTrial(), convTrial()]) {
    signal.throwIfAborted()
    verdicts.push(await judge(gpu, trial, signal))
  }
  return verdicts
}

/** GFLOP/s of a matmul. */
export async function measureSpeed(gpu: Gpu, signal: AbortSignal): Promise<number> {
  const size = 512
  const [a, b] = [noise([size, size], 1), noise([size, size], 2)]
  const made = await planOf(gpu, { a, b }, (x) => matmul(x['a']!, x['b']!, { transposeB: true }))
  try {
    const inputs = { a: a.data, b: b.data }
    await made.run({ inputs, signal })
    const started = performance.now()
    let runs = 0
    do {
      await made.run({ inputs, signal })
      runs++
    } while (performance.now() - started < 400)
    return (2 * size ** 3 * runs) / ((performance.now() - started) * 1e6)
  } finally {
    made.release()
  }
}

async function judge(
  gpu: Gpu,
  { name, inputs, build, reference }: Trial,
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    const made = await planOf(gpu, inputs, build)
    try {
      const values = Object.fromEntries(Object.entries(inputs).map(([key, { data }]) => [key, data]))
      const first = (await made.run({ inputs: values, signal })).read['y'] as Float32Array
      const second = (await made.run({ inputs: values, signal })).read['y'] as Float32Array
      const error = relativeError(first, reference)
      if (!(error <= TOLERANCE)) return { name, error, fault: `relative error ${error.toExponential(1)}` }
      const isSame = first.every((value, i) => Object.is(value, second[i]))
      return isSame ? { name, error } : { name, error, fault: 'a second run gives other bits' }
    } finally {
      made.release()
    }
  } catch (error) {
    signal.throwIfAborted()
    return { name, error: Number.NaN, fault: error instanceof Error ? error.message : String(error) }
  }
}

function planOf(
  gpu: Gpu,
  inputs: Readonly<Record<string, Host>>,
  build: (x: Readonly<Record<string, Tensor>>) => Tensor,
): ReturnType<typeof plan> {
  return plan(gpu, 'self-test', (from) => {
    const x = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => [name, from.input(name, shape)]),
    )
    return { read: { y: build(x) } }
  })
}

// ---------------------------------------------------------------------------------------------------------
// Trials

/** y[m, n] = sum_k a[m, k] b[n, k] */
function matmulTrial(): Trial {
  const [M, N, K] = [131, 77, 199]
  const [a, b] = [noise([M, K], 3), noise([N, K], 4)]
  const reference = new Float64Array(M * N)
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < K; k++) reference[m * N + n]! += a.data[m * K + k]! * b.data[n * K + k]!
    }
  }
  const build: Trial['build'] = (x) => matmul(x['a']!, x['b']!, { transposeB: true })
  return { name: 'matmul', inputs: { a, b }, build, reference }
}

/** softmax(q k^T / sqrt(d)) v, two heads of 32 channels side by side */
function attentionTrial(): Trial {
  const [T, S, heads, d] = [37, 75, 2, 32]
  const C = heads * d
  const [query, key, value] = [noise([T, C], 5, 2), noise([S, C], 6, 2), noise([S, C], 7)]
  const reference = new Float64Array(T * C)
  for (let h = 0; h < heads; h++) {
    for (let t = 0; t < T; t++) {
      const scores = Array.from({ length: S }, (_, s) => {
        let dot = 0
        for (let c = h * d; c < (h + 1) * d; c++) dot += query.data[t * C + c]! * key.data[s * C + c]!
        return dot / Math.sqrt(d)
      })
      const top = Math.max(...scores)
      const weights = scores.map((score) => Math.exp(score - top))
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      for (let c = h * d; c < (h + 1) * d; c++) {
        weights.forEach((weight, s) => {
          reference[t * C + c]! += (weight / total) * value.data[s * C + c]!
        })
      }
    }
  }
  const build: Trial['build'] = (x) =>
    attention({ query: x['query']!, key: x['key']!, value: x['value']!, heads })
  return { name: 'attention', inputs: { query, key, value }, build, reference }
}

/** 3 x 3, padded by one; x [H, W, I], weight [O, 3, 3, I] */
function convTrial(): Trial {
  const [H, W, I, O] = [19, 23, 12, 17]
  const [x, weight] = [noise([H, W, I], 8), noise([O, 3, 3, I], 9)]
  const reference = new Float64Array(H * W * O)
  for (let row = 0; row < H; row++) {
    for (let column = 0; column < W; column++) {
      for (let o = 0; o < O; o++) {
        let sum = 0
        for (let tap = 0; tap < 9; tap++) {
          const [v, u] = [row + Math.floor(tap / 3) - 1, column + (tap % 3) - 1]
          if (v < 0 || u < 0 || v >= H || u >= W) continue
          for (let i = 0; i < I; i++)
            sum += x.data[(v * W + u) * I + i]! * weight.data[(o * 9 + tap) * I + i]!
        }
        reference[(row * W + column) * O + o] = sum
      }
    }
  }
  const build: Trial['build'] = (t) => conv2d(t['x']!, t['weight']!, { padding: 1 })
  return { name: 'conv 3 x 3', inputs: { x, weight }, build, reference }
}

/** Numbers in [-scale, scale), the same every time. */
function noise(shape: readonly number[], seed: number, scale = 1): Host {
  let state = Math.imul(seed, 0x9e3779b1)
  const data = new Float32Array(shape.reduce((product, n) => product * n, 1)).map(() => {
    // Knuth's MMIX generator would need 64 bits; this one (Numerical Recipes) has 32
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (scale * state) / 2 ** 31
  })
  return { data, shape }
}

function relativeError(actual: Float32Array, expected: Float64Array): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  return Math.sqrt(difference / norm)
}
