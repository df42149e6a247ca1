// Runs cases on an adapter: finds the variants that can compute each, forces them in turn, and compares.

import { DeviceLostError, LimitError, OutOfMemoryError } from '../errors.ts'
import type { AdapterFacts } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { recordFor, recordWith } from '../gpu/recorder.ts'
import { makeTuned } from '../gpu/tuned.ts'
import { fitsPacked, uploadPacked } from '../kernels/packed.ts'
import { heldScales, SCALE_TYPES } from '../kernels/quantize.ts'
import { reasonOf } from '../printable.ts'
import { type Inputs, plan, waysIn } from '../tensor/plan.ts'
import { release, sizeOf, type Tensor, upload } from '../tensor/tensor.ts'
import { type KernelCase, relativeError } from './case.ts'
import { KERNEL_TESTS } from './cases/all.ts'
import { OP_FAMILIES } from './families.ts'
import { expectCase, expectKnown, expectSelfTestOptions, type SelfTestOptions } from './options.ts'
import { type HostTensor, heldShape, Random } from './random.ts'
import { reportText } from './report.ts'
import type { KernelResult, NeverRan, SelfTestSummary } from './results.ts'
import { furtherCases, namesOfCase, type Subject, takenOf, variantsSeenIn, withVariant } from './variants.ts'

/** A result without what all results of a case share. */
type Outcome = Pick<KernelResult, 'variant' | 'status' | 'error' | 'ms' | 'reason'>

/** @throws as selfTest does */
export async function testKernels(gpu: Gpu, options: SelfTestOptions): Promise<SelfTestSummary> {
  expectSelfTestOptions(options)
  const { seed = 1, count = 3, timeoutMs = Infinity, veto = false, signal, onProgress } = options
  const started = performance.now()
  const hasTime = (): boolean => performance.now() - started < timeoutMs
  const results: KernelResult[] = []
  const neverRan: NeverRan[] = []
  const subjects = subjectsOf(options)
  const total = subjects.length * count
  let done = 0
  for (const subject of subjects) {
    const what = nameOf(subject)
    /** The variants that were asked for and have computed no case, each with the last reason. */
    const missing = new Map<string, string>()
    const ran = new Set<string>()
    const testCase = async (index: number, only?: readonly string[]): Promise<void> => {
      for await (const result of resultsOf(gpu, subject, index, { ...options, seed, only })) {
        results.push(result)
        options.onResult?.(result)
        const { variant = '', status, reason = '' } = result
        if (status !== 'skipped') ran.add(variant)
        if (ran.has(variant)) missing.delete(variant)
        else missing.set(variant, reason)
      }
    }
    for (let i = 0; i < count && hasTime(); i++) {
      signal?.throwIfAborted()
      onProgress?.({ phase: 'test', what, loaded: done, total })
      await testCase(i)
      done++
    }
    // A variant that none of these fits gets a case of its own. A caller's kernels are drawn `count` times, no more
    if (subject.family !== 'own') {
      const wanted = new Set([...missing.keys()].filter((variant) => variant !== ''))
      for (const { index, variants } of furtherCases(subject, { seed, first: count }, gpu.adapter, wanted)) {
        if (!hasTime()) break
        signal?.throwIfAborted()
        await testCase(index, variants)
        for (const variant of ran) wanted.delete(variant)
      }
    }
    const { test, type, layout } = subject
    for (const [variant, reason] of missing) {
      neverRan.push({
        op: test.name,
        type,
        layout: test.packs ? layout : undefined,
        variant: variant === '' ? undefined : variant,
        reason,
      })
    }
  }
  onProgress?.({ phase: 'test', what: 'done', loaded: total, total })
  const vetoes = vetoesOf(results)
  if (veto) for (const variant of Object.keys(vetoes)) gpu.adapter.choices.vetoed.add(variant)
  const sum = (status: KernelResult['status']): number =>
    results.filter((result) => result.status === status).length
  const summary = {
    passed: sum('passed'),
    failed: sum('failed'),
    skipped: sum('skipped'),
    results,
    neverRan,
    seed,
    adapter: gpu.name,
    driver: gpu.identity.driver,
    runtime: gpu.runtime,
    seconds: (performance.now() - started) / 1000,
    complete: done === total,
    vetoes,
    tuned: makeTuned(gpu.identity, { choices: {}, vetoes, times: {} }),
  }
  return { ...summary, report: reportText(summary) }
}

