// Attention equals its formula in float64 for every kind of bias, variant, way of sharing the work and size of head, on
// every adapter of this machine, bit for bit the same each time. maskBits follows spec 6.4, check 5 of section 14
// included.

import { describe, expect, test } from 'vitest'
import { ShapeError } from '../../../src/errors.ts'
import { openGpu } from '../../../src/gpu/gpu.ts'
import {
  type AttentionBias,
  type AttentionOptions,
  attention,
  maskBits,
} from '../../../src/ops/attention/attention.ts'
import { KERNEL_TESTS } from '../../../src/selftest/cases/all.ts'
import { attentionReference } from '../../../src/selftest/references/attention.ts'
import { columns, type Tensor } from '../../../src/tensor/tensor.ts'
import { expectRight } from '../../selftest/right.ts'
import {
  adapterNames,
  adapters,
  evaluate,
  expectClose,
  type HostTensor,
  planOf,
  random,
} from '../../support.ts'

/** Each kind of bias is an op of its own in a self-test. */
const KINDS = KERNEL_TESTS.attention
  .map(({ name }) => name)
  .filter((name) => /^(attention|maskBits)/.test(name))

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

const named = (t: Record<string, Tensor>) => ({ query: t['query']!, key: t['key']!, value: t['value']! })

/** Softmax of scaled dot products in float64, of tensors of the host. */
const reference = (sizes: Sizes, { query, key, value }: Host): Float64Array =>
  attentionReference(sizes, { query: query!.data, key: key!.data, value: value!.data })

for (const gpu of await adapters()) {
  test(`attention of every kind of bias by every variant, and maskBits, on ${gpu.name}`, async () => {
    await expectRight(gpu, { ops: KINDS, count: 3 })
  })
}

/** Every adapter under every variant, forced in turn: where a shape doesn't fit, the adapter's own choice stands in. */
const machines = await Promise.all(
  adapterNames().flatMap((name) =>
    ['subgroup', 'tiled', 'registers'].map(async (variant) => {
      const gpu = await openGpu({ ...(name ? { adapter: name } : {}), variants: { attention: variant } })
      return { gpu, variant }
    }),
  ),
)

for (const { gpu, variant } of machines) {
  const missing = variant === 'subgroup' && !gpu.features.subgroups
  describe.skipIf(missing)(`${variant} on ${gpu.name}`, () => {
    const run = (
      sizes: Sizes,
      host: Host,
      bias?: AttentionBias | ((t: Record<string, Tensor>) => AttentionBias),
    ) =>
      evaluate(gpu, host, (t) => {
        const attentionBias = typeof bias === 'function' ? bias(t) : bias
        const { heads, kvHeads = heads } = sizes
        return attention({ ...named(t), heads, kvHeads, ...(attentionBias ? { bias: attentionBias } : {}) })
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

    test('with one open key the result is its value, exactly; with none it is 0 (check 5)', async () => {
      const [Tq, Tk] = [5, 257]
      const sizes = { Tq, Tk, heads: 2, d: 16 }
      const host = inputsOf(sizes)
      const words = Math.ceil(Tk / 32)
      const bits = new Uint32Array(Tq * words).fill(0xffff_ffff)
      bits[Tk >> 6]! &= ~(1 << ((Tk >> 1) & 31))
      const y = await evaluate(gpu, { ...host, bits: { data: bits, shape: [Tq, words] } }, (t) =>
        attention({ ...named(t), heads: 2, bias: { kind: 'mask', bits: t['bits'] } }),
      )
      const open = (Tk >> 1) * 32
      expect(y.subarray(0, 32)).toEqual(host['value']!.data.subarray(open, open + 32))
      expect(y.subarray(32).every((v) => v === 0)).toBe(true)
    })

    test('a row that maskBits would block everywhere sees everything (check 5)', async () => {
      const [Q, T] = [5, 1000]
      const logits = random([Q, T], 4)
      // Row 0 is blocked everywhere, row 1 has one open key: 0 is not below 0
      logits.data.fill(-1, 0, 2 * T - 1).fill(0, 2 * T - 1, 2 * T)
      const sizes = { Tq: Q, Tk: T, heads: 1, d: 16 }
      const host = inputsOf(sizes)
      const y = await evaluate(gpu, { ...host, logits }, (t) =>
        attention({ ...named(t), heads: 1, bias: { kind: 'mask', bits: maskBits(t['logits']) } }),
      )
      expectClose(y.subarray(0, 16), reference(sizes, host).subarray(0, 16), 2e-6, 'opened row')
      expect(y.subarray(16, 32)).toEqual(host['value']!.data.subarray((T - 1) * 16))
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
