// Attention equals its formula in float64 for every kind of bias, variant, way of sharing the work and size of head, on
// every adapter of this machine, bit for bit the same each time. maskBits follows spec 6.4, check 5 of section 14 included.

import { describe, expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import {
  type AttentionBias,
  type AttentionOptions,
  attention,
  maskBits,
} from '../../../src/ops/attention/attention.ts'
import { columns, param, type Tensor } from '../../../src/tensor/tensor.ts'
import { thorough } from '../../runtime.ts'
import {
  adapterNames,
  adapters,
  drawSizes,
  evaluate,
  expectClose,
  expectSameBits,
  type HostTensor,
  planOf,
  random,
  someOn,
} from '../../support.ts'

interface Sizes {
  readonly B?: number
  readonly Tq: number
  readonly Tk: number
  readonly heads: number
  readonly kvHeads?: number
  readonly d: number
}

type Host = Record<string, HostTensor & { data: Float32Array }>

/** query, key and value in [-spread, spread). */
function inputsOf({ B, Tq, Tk, heads, kvHeads = heads, d }: Sizes, spread = 1): Host {
  const batch = B === undefined ? [] : [B]
  return {
    query: random([...batch, Tq, heads * d], 1, spread),
    key: random([...batch, Tk, kvHeads * d], 2, spread),
    value: random([...batch, Tk, kvHeads * d], 3),
  }
}

/** -Infinity blocks a key; a query without keys gives 0. */
type Bias = (b: number, h: number, i: number, j: number) => number

function reference(sizes: Sizes, { query, key, value }: Host, bias: Bias = () => 0): Float64Array {
  const { B = 1, Tq, Tk, heads, kvHeads = heads, d } = sizes
  const y = new Float64Array(B * Tq * heads * d)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < Tq; i++) {
        const at = ((b * Tq + i) * heads + h) * d
        const keyAt = (j: number): number => ((b * Tk + j) * kvHeads + Math.floor((h * kvHeads) / heads)) * d
        const scores = Float64Array.from({ length: Tk }, (_, j) => {
          let sum = 0
          for (let c = 0; c < d; c++) sum += query!.data[at + c]! * key!.data[keyAt(j) + c]!
          return sum / Math.sqrt(d) + bias(b, h, i, j)
        })
        const largest = scores.reduce((a, s) => Math.max(a, s), -Infinity)
        if (largest === -Infinity) continue
        const powers = scores.map((s) => Math.exp(s - largest))
        const total = powers.reduce((a, p) => a + p, 0)
        for (let j = 0; j < Tk; j++) {
          for (let c = 0; c < d; c++) y[at + c]! += (powers[j]! / total) * value!.data[keyAt(j) + c]!
        }
      }
    }
  }
  return y
}

const named = (t: Record<string, Tensor>) => ({ query: t['query']!, key: t['key']!, value: t['value']! })

/** Every adapter under every variant, forced in turn: where a shape doesn't fit, the adapter's own choice stands in. */
const machines = await Promise.all(
  adapterNames().flatMap((name, place) =>
    ['subgroup', 'tiled', 'registers'].map(async (variant) => {
      const gpu = await openGpu({ ...(name ? { adapter: name } : {}), variants: { attention: variant } })
      return { gpu, variant, place: variant === 'tiled' || !thorough ? place : 0 }
    }),
  ),
)

