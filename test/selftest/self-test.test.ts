// The self-test finds what is wrong: planted kernels that compute something else, other bits the second time, or
// nothing at all are named and vetoed. It tests the same cases for the same seed, whatever else is asked for, and every
// op there is.

import { afterAll, expect, test } from 'vitest'
import { UsageError } from '../../src/errors.ts'
import { type AdapterFacts, Choices, PLAIN_ADAPTER, VARIANTS } from '../../src/gpu/adapter.ts'
import { type Gpu, openGpu } from '../../src/gpu/gpu.ts'
import { ownKernel } from '../../src/gpu/kernel.ts'
import { recordWith } from '../../src/gpu/recorder.ts'
import { add } from '../../src/ops/elementwise/elementwise.ts'
import { rmsNormFamily } from '../../src/ops/norm/norm.ts'
import { softmax, softmaxFamily } from '../../src/ops/reduce/reduce.ts'
import { type KernelCase, type KernelTest, kernelCase } from '../../src/selftest/case.ts'
import { KERNEL_TESTS } from '../../src/selftest/cases/all.ts'
import { groupResults } from '../../src/selftest/groups.ts'
import type { SelfTestOptions } from '../../src/selftest/options.ts'
import { Outline, Random } from '../../src/selftest/random.ts'
import { selfTest } from '../../src/selftest/self-test.ts'
import {
  fits,
  furtherCases,
  namesOfCase,
  type Subject,
  symbolicInputs,
  variantsSeenIn,
} from '../../src/selftest/variants.ts'
import { plan } from '../../src/tensor/plan.ts'
import { record, type Tensor } from '../../src/tensor/tensor.ts'
import { shippedKernels } from '../ops/shipped.ts'
import { adapterNames } from '../support.ts'
import { EACH_WGSL, planted, softmaxBy } from './planted.ts'

const [name] = adapterNames()
/** Its choices are changed: not the one that the other tests share. */
const gpu: Gpu = await openGpu(name ? { adapter: name } : {})
afterAll(() => gpu.close())

async function kernelsOf(build: (x: Tensor) => Tensor): Promise<string[]> {
  const ready = await plan(gpu, 'test', ({ input }) => ({ read: { y: build(input('x', [3, 5])) } }))
  ready.release()
  return ready.info.dispatches.map(({ kernel }) => kernel)
}

test(`a variant that computes something else is named and vetoed, on ${gpu.name}`, async () => {
  await planted(gpu, softmaxFamily, softmaxBy('wrong', 'x[id.x] * sizes.scale'), async () => {
    expect(await kernelsOf(softmax)).toEqual(['softmax-wrong'])
    const summary = await selfTest(gpu, { ops: ['softmax'], count: 2, veto: true })
    const failed = summary.results.filter(({ status }) => status === 'failed')
    expect(failed.map(({ op, variant }) => `${op} ${variant}`)).toEqual(
      Array(2).fill('softmax softmax/wrong'),
    )
    expect(failed[0]!.reason).toMatch(/^the error is \d/)
    expect(failed[0]!.error).toBeGreaterThan(failed[0]!.tolerance)
    expect(summary.passed).toBeGreaterThanOrEqual(2)
    expect(Object.keys(summary.vetoes)).toEqual(['softmax/wrong'])
    expect(summary.report).toMatch(
      /^FAILED {3}softmax f32 by softmax\/wrong, \d+ x \d+ of .*: the error is /m,
    )

    // It isn't taken from now on, nor tested; nor by a Gpu that is opened with what was found
    expect(await kernelsOf(softmax)).not.toContain('softmax-wrong')
    const again = await selfTest(gpu, { ops: ['softmax'], count: 1 })
    expect(again.failed).toBe(0)
    expect(again.results[0]).toMatchObject({ variant: 'softmax/wrong', reason: 'vetoed on this adapter' })
    const other = await openGpu({ ...(name ? { adapter: name } : {}), tuned: summary.tuned })
    expect([...other.adapter.choices.vetoed]).toEqual(['softmax/wrong'])
    other.close()
  })
})

