// The tuner takes what is faster, leaves out what is hopeless, vetoes what is wrong, keeps to its time, and what it
// chooses gives the same bits every time.

import { expect, test } from 'vitest'
import { openGpu } from '../../src/gpu/gpu.ts'
import { type KernelFamily, recordBest, type Variant } from '../../src/kernels/variants.ts'
import { linear } from '../../src/ops/matmul/matmul.ts'
import { plan } from '../../src/tensor/plan.ts'
import { param, record, type Tensor, tensor, upload } from '../../src/tensor/tensor.ts'
import { decide } from '../../src/tuning/choose.ts'
import type { ComparedVariant, Comparison } from '../../src/tuning/problems.ts'
import { tune } from '../../src/tuning/tune.ts'
import {
  adapterNames,
  adapters,
  expectSameBits,
  textKernel as kernel,
  random,
  relativeError,
} from '../support.ts'

// ---------------------------------------------------------------------------------------------------------
// A family that doubles, in several ways

interface Doubling {
  readonly x: Tensor
  readonly y: Tensor
  readonly times: number | ReturnType<typeof param>
}

const SOURCE = `
struct Sizes { count: u32, times: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> sizes: Sizes;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= sizes.count) { return; }
  var slow = 0.0;
  for (var k = 0u; k < SPIN; k++) { slow = slow * 0.5 + x[(i + k) % sizes.count] * 1.0e-30; }
  let factor = select(2.0, 2.001, WRONG) * f32(sizes.times);
  if (i != 3u || !HOLED) { y[i] = x[i] * factor + select(0.0, slow, slow > 1.0); }
}`

interface Ways {
  readonly cost?: number
  readonly spin?: number
  readonly wrong?: boolean
  readonly holed?: boolean
  readonly source?: string
  readonly fits?: boolean
}

function doubling(name: string, ways: Ways): Variant<Doubling> {
  const { cost = 1, spin = 1, wrong = false, holed = false, source = SOURCE, fits = true } = ways
  return {
    name,
    fits: () => fits,
    cost: () => cost,
    record: ({ x, y, times }) =>
      record({
        kernel: kernel(`test-tune-${source.length}`, source, { SPIN: spin, WRONG: wrong, HOLED: holed }),
        reads: { x },
        writes: { y },
        sizes: { count: x.size, times },
        workgroups: Math.ceil(x.size / 64),
        flops: x.size,
      }),
  }
}

let families = 0
function familyOf(...variants: Variant<Doubling>[]): KernelFamily<Doubling> {
  return {
    name: `double${families++}`,
    variants,
    classOf: ({ x }) => `${x.size}`,
    concrete: (problem) => ({ ...problem, times: 1 }),
  }
}

/** Records one problem; the sizes are those of a run that isn't told of. */
function build(family: KernelFamily<Doubling>, size = 20_000) {
  return ({ input }: { input: (name: string, shape: readonly number[]) => Tensor }) => {
    const x = input('x', [size])
    const y = tensor([size])
    recordBest(family, { x, y, times: param('times') })
    return { read: { y } }
  }
}

const reference = doubling('plain', { spin: 2000 }) // so much slower that a busy machine changes nothing