for (const { gpu, variant, place } of machines) {
  const missing = variant === 'subgroup' && !gpu.features.subgroups
  describe.skipIf(missing)(`${variant} on ${gpu.name}`, () => {
    const run = (
      sizes: Sizes,
      host: Host,
      bias?: AttentionBias | ((t: Record<string, Tensor>) => AttentionBias),
    ) =>
      evaluate(gpu, host, (t) => {
        const made = typeof bias === 'function' ? bias(t) : bias
        const { heads, kvHeads = heads } = sizes
        return attention({ ...named(t), heads, kvHeads, ...(made ? { bias: made } : {}) })
      })

    test.each(someOn(place, [16, 24, 32, 64, 72, 96, 128]))(
      'attention without bias, heads of %i',
      async (d) => {
        const sizes = { Tq: 33, Tk: 45, heads: 2, d }
        const host = inputsOf(sizes)
        expectClose(await run(sizes, host), reference(sizes, host), 2e-6)
      },
    )

    test('attention without bias, awkward shapes', async () => {
      const drawn = drawSizes(3, [1, 16]).flat()
      const all: Sizes[] = [
        { Tq: 1, Tk: 1, heads: 1, d: 8 },
        { Tq: 1, Tk: 129, heads: 4, kvHeads: 1, d: 16 }, // decoding, split
        { Tq: 7, Tk: 33, heads: 3, d: 16 },
        { B: 3, Tq: 5, Tk: 37, heads: 4, kvHeads: 2, d: 16 },
        { B: 16, Tq: 64, Tk: 64, heads: 4, d: 32 }, // windows
        { Tq: 12, Tk: 4096, heads: 2, d: 16 }, // mask queries, split
        { B: 2, Tq: 3, Tk: 1031, heads: 2, d: 16 },
        { Tq: 515, Tk: 389, heads: 2, d: 32 }, // several rows a thread
        // Each size of heads is a kernel of its own, and the larger the longer to compile: three are enough, up to 64
        ...drawSizes(8, [1, 3], [1, 70], [1, 300], [1, 2], [1, 3]).map(([B, Tq, Tk, kvHeads, share], i) => {
          const d = 4 * drawn[i % drawn.length]!
          return { B: B!, Tq: Tq!, Tk: Tk!, kvHeads: kvHeads!, heads: kvHeads! * share!, d }
        }),
      ]
      for (const sizes of someOn(place, all)) {
        const host = inputsOf(sizes)
        expectClose(await run(sizes, host), reference(sizes, host), 2e-6, JSON.stringify(sizes))
      }
    })

    test('attention survives extreme scores', async () => {
      for (const Tk of [40, 300]) {
        const sizes = { Tq: 9, Tk, heads: 2, d: 16 }
        // Scores reach 1e4 either way; a few rows have their best two close to each other
        const host = inputsOf(sizes, 70)
        // f32 scores of 1e4 are off by 1e-3, which is what a weight between two near keys then is off by
        expectClose(await run(sizes, host), reference(sizes, host), 2e-3)
        // All scores the same and huge: the mean of the values, whatever the size of the scores
        for (const level of [250, -250]) {
          host['query']!.data.fill(10)
          host['key']!.data.fill(level)
          expectClose(await run(sizes, host), reference(sizes, host), 2e-6, `level ${level}`)
        }
      }
    })

    test('attention over part of a fused qkv', async () => {
      const [B, T, heads, d] = [2, 19, 2, 24]
      const C = heads * d
      const qkv = random([B, T, 3 * C + 4], 5)
      const part = (first: number): HostTensor & { data: Float32Array } => ({
        shape: [B, T, C],
        data: Float32Array.from(
          { length: B * T * C },
          (_, i) => qkv.data[Math.floor(i / C) * (3 * C + 4) + first + (i % C)]!,
        ),
      })
      const host = { query: part(4), key: part(4 + C), value: part(4 + 2 * C) }
      const y = await evaluate(gpu, { qkv }, ({ qkv: x }) =>
        attention({
          query: columns(x!, 4, C),
          key: columns(x!, 4 + C, C),
          value: columns(x!, 4 + 2 * C, C),
          heads,
        }),
      )
      expectClose(y, reference({ B, Tq: T, Tk: T, heads, d }, host), 2e-6)
    })

    test('causal attention over a cache that is larger than its used part', async () => {
      const all: (Sizes & { start: number })[] = [
        { Tq: 1, Tk: 1, heads: 2, d: 16, start: 0 },
        { Tq: 5, Tk: 64, heads: 4, kvHeads: 2, d: 24, start: 0 },
        { Tq: 40, Tk: 512, heads: 4, kvHeads: 2, d: 32, start: 331 },
        { Tq: 1, Tk: 300, heads: 8, kvHeads: 2, d: 16, start: 170 },
        { Tq: 130, Tk: 130, heads: 2, kvHeads: 1, d: 16, start: 0 },
        { Tq: 3, Tk: 70, heads: 6, kvHeads: 2, d: 16, start: 67 },
      ]
      for (const { start, ...sizes } of thorough ? all : someOn(place, all)) {
        const host = inputsOf(sizes)
        const { Tk } = sizes
        // What lies past the used part must not matter
        const used = start + sizes.Tq
        for (const name of ['key', 'value']) host[name]!.data.fill(1e6, used * (host[name]!.data.length / Tk))
        const expected = reference(sizes, host, (_b, _h, i, j) => (j <= start + i ? 0 : -Infinity))
        const { heads, kvHeads = heads } = sizes
        // The position as a parameter, as in decoding
        const made = await planOf(gpu, host, (t) => ({
          y: attention({ ...named(t), heads, kvHeads, bias: { kind: 'causal', start: param('position') } }),
        }))
        const first = (await made.run({ params: { position: start } }))['y']!
        expectClose(first, expected, 2e-6, JSON.stringify({ ...sizes, start }))
        expectSameBits((await made.run({ params: { position: start } }))['y']!, first)
        made.plan.release()
      }
    })

    test('attention over the first keys', async () => {
      for (const [Tk, length] of [
        [7, 1],
        [100, 64],
        [200, 131],
        [40, 40],
        [200, 0],
      ] as const) {
        const sizes = { Tq: 6, Tk, heads: 2, d: 16 }
        const host = inputsOf(sizes)
        const expected = reference(sizes, host, (_b, _h, _i, j) => (j < length ? 0 : -Infinity))
        expectClose(await run(sizes, host, { kind: 'length', length }), expected, 2e-6, `${length} of ${Tk}`)
      }
    })

    test('attention under a mask of bits', async () => {
      const all: [Tq: number, Tk: number][] = [
        [1, 1],
        [5, 33],
        [12, 4096],
        [20, 257],
        [150, 300],
      ]
      for (const [Tq, Tk] of thorough ? all : someOn(place, all)) {
        const sizes = { Tq, Tk, heads: 2, d: 16 }
        const host = inputsOf(sizes)
        const words = Math.ceil(Tk / 32)
        const bits = new Uint32Array(Tq * words)
        const blocked = (i: number, j: number): boolean =>
          ((bits[i * words + (j >> 5)]! >>> (j & 31)) & 1) === 1
        for (let i = 0; i < Tq; i++) {
          for (let j = 0; j < Tk; j++) {
            // Row 0: one open key. Row 1: all blocked. The others: runs of 50 keys, so that whole words are blocked
            const open = i === 0 ? j === Tk >> 1 : i === 1 ? false : (Math.floor(j / 50) + i) % 3 === 0
            if (!open) bits[i * words + (j >> 5)]! |= 1 << (j & 31)
          }
        }
        const expected = reference(sizes, host, (_b, _h, i, j) => (blocked(i, j) ? -Infinity : 0))
        const y = await evaluate(gpu, { ...host, bits: { data: bits, shape: [Tq, words] } }, (t) =>
          attention({ ...named(t), heads: 2, bias: { kind: 'mask', bits: t['bits']! } }),
        )
        expectClose(y, expected, 2e-6, `${Tq} x ${Tk}`)
        // Check 5 of the spec: with one open key the result is that key's value, exactly
        const open = (Tk >> 1) * 32
        expect(y.subarray(0, 32)).toEqual(host['value']!.data.subarray(open, open + 32))
        if (Tq > 1) expect(y.subarray(32, 64).every((v) => v === 0)).toBe(true)
      }
    })

    test('attention with relative positions', async () => {
      const all = [
        { B: 1, size: [1, 1], heads: 1, d: 16 },
        { B: 9, size: [3, 3], heads: 2, d: 16 },
        { B: 2, size: [5, 7], heads: 2, d: 24 },
        { B: 1, size: [14, 14], heads: 1, d: 64 },
        { B: 1, size: [4, 33], heads: 4, d: 32 },
        { B: 4, size: [8, 8], heads: 4, d: 32 },
        { B: 1, size: [3, 37], heads: 1, d: 72 },
      ] as const
      for (const { B, size, heads, d } of someOn(place, all)) {
        const [H, W] = size
        const T = H * W
        const sizes = { B, Tq: T, Tk: T, heads, d }
        const host = inputsOf(sizes)
        const [height, width] = [random([2 * H - 1, d], 7), random([2 * W - 1, d], 8)]
        const product = (b: number, h: number, i: number, table: Float32Array, row: number): number => {
          let sum = 0
          for (let c = 0; c < d; c++) {
            sum += host['query']!.data[((b * T + i) * heads + h) * d + c]! * table[row * d + c]!
          }
          return sum
        }
        const expected = reference(sizes, host, (b, h, i, j) => {
          const [y, x] = [Math.floor(i / W) - Math.floor(j / W), (i % W) - (j % W)]
          return product(b, h, i, height.data, y + H - 1) + product(b, h, i, width.data, x + W - 1)
        })
        const y = await run(sizes, { ...host, height, width }, (t) => ({
          kind: 'relative',
          height: t['height']!,
          width: t['width']!,
          size: [H, W],
        }))
        expectClose(y, expected, 2e-6, JSON.stringify({ B, size, heads, d }))
      }
    })

    test('maskBits blocks what is below 0, and opens a row that would be blocked everywhere', async () => {
      for (const [Q, T] of [
        [1, 1],
        [3, 31],
        [4, 32],
        [12, 4096],
        [5, 1000],
      ] as const) {
        const logits = random([Q, T], 4)
        for (let t = 0; t < T; t++) {
          logits.data[t] = -1 // everywhere blocked
          if (Q > 1) logits.data[T + t] = t === T - 1 ? 0 : -1 // one open: 0 is not below 0
        }
        const words = Math.ceil(T / 32)
        const bits = await evaluate(gpu, { logits }, (t) => maskBits(t['logits']!))
        expect(bits.length).toBe(Q * words)
        for (let q = 0; q < Q; q++) {
          const row = logits.data.subarray(q * T, (q + 1) * T)
          const opened = row.every((v) => v < 0)
          const found = Array.from(row, (_, t) => ((bits[q * words + (t >> 5)]! >>> (t & 31)) & 1) === 1)
          expect(found).toEqual(Array.from(row, (v) => !opened && v < 0))
        }
        // Check 5: through attention, the first row sees everything, the second its one key
        const sizes = { Tq: Q, Tk: T, heads: 1, d: 16 }
        const host = inputsOf(sizes)
        const y = await evaluate(gpu, { ...host, logits }, (t) =>
          attention({ ...named(t), heads: 1, bias: { kind: 'mask', bits: maskBits(t['logits']!) } }),
        )
        expectClose(y.subarray(0, 16), reference(sizes, host).subarray(0, 16), 2e-6, 'opened row')
        if (Q > 1) expect(y.subarray(16, 32)).toEqual(host['value']!.data.subarray((T - 1) * 16))
      }
    })
  })
}