test('without `veto` nothing is changed', async () => {
  await planted(gpu, softmaxFamily, softmaxBy('wrong', 'x[id.x] * sizes.scale'), async () => {
    expect((await selfTest(gpu, { ops: ['softmax'], count: 1 })).failed).toBe(1)
    expect(await kernelsOf(softmax)).toEqual(['softmax-wrong'])
  })
})

test('a variant that does not compile is named, and the rest is tested', async () => {
  await planted(gpu, softmaxFamily, softmaxBy('broken', 'nothing(x[id.x])'), async () => {
    const { results, vetoes } = await selfTest(gpu, { ops: ['softmax'], count: 1 })
    expect(results[0]).toMatchObject({ variant: 'softmax/broken', status: 'failed' })
    expect(results[0]!.error).toBeUndefined()
    expect(Object.keys(vetoes)).toEqual(['softmax/broken'])
    expect(results.slice(1).every(({ status }) => status === 'passed')).toBe(true)
    expect(results.length).toBeGreaterThan(1)
  })
})

/** A sum in another order on each run gives other bits: here it is what the memory held before. */
const COUNTING: KernelTest = {
  name: 'counting',
  draw: (random) => {
    const x = random.tensor([64])
    const count = { ...random.tensor([64], 0), place: 'resident' as const }
    return kernelCase({
      shape: '64',
      inputs: { x, count },
      run: (t) => {
        record({
          kernel: ownKernel(
            'counting',
            EACH_WGSL.replace('BODY', 'y[id.x] + 1e-7 + 0 * x[id.x] * sizes.scale'),
          ),
          reads: { x: t.x },
          writes: { y: t.count },
          sizes: { count: 64, scale: 1 },
          workgroups: 1,
          flops: 0,
        })
        return t.count
      },
      reference: () => new Float64Array(64).fill(1e-7),
      tolerance: 1e-5,
    })
  },
}

const summed = (wrong: number): KernelTest => ({
  name: `sum and ${wrong}`,
  draw: (random) => {
    const shape = [random.size(70), random.size(70)]
    const [a, b] = [random.tensor(shape), random.tensor(shape)]
    return kernelCase({
      shape: shape.join(' x '),
      inputs: { a, b },
      run: (t) => add(t.a, t.b),
      reference: () => a.data.map((v, i) => v + b.data[i]! + wrong),
      tolerance: 1e-6,
    })
  },
})

test("own kernels are held against their references, and told from the engine's", async () => {
  const { results, vetoes } = await selfTest(gpu, { own: [summed(0), summed(0.1), COUNTING], count: 2 })
  const seen = results.map(
    ({ family, op, status, reason = '' }) => `${family} ${op} ${status} ${reason.slice(0, 12)}`,
  )
  expect(seen).toEqual([
    'own sum and 0 passed ',
    'own sum and 0 passed ',
    'own sum and 0.1 failed the error is',
    'own sum and 0.1 failed the error is',
    'own counting failed a second run',
    'own counting failed a second run',
  ])
  expect(vetoes).toEqual({})
  const both = await selfTest(gpu, { own: [summed(0)], ops: ['greater'], count: 1 })
  expect(both.results.map(({ op }) => op)).toEqual(['greater', 'sum and 0'])
})

test("what throws in a case of one's own is that case's failure", async () => {
  const broken: KernelTest = {
    name: 'broken',
    draw: (random) =>
      kernelCase({
        shape: 'any',
        inputs: { a: random.tensor([2]), b: random.tensor([3]) },
        run: (t) => add(t.a, t.b),
        reference: () => [],
        tolerance: 0,
      }),
  }
  const { results } = await selfTest(gpu, { own: [broken], count: 1 })
  expect(results[0]).toMatchObject({ status: 'failed', reason: expect.stringContaining('add: b is [3]') })
})