function subjectsOf({ families, ops, types, own = [] }: SelfTestOptions): Subject[] {
  const engine = Object.entries(KERNEL_TESTS)
  const names = engine.flatMap(([, tests]) => tests.map(({ name }) => name))
  if (ops) expectKnown('an op', ops, names)
  const wanted = families ?? (own.length > 0 && !ops ? [] : OP_FAMILIES)
  const all = [
    ...engine.filter(([family]) => (wanted as readonly string[]).includes(family)),
    ['own', own] as const,
  ]
  return all.flatMap(([family, tests]) =>
    tests
      .filter(({ name }) => family === 'own' || (ops?.includes(name) ?? true))
      .flatMap((test) =>
        (test.types ?? ['f32'])
          .filter((type) => types?.includes(type) ?? true)
          .flatMap((type) =>
            (test.packs ? (['rows', 'packed'] as const) : (['rows'] as const)).map((layout) => ({
              family,
              test,
              type,
              layout,
            })),
          ),
      ),
  )
}

function nameOf({ test: { name, types, packs }, type, layout }: Subject): string {
  return `${name}${types ? ` ${type}` : ''}${packs && layout === 'packed' ? ' packed' : ''}`
}

/** The options of one case. */
interface CaseOptions extends SelfTestOptions {
  readonly seed: number
  /** The variants that are to compute it; by default all that were asked for. */
  readonly only: readonly string[] | undefined
}

/** The results of case `index` of a subject: one per variant. */
async function* resultsOf(
  gpu: Gpu,
  subject: Subject,
  index: number,
  options: CaseOptions,
): AsyncGenerator<KernelResult> {
  const { family, test, type, layout } = subject
  const one = test.draw(new Random(options.seed, ...namesOfCase(subject, index)), type, layout)
  if (family === 'own') expectCase(test.name, one)
  const { shape, tolerance } = one
  for await (const outcome of outcomesOf(gpu, subject, one, options)) {
    const of = { op: test.name, family, type, layout: test.packs ? layout : undefined }
    yield { ...of, shape, tolerance, ...outcome }
  }
}

async function* outcomesOf(
  gpu: Gpu,
  { type, layout }: Subject,
  one: KernelCase,
  { variants, signal, only }: CaseOptions,
): AsyncGenerator<Outcome> {
  if (layout === 'packed' && !fitsPacked(gpu, { shape: [1, 1], dtype: type })) {
    yield { variant: undefined, status: 'skipped', reason: 'this adapter reads no packed weights' }
    return
  }
  const held = new Map<string, Tensor>()
  try {
    for (const [name, host] of Object.entries(one.inputs)) {
      if (host.place && host.place !== 'input') held.set(name, await place(gpu, host))
    }
    const record = ({ input }: Inputs): Tensor =>
      one.run(
        Object.fromEntries(
          Object.entries(one.inputs).map(([name, { shape, dtype }]) => [
            name,
            held.get(name) ?? input(name, shape, dtype),
          ]),
        ),
      )
    let expected: ArrayLike<number> | undefined
    const candidates = variants === 'default' ? [undefined] : (only ?? candidatesOf(gpu, record, variants))
    for (const variant of candidates) {
      expected ??= one.reference()
      yield await outcomeOf(gpu, one, { record, expected, variant, signal })
    }
  } catch (error) {
    yield { variant: undefined, ...verdictOn(error, signal) }
  } finally {
    for (const x of held.values()) release(gpu, x)
  }
}

/** The variants of the kernel families that come up, or undefined for ops that have one kernel only. */
function candidatesOf(
  gpu: Gpu,
  record: (inputs: Inputs) => Tensor,
  wanted: readonly string[] | undefined,
): readonly (string | undefined)[] {
  const adapter = { ...gpu.adapter, choices: withVariant(gpu.adapter.choices) }
  const all = variantsSeenIn(() => recordWith((r) => record(waysIn(r, 'selfTest').argument), adapter))
  if (!wanted) return all.length === 0 ? [undefined] : all
  return all.filter((variant) => wanted.includes(variant) || wanted.includes(variant.split('/')[1] ?? ''))
}