for (const gpu of await adapters()) {
  test(`what is faster displaces the default, what is hopeless is not tried, on ${gpu.name}`, async () => {
    const family = familyOf(
      doubling('fast', { cost: 1.5 }),
      doubling('hopeless', { cost: 4.5, source: `${SOURCE} and no WGSL` }),
      reference,
    )
    const { tuned, classes, before, after, complete } = await tune(gpu, [build(family), build(family)])
    expect(classes).toMatchObject([
      { family: family.name, shapes: '20000', count: 2, choice: 'fast', skipped: false },
    ])
    expect(classes[0]!.why).toMatch(/^[\d.]+x faster than plain, the default$/)
    const verdicts = Object.fromEntries(classes[0]!.candidates.map(({ name, verdict }) => [name, verdict]))
    expect(verdicts).toEqual({ plain: 'timed', fast: 'timed', hopeless: 'pruned' })
    expect(tuned.choices).toEqual({ [`${family.name} 20000`]: 'fast' })
    expect(tuned).toMatchObject({ ...gpu.identity, vetoes: {} })
    expect(Object.keys(tuned.times[`${family.name} 20000`]!)).toEqual(['plain', 'fast'])
    expect(before).toBeGreaterThan(after)
    expect(complete).toBe(true)
    expect(gpu.memory().byOwner['tuner'] ?? 0).toBe(0)
  })

  test(`what is wrong is vetoed with its reason, however fast, on ${gpu.name}`, async () => {
    const family = familyOf(
      doubling('wrong', { cost: 0.1, wrong: true }),
      doubling('holed', { cost: 0.2, holed: true }),
      doubling('broken', { cost: 0.3, source: `${SOURCE} and no WGSL` }),
      // Hopeless beside what is out; the cheapest of what is left
      reference,
    )
    const { tuned, classes } = await tune(gpu, [build(family)])
    expect(classes[0]).toMatchObject({ choice: 'plain', why: 'the others are vetoed' })
    const reasons = Object.entries(tuned.vetoes).map(([name, reason]) => [name.split('/')[1], reason])
    expect(Object.fromEntries(reasons)).toEqual({
      wrong: 'error 5e-4 (20000)',
      holed: expect.stringMatching(/^error \de-\d \(20000\)$/),
      broken: expect.stringContaining('does not compile'),
    })
    expect(tuned.choices).toEqual({ [`${family.name} 20000`]: 'plain' })
    // The tuner's vetoes are told, not forced on the Gpu it ran on
    expect(gpu.adapter.choices.vetoed.size).toBe(0)
  })

  test(`linear layers: all variants in both layouts of weights agree, on ${gpu.name}`, async () => {
    const lanes = gpu.adapter.subgroupSize || 8
    const weight = await upload(gpu, random([4 * lanes, 64]).data, [4 * lanes, 64], 'f32')
    const { tuned, classes, weights } = await tune(gpu, [
      ({ input }) => ({ read: { y: linear(input('x', [33, 64]), weight) } }),
    ])
    expect(tuned.vetoes).toEqual({})
    const layouts = classes.map(({ layout }) => layout)
    if (gpu.adapter.subgroupSize > 0 && gpu.adapter.readsTextures) {
      expect(layouts).toEqual(['rows', 'packed'])
      expect(tuned.choices['weights']).toBe(weights!.choice)
      expect(classes.filter(({ skipped }) => !skipped).map(({ layout }) => layout)).toEqual([weights!.choice])
    } else expect(layouts).toEqual([undefined])
    gpu.buffers.release(weight.storage.buffer!)
  })

  test(`time that is up and an abort end it, and nothing stays allocated, on ${gpu.name}`, async () => {
    const bytes = gpu.memory().bytes
    const sizes = [10_000, 20_000, 30_000]
    const family = familyOf(doubling('fast', { cost: 2 }), reference)
    const builds = sizes.map((size) => build(family, size))
    const none = await tune(gpu, builds, { seconds: 0 })
    expect(none).toMatchObject({ complete: false, tuned: { choices: {} } })
    expect(none.classes.map(({ why }) => why)).toEqual(sizes.map(() => 'not reached: the default stays'))

    const controller = new AbortController()
    const seen: string[] = []
    const onProgress = ({ what, total }: { what: string; total: number }) => {
      seen.push(`${what} of ${total}`)
      if (seen.length === 2) controller.abort(new Error('enough'))
    }
    const { signal } = controller
    await expect(tune(gpu, builds, { onProgress, signal })).rejects.toThrow('enough')
    expect(seen).toEqual([`${family.name} 30000 of 3`, `${family.name} 20000 of 3`])
    expect(gpu.memory().bytes).toBe(bytes)
  })
}