test('the same seed gives the same problems, whatever else is asked for', async () => {
  const shapes = async (options: SelfTestOptions): Promise<string[]> =>
    (await selfTest(gpu, { count: 2, ...options })).results.map(({ op, shape }) => `${op} ${shape}`)
  const one = await shapes({ ops: ['mix'] })
  expect(await shapes({ ops: ['mix'] })).toEqual(one)
  expect((await shapes({ families: ['elementwise'] })).filter((text) => text.startsWith('mix '))).toEqual(one)
  expect(await shapes({ ops: ['mix'], seed: 2 })).not.toEqual(one)
})

test('variants that are asked for are tested alone, and ops that have none are left out', async () => {
  const [variant] = rmsNormFamily.variants
  const full = `rmsNorm/${variant!.name}`
  const { results } = await selfTest(gpu, { families: ['norm'], variants: [full], count: 1 })
  expect(results.map(({ op, variant: by }) => `${op} ${by}`)).toEqual([`rmsNorm ${full}`])
  const usual = await selfTest(gpu, { ops: ['rmsNorm', 'groupNorm'], variants: 'default', count: 1 })
  expect(usual.results.map(({ status, variant: by }) => `${status} ${by?.split('/')[0]}`)).toEqual([
    'passed rmsNorm',
    'passed undefined',
  ])
})

test('results come as they are found, with progress, and it can be stopped', async () => {
  const controller = new AbortController()
  const seen: string[] = []
  const shares: number[] = []
  const run = selfTest(gpu, {
    ops: ['greater', 'mix'],
    count: 3,
    signal: controller.signal,
    onProgress: ({ phase, loaded, total }) => {
      expect(phase).toBe('test')
      shares.push(loaded / total)
    },
    onResult: ({ op }) => {
      seen.push(op)
      if (seen.length === 2) controller.abort(new Error('enough'))
    },
  })
  await expect(run).rejects.toThrow('enough')
  expect(seen).toEqual(['greater', 'greater'])
  expect(shares).toEqual([0, 1 / 6])

  // Browsers' clocks are coarse: some may be begun
  const late = await selfTest(gpu, { ops: ['greater'], count: 10_000, timeoutMs: 1 })
  expect(late).toMatchObject({ complete: false, failed: 0 })
  expect(late.passed).toBeLessThan(10_000)
  expect(late.report).toContain('stopped early')
  expect((await selfTest(gpu, { ops: ['greater'], count: 1 })).complete).toBe(true)
})

test.each([
  [{ families: ['matmull'] }, `selfTest: there is no family "matmull". There are matmul, conv,`],
  [{ families: 'matmul' }, `selfTest: families is "matmul", expected an array of families of ops.`],
  [{ ops: ['lineer'] }, `selfTest: there is no op "lineer". There are linear, gatedLinear,`],
  [{ variants: ['nothing'] }, `selfTest: there is no variant "nothing". There are `],
  [{ variants: 'all' }, `selfTest: variants is "all", expected an array of names of variants, or 'default'.`],
  [{ types: ['f64'] }, `selfTest: there is no type "f64". There are f32, f16, bf16, int8 and int4.`],
  [{ count: 0 }, 'selfTest: count is 0, expected a whole number of at least 1.'],
  [{ count: Infinity }, 'selfTest: count is Infinity, expected a finite whole number.'],
  [{ seed: -1 }, 'selfTest: seed is -1, expected a whole number of at least 0.'],
  [{ timeoutMs: 0 }, 'selfTest: timeoutMs is 0, expected a number above 0.'],
  [{ onResult: 5 }, 'selfTest: onResult is 5, expected a function.'],
  [{ own: [{ name: 'mine' }] }, 'selfTest: own[0]: draw is undefined, expected a function.'],
  [
    { own: [{ draw: () => undefined }] },
    "selfTest: own[0]: name is undefined, expected a string that isn't empty.",
  ],
  [{ own: [7] }, 'selfTest: own[0]: the options are 7, expected an object with name,'],
  [{ family: 'matmul' }, "selfTest: there is no option 'family'. It takes: "],
] as const)('%j is refused', async (options, message) => {
  const refused = selfTest(gpu, options as unknown as SelfTestOptions)
  await expect(refused).rejects.toThrow(UsageError)
  await expect(refused).rejects.toThrow(message)
})