async function outcomeOf(
  gpu: Gpu,
  { inputs, params = {}, tolerance, measure = relativeError }: KernelCase,
  {
    record,
    expected,
    variant,
    signal,
  }: {
    readonly record: (inputs: Inputs) => Tensor
    readonly expected: ArrayLike<number>
    readonly variant: string | undefined
    readonly signal: AbortSignal | undefined
  },
): Promise<Outcome> {
  const choices = withVariant(gpu.adapter.choices, variant)
  if (variant !== undefined && choices.vetoed.has(variant)) {
    return { variant, status: 'skipped', reason: 'vetoed on this adapter' }
  }
  const adapter: AdapterFacts = { ...gpu.adapter, choices }
  try {
    recordWith((r) => record(waysIn(r, 'selfTest').argument), adapter)
    const taken = takenOf(choices)
    if (variant !== undefined && !taken.includes(variant)) {
      return { variant, status: 'skipped', reason: 'does not fit this problem on this adapter' }
    }
    const by = variant ?? taken[0]
    const ready = await plan(
      gpu,
      'self-test',
      (ways) => ({ read: { y: recordFor(adapter, () => record(ways)) } }),
      { signal },
    )
    try {
      const host = Object.entries(inputs).filter(([, { place: at = 'input' }]) => at === 'input')
      const values = {
        inputs: Object.fromEntries(host.map(([name, { data }]) => [name, data])),
        params,
        signal,
      }
      const first = (await ready.run(values)).read['y']
      const started = performance.now()
      const second = (await ready.run(values)).read['y']
      const ms = performance.now() - started
      const error = measure(first, expected)
      if (!(error <= tolerance)) {
        return { variant: by, status: 'failed', error, ms, reason: `the error is ${error.toExponential(1)}` }
      }
      return isSame(first, second)
        ? { variant: by, status: 'passed', error, ms }
        : { variant: by, status: 'failed', error, ms, reason: 'a second run gives other bits' }
    } finally {
      ready.release()
    }
  } catch (error) {
    return { variant, ...verdictOn(error, signal) }
  }
}

/** A case that is too large for this adapter is skipped; a lost device and an abort end the test. */
function verdictOn(error: unknown, signal: AbortSignal | undefined): Pick<Outcome, 'status' | 'reason'> {
  signal?.throwIfAborted()
  if (error instanceof DeviceLostError) throw error
  const [reason = ''] = reasonOf(error).split('\n')
  const isTooLarge = error instanceof LimitError || error instanceof OutOfMemoryError
  return { status: isTooLarge ? 'skipped' : 'failed', reason }
}

function isSame(a: Float32Array | Uint32Array, b: Float32Array | Uint32Array): boolean {
  const words = (x: Float32Array | Uint32Array): Uint32Array =>
    new Uint32Array(x.buffer, x.byteOffset, x.length)
  const other = words(b)
  return words(a).every((word, i) => word === other[i])
}

/** Weights and caches, in memory of their own. */
async function place(gpu: Gpu, host: HostTensor): Promise<Tensor> {
  const { shape, dtype, data, scales, runs = 1 } = host
  const x =
    host.place === 'packed'
      ? await uploadPacked(gpu, data, { shape, dtype, runs })
      : { ...(await upload(gpu, data, heldShape(host), dtype)), shape, size: sizeOf(shape) }
  if (!scales || (dtype !== 'int8' && dtype !== 'int4')) return x
  return { ...x, scales: await upload(gpu, heldScales(scales, dtype), [scales.length], SCALE_TYPES[dtype]) }
}

/** The variants that failed, each with its first failure. */
function vetoesOf(results: readonly KernelResult[]): Record<string, string> {
  const vetoes: Record<string, string> = {}
  for (const { op, variant, type, shape, status, reason } of results) {
    if (status === 'failed' && variant !== undefined) {
      vetoes[variant] ??= `${reason} (${op} ${type} ${shape})`
    }
  }
  return vetoes
}