describe('shapes that do not fit', () => {
  const wrong = async (host: Host, options: (t: Record<string, Tensor>) => Partial<AttentionOptions>) => {
    const [gpu] = await adapters()
    const build = planOf(gpu!, host, (t) => ({ y: attention({ ...named(t), heads: 2, ...options(t) }) }))
    await expect(build).rejects.toThrow(ShapeError)
  }
  const host = inputsOf({ Tq: 4, Tk: 40, heads: 2, d: 16 })

  test('are refused', async () => {
    await wrong(host, () => ({ heads: 3 }))
    await wrong(host, () => ({ heads: 16 })) // heads of 2
    await wrong(host, () => ({ kvHeads: 1 })) // key has two heads
    await wrong(host, (t) => ({ key: columns(t['key']!, 2, 30) }))
    await wrong(host, (t) => ({ query: columns(t['key']!, 1, 16), heads: 1 }))
    await wrong({ ...host, value: random([41, 32]) }, () => ({}))
    await wrong({ ...host, key: random([1, 40, 32]) }, () => ({}))
    await wrong({ ...host, bits: random([4, 2]) }, (t) => ({ bias: { kind: 'mask', bits: t['bits']! } }))
    const size = [2, 20] as const
    await wrong({ ...host, table: random([3, 16]) }, (t) => ({
      bias: { kind: 'relative', height: t['table']!, width: t['table']!, size },
    }))
  })
})