test.each([
  [undefined, 'the options are undefined, expected an object with shape,'],
  [{ shape: '1' }, 'inputs is undefined, expected an object: a value for each name.'],
  [{ tolerance: '1e-5' }, 'tolerance is "1e-5", expected a finite number of at least 0.'],
  [{ tolerence: 1 }, "there is no option 'tolerence'."],
])('a case of %j is refused', async (one, message) => {
  const own = [{ name: 'mine', draw: () => one as unknown as KernelCase }]
  const refused = selfTest(gpu, { own })
  await expect(refused).rejects.toThrow(UsageError)
  await expect(refused).rejects.toThrow(`selfTest: a case of 'mine': ${message}`)
})

test('random sizes have a budget', () => {
  expect(() => new Random(1).sizes(0, 3)).toThrow(
    'sizes: the budget is 0, expected a finite number of at least 1.',
  )
  for (let i = 0; i < 50; i++)
    expect(new Random(i).sizes(7, 30, 30).reduce((a, b) => a * b, 1)).toBeLessThanOrEqual(7)
})

test('a Gpu is needed', async () => {
  await expect(selfTest({} as Gpu)).rejects.toThrow('selfTest: ')
})

/** Facts that adapters can have, so that all variants fit somewhere. */
const ABLE: AdapterFacts = {
  ...PLAIN_ADAPTER,
  features: { f16: true, subgroups: true, timestamps: false },
  subgroupSize: 8,
  countsSubgroups: true,
  readsTextures: true,
}

/** The first variant of each family, then the second ... */
const CHOICES = Array.from(
  { length: Math.max(...Object.values(VARIANTS).map(({ length }) => length)) },
  (_, i) => {
    const forced = Object.entries(VARIANTS).flatMap(([family, { [i]: variant }]) =>
      variant ? [[family, variant]] : [],
    )
    return new Choices(Object.fromEntries(forced) as Record<string, string>)
  },
)

/** The subjects of families of ops: their tests by type and layout of the weights. */
function subjectsOf(families: readonly string[]): Subject[] {
  return Object.entries(KERNEL_TESTS)
    .filter(([family]) => families.includes(family))
    .flatMap(([family, tests]) =>
      tests.flatMap((test) =>
        (test.types ?? (['f32'] as const)).flatMap((type) =>
          (test.packs ? (['rows', 'packed'] as const) : (['rows'] as const)).map(
            (layout): Subject => ({ family, test, type, layout }),
          ),
        ),
      ),
    )
}

/** The variants that a subject's first case comes up with, whether or not they fit it. */
function variantsOf(subject: Subject): string[] {
  const { test: one, type, layout } = subject
  const first = one.draw(new Outline(1, ...namesOfCase(subject, 0)), type, layout)
  return variantsSeenIn(() => recordWith((r) => first.run(symbolicInputs(r, first, ABLE)), ABLE))
}

test('every kernel of every op is drawn', () => {
  const drawn = new Set<string>()
  for (const subject of subjectsOf(Object.keys(KERNEL_TESTS))) {
    const { test: one, type, layout } = subject
    const all = Array.from({ length: 6 }, (_, index) => index)
    const missing = new Set(variantsOf(subject))
    for (const { index } of furtherCases(subject, { seed: 1, first: 6 }, ABLE, missing)) {
      all.push(index)
      if (all.length === 10) break
    }
    for (const index of all) {
      const drawnCase = one.draw(new Outline(1, ...namesOfCase(subject, index)), type, layout)
      for (const choices of CHOICES) {
        const adapter = { ...ABLE, choices }
        const { recorder } = recordWith((r) => drawnCase.run(symbolicInputs(r, drawnCase, adapter)), adapter)
        for (const { kernel } of recorder.dispatches) drawn.add(kernel.name)
      }
    }
  }
  const shipped = new Set(shippedKernels().map((kernel) => kernel.name))
  // Ceilings are measured, not tested
  const missing = [...shipped].filter((kernel) => !drawn.has(kernel) && !kernel.startsWith('tuning/'))
  expect(shipped.size).toBeGreaterThan(30)
  expect(missing).toEqual([])
})