test('a choice is taken, gives the same bits again, and off is what the cost model says', async () => {
  const [name = ''] = adapterNames()
  const family = familyOf(doubling('other', { cost: 2, wrong: true }), reference)
  const open = (tuned?: object) =>
    openGpu({
      ...(name ? { adapter: name } : {}),
      ...(tuned ? { tuned: async (identity) => JSON.stringify({ ...identity, ...tuned }) } : {}),
    })
  const x = random([1000])
  const run = async (tuned?: object) => {
    const gpu = await open(tuned)
    try {
      const ready = await plan(gpu, 'test', build(family, 1000))
      const values = { inputs: { x: x.data }, params: { times: 1 } }
      const { y } = (await ready.run(values)).read
      return { y, notes: gpu.notes, taken: [...gpu.adapter.choices.taken.values()] }
    } finally {
      gpu.close()
    }
  }
  const rest = { format: 2, when: '', times: {} }
  const chosen = { ...rest, choices: { [`${family.name} 1000`]: 'other' }, vetoes: {} }
  const [first, second] = [await run(chosen), await run(chosen)]
  expect([first.taken, first.notes]).toEqual([['other'], []])
  expectSameBits(second.y, first.y)
  const plain = await run()
  expect(plain.taken).toEqual(['plain'])
  expect(relativeError(first.y, plain.y)).toBeGreaterThan(1e-4) // it was the other one

  // Vetoed, stale or damaged: the default
  const vetoed = await run({ ...chosen, vetoes: { [`${family.name}/other`]: 'error 1' } })
  expect(vetoed.taken).toEqual(['plain'])
  const stale = await run({ ...chosen, engine: '0.0.1' })
  expect(stale.taken).toEqual(['plain'])
  expect(stale.notes).toEqual([expect.stringContaining('made for another engine (0.0.1, now')])
  expect((await run({ ...chosen, choices: 7 })).notes).toEqual([expect.stringContaining('damaged')])
})

test('a lead must be larger than noise, and seen often enough', () => {
  const comparison = (samples: Record<string, number[]>): Comparison => ({
    layout: undefined,
    shapes: '',
    candidates: Object.entries(samples).map(
      ([name, ms]): ComparedVariant => ({
        variant: doubling(name, {}) as unknown as ComparedVariant['variant'],
        predicted: 1,
        verdict: 'timed',
        reason: undefined,
        flops: 1,
        samples: ms,
      }),
    ),
  })
  const choose = (samples: Record<string, number[]>, vetoed: string[] = []) =>
    decide(comparison(samples), 'f', new Set(vetoed))
  expect(choose({ a: [10, 10, 10], b: [9.8, 9.7, 9.6] })).toMatchObject({
    choice: 'a',
    why: 'b is within noise: the default stays',
  })
  expect(choose({ a: [10, 10, 10], b: [9, 9, 9] })).toMatchObject({ choice: 'b', ms: 9, defaultMs: 10 })
  // In every round it was faster, though the machine slowed down meanwhile
  expect(choose({ a: [10, 20, 40], b: [9, 18, 36] }).choice).toBe('b')
  expect(choose({ a: [10, 10], b: [9, 9] }).choice).toBe('a')
  expect(choose({ a: [10, 10], b: [6, 6] }).choice).toBe('b')
  expect(choose({ a: [10], b: [1] }).choice).toBe('a') // a hiccup, perhaps
  expect(choose({ a: [9, 90, 90], b: [10, 10, 10] }).choice).toBe('a') // disturbed
  expect(choose({ a: [10, 10, 10], b: [20, 20, 20] }).why).toBe('2.00x faster than b')
  expect(choose({ a: [9, 9, 9], b: [20, 20, 20] }, ['f/a']).choice).toBe('b')
  expect(choose({ a: [1] }, ['f/a']).choice).toBe(undefined)
})