/** What a variant cannot compute at all: packed weights, weights in 8 or 4 bits, or an image by weights in rows. */
const IMPOSSIBLE = [
  /^(?:linear|gatedLinear|conv2d) \w+ packed by (?:matmul|conv)\/(?:tiled|gemv|registers)$/,
  /^(?:linear|gatedLinear) int[48] by matmul\/registers$/,
  // Its weights are textures, in which each run begins a texel
  /^conv2d \w+ by conv\/subgroup$/,
]

test('every variant gets a case of every op, type and layout that it can compute', () => {
  const without: string[] = []
  for (const subject of subjectsOf(['matmul', 'conv', 'attention'])) {
    const missing = new Set(variantsOf(subject))
    for (const { index, variants } of furtherCases(subject, { seed: 1, first: 0 }, ABLE, missing)) {
      const { test: one, type, layout } = subject
      for (const variant of variants) {
        // The case with its numbers is of the same shape
        const outline = one.draw(new Outline(1, ...namesOfCase(subject, index)), type, layout)
        const whole = one.draw(new Random(1, ...namesOfCase(subject, index)), type, layout)
        expect(whole.shape).toBe(outline.shape)
        expect(fits(whole, ABLE, variant)).toBe(true)
        missing.delete(variant)
      }
    }
    const { test: one, type, layout } = subject
    const name = `${one.name} ${type}${layout === 'packed' ? ' packed' : ''}`
    without.push(...[...missing].map((variant) => `${name} by ${variant}`))
  }
  expect(without.filter((name) => !IMPOSSIBLE.some((pattern) => pattern.test(name)))).toEqual([])
  expect(without).toContain('linear int8 by matmul/registers')
})

test('a variant that none of the first problems fits gets one of its own, and others are listed', async () => {
  const seen: string[] = []
  const single = softmaxBy('single', 'x[id.x] * sizes.scale')
  const picky: typeof single = { ...single, fits: ({ x }) => x.shape[0] === 1 }
  const never: typeof single = { ...softmaxBy('never', '0'), fits: () => false }
  await planted(gpu, softmaxFamily, picky, async () => {
    await planted(gpu, softmaxFamily, never, async () => {
      const { results, neverRan, report } = await selfTest(gpu, { ops: ['softmax'], count: 1 })
      const ours = results.filter(({ variant }) => /single|never/.test(variant ?? ''))
      seen.push(...ours.map(({ variant, status }) => `${variant} ${status}`))
      expect(neverRan).toEqual([
        {
          op: 'softmax',
          type: 'f32',
          layout: undefined,
          variant: 'softmax/never',
          reason: 'does not fit this problem on this adapter',
        },
      ])
      expect(report).toMatch(/^never ran {2}softmax\/never with softmax f32$/m)
    })
  })
  expect(seen).toEqual(['softmax/never skipped', 'softmax/single skipped', 'softmax/single failed'])
})

test('results sum up to a row per op, variant, type and layout', () => {
  const common = {
    op: 'linear',
    family: 'matmul',
    variant: 'matmul/a',
    layout: 'packed',
    tolerance: 1e-6,
  } as const
  const groups = groupResults([
    { ...common, type: 'f32', shape: '1', status: 'passed', error: 1e-7, ms: 2 },
    { ...common, type: 'f32', shape: '2', status: 'failed', error: 3, ms: 4, reason: 'the error is 3' },
    { ...common, type: 'f32', shape: '3', status: 'skipped', reason: 'does not fit' },
    { ...common, type: 'f16', shape: '3', status: 'skipped', reason: 'does not fit' },
  ])
  expect(groups).toEqual([
    {
      op: 'linear',
      family: 'matmul',
      variant: 'matmul/a',
      type: 'f32 packed',
      passed: 1,
      failed: 1,
      skipped: 1,
      error: 3,
      tolerance: 1e-6,
      ms: 6,
    },
    expect.objectContaining({ type: 'f16 packed', skipped: 1, error: undefined }),
  ])
})
