// The tuner: which variants of the kernel families are the fastest on this adapter.
//
// It records plans and sees the problems that come up, one for each class of shapes. Of the variants that can solve
// one, those that the cost model finds hopeless are left out; the others are checked against a variant that runs
// anywhere, twice, and timed in turns. Who is wrong is vetoed; who is faster than the default by more than noise
// displaces it. Problems with weights are timed with the weights in rows and packed, which decides for the whole
// model.

import { describe, entryOf } from '../check.ts'
import { DeviceLostError, FlowSegError, LimitError, OutOfMemoryError, UsageError } from '../errors.ts'
import { type AdapterFacts, Choices, PLAIN_ADAPTER } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { recordWith } from '../gpu/recorder.ts'
import { makeTuned, type Tuned } from '../gpu/tuned.ts'
import { fitsPacked, packedAs, prefersPacked, type WeightLayout } from '../kernels/packed.ts'
import { type Family, type FamilyWeight, type Met, metIn, ranked, type Variant } from '../kernels/variants.ts'
import { expectKind, expectOptions, FUNCTION, type Kinds, SECONDS, TASK_KINDS } from '../options.ts'
import type { TaskOptions } from '../progress.ts'
import { expectGpu, isPromise } from '../tensor/check.ts'
import { type Inputs, waysIn } from '../tensor/tensor.ts'
import { distance, mapTensors, type Outputs, type Rebuilt, rebuild, sameBits, Trial } from './trial.ts'

/** How long {@link tune} may take, and how it reports progress. */
export interface TuneOptions extends TaskOptions {
  /** How long it may take; 30 by default. What isn't reached keeps its default. */
  readonly seconds?: number
}

export const TUNE_KINDS: Kinds<TuneOptions> = { ...TASK_KINDS, seconds: SECONDS }

/** A function that records a plan, as for `plan`. */
export type Build = (inputs: Inputs) => unknown

/** What {@link tune} found. */
export interface Tuning {
  /** For `openGpu({ tuned })`, and to be kept. */
  readonly tuned: Tuned
  /** The largest first. */
  readonly classes: readonly ClassReport[]
  /** How weights should lie, if there were any to try. */
  readonly weights: WeightsReport | undefined
  /** Seconds that it took. */
  readonly seconds: number
  /** Everything was reached in the time given. */
  readonly complete: boolean
  /** Milliseconds of all that was timed, as the defaults are and as chosen. */
  readonly before: number
  /** Milliseconds of all that was timed, as chosen. */
  readonly after: number
}

/** A class of problems of one family. */
export interface ClassReport {
  /** The kernel family: 'matmul', for instance. */
  readonly family: string
  /** The shapes that the problems of the class share, rounded. */
  readonly shapes: string
  /** Of its weights, if both were tried; rows come first, then packed ones. */
  readonly form: WeightLayout | undefined
  /** How many of them the plans have. */
  readonly count: number
  /** The variants that can run here, the one that the cost model prefers first. */
  readonly candidates: readonly CandidateReport[]
  /** Undefined where no variant is left. */
  readonly choice: string | undefined
  /** The reason for the choice, in words. */
  readonly why: string
  /** The weights got another layout, so this class won't come up. */
  readonly skipped: boolean
}

/** What became of a variant in a class. */
export interface CandidateReport {
  /** The variant's name. */
  readonly name: string
  /** By the cost model: 1 is the cheapest. */
  readonly predicted: number
  /** Median milliseconds, if it was timed. */
  readonly ms?: number
  /** Billions of floating-point operations per second, if it was timed. */
  readonly gflops?: number
  /** Whether it was timed, was predicted to be hopeless, computed wrong values, or wasn't reached. */
  readonly verdict: 'timed' | 'pruned' | 'vetoed' | 'untried'
  /** Why it was vetoed or couldn't be tried. */
  readonly reason?: string
  /** false: made for GPUs, and no GPU has measured it before. */
  readonly measuredOnGpu?: false
}

/** How weights should lie, and what that rests on. */
export interface WeightsReport {
  /** The layout that was chosen. */
  readonly choice: WeightLayout
  /** The reason for the choice, in words. */
  readonly why: string
  /** Milliseconds of the timed products with weights in rows. */
  readonly rowsMs: number | undefined
  /** Milliseconds of the timed products with packed weights. */
  readonly packedMs: number | undefined
}

/** A variant isn't tried if the cost model predicts more than this many times the cheapest one's time. */
const HOPELESS = 4
/** |y - reference| / |reference|: f32 sums of some thousand products in another order. */
const TOLERANCE = 1e-5
/** A default stays unless another takes less than this share of its time: the same kernel moves by a few percent. */
const MARGIN = 0.95
const ROUNDS = 5
/** Fewer show a challenger's lead only where it is large. */
const FEWEST_ROUNDS = 3
const LARGE_LEAD = 0.7
const SAMPLE_MS = 6
/**
 * A variant that was never within this factor of the fastest is dropped, from the second round on: one sample may be a
 * hiccup.
 */
const BEATEN = 2
const LEAST_SLICE_MS = 300
/** Of the time that is left: what should take longer isn't begun, as the estimate may be several times too low. */
const LARGEST_SHARE = 0.3
/** Weights have their form once this share of the work was timed in both, and one is that much faster. */
const SETTLED_SHARE = 0.5
const SETTLED_LEAD = 1.25

/**
 * Finds the fastest variants for what these plans compute.
 *
 * Results stay within TOLERANCE of those of the defaults, and a choice gives the same bits every time.
 *
 * @throws the signal's reason; DeviceLostError; UsageError if an argument is none of these
 */
export async function tune(gpu: Gpu, builds: readonly Build[], options: TuneOptions = {}): Promise<Tuning> {
  expectGpu('tune', gpu)
  if (!Array.isArray(builds)) {
    throw new UsageError(
      `tune: builds is ${describe(builds)}, expected an array of functions, each as for plan().`,
    )
  }
  builds.forEach((build, i) => expectKind(`tune: build ${i}`, build, FUNCTION))
  expectOptions('tune', options, TUNE_KINDS)
  const { seconds = 30, onProgress, signal } = options
  const started = performance.now()
  const deadline = started + 1000 * seconds
  // As if nothing had been chosen yet, whatever the Gpu was opened with
  const adapter: AdapterFacts = { ...gpu.adapter, choices: new Choices() }
  const problems = collect(gpu, adapter, builds)

  const total = problems.length
  const left = [...problems]
  while (left.length > 0 && performance.now() < deadline) {
    signal?.throwIfAborted()
    // Those where there is something to choose come first
    const form = formSettled(problems, adapter)
    const comparisonsOf = ({ comparisons }: Problem): Comparison[] =>
      comparisons.filter((comparison) => form === undefined || isIn(comparison, form))
    const now = performance.now()
    const isOpenNow = (problem: Problem): boolean => comparisonsOf(problem).some(isOpen)
    const fitsIn = (problem: Problem): boolean =>
      secondsOf(gpu, problem, comparisonsOf(problem)) < (LARGEST_SHARE * (deadline - now)) / 1000
    const next = [
      left.findIndex((problem) => isOpenNow(problem) && fitsIn(problem)),
      left.findIndex(fitsIn),
    ].find((i) => i >= 0)
    if (next === undefined) break
    const [problem] = left.splice(next, 1)
    const comparisons = comparisonsOf(problem!)
    const what = `${problem!.family.name} ${entryOf(comparisons, 0).shapes}`
    onProgress?.({ phase: 'tune', what, loaded: total - left.length - 1, total })

    // A share of the time that is left, but at least what small problems take
    const share = problem!.weight / left.reduce((sum, { weight }) => sum + weight, problem!.weight)
    const soft = now + Math.max(LEAST_SLICE_MS, share * (deadline - now))
    await measure(gpu, { ...problem!, comparisons }, adapter, { soft, hard: deadline }, signal)
  }
  onProgress?.({ phase: 'tune', what: 'done', loaded: total, total })
  return conclude(gpu, adapter, problems, (performance.now() - started) / 1000)
}

// ---------------------------------------------------------------------------------------------------------
// 1. What comes up

interface Problem {
  readonly family: Family<never>
  readonly problem: never
  readonly count: number
  /** FLOPs and bytes of all of them: what to try first. */
  readonly weight: number
  /** One, or one for each form of the weights. */
  readonly comparisons: readonly Comparison[]
}

/** The variants that can solve one class of shapes, to be compared with each other. */
export interface Comparison {
  readonly form: WeightLayout | undefined
  readonly shapes: string
  readonly candidates: readonly Candidate[]
}

export interface Candidate {
  readonly variant: Variant<never>
  readonly predicted: number
  verdict: CandidateReport['verdict']
  reason: string | undefined
  flops: number
  /** Milliseconds, round by round. */
  readonly samples: number[]
}

/** The problems of the plans, one per class, the largest first. */
function collect(gpu: Gpu, adapter: AdapterFacts, builds: readonly Build[]): Problem[] {
  const classes = new Map<string, { met: Met; count: number; weight: number }>()
  for (const build of builds) {
    for (const one of metIn(() => recordWith((r) => expectSync(build(waysIn(r, 'tune').given)), adapter))) {
      const { family, problem } = one
      const key = `${family.name} ${family.classOf(problem)}`
      const weight = workOf(one, adapter)
      const known = classes.get(key)
      if (known) {
        known.count++
        known.weight += weight
      } else classes.set(key, { met: one, count: 1, weight })
    }
  }
  return [...classes.values()]
    .sort((a, b) => b.weight - a.weight)
    .map(({ met: { family, problem }, count, weight }) => {
      const settled = family.settled?.(problem) ?? problem
      const comparisons = formsOf(gpu, family, settled).map((form) =>
        comparisonOf(family, settled, form, adapter),
      )
      return { family, problem: settled, count, weight, comparisons }
    })
}

function expectSync(result: unknown): void {
  if (!isPromise(result)) return
  Promise.resolve(result).catch(() => undefined)
  throw new UsageError(
    'tune: a build returned a promise. Ops are recorded while it runs, so it can not be async.',
  )
}

/** FLOPs and bytes. */
function workOf({ family, problem }: Met, adapter: AdapterFacts): number {
  const [best] = ranked(family, problem, adapter)
  const { dispatches } = recordWith(() => best?.record(problem), adapter, true).recorder
  return dispatches.reduce((sum, { flops, reads, writes }) => {
    const storages = new Set([...Object.values(reads), ...Object.values(writes)])
    return sum + flops + [...storages].reduce((bytes, storage) => bytes + (storage?.bytes ?? 0), 0)
  }, 0)
}

function weightsOf(family: Family<never>, problem: never): readonly FamilyWeight[] {
  return (family.weights?.(problem) ?? []).filter(({ tensor }) => tensor.storage.kind === 'resident')
}

/** The forms that its weights can have here. */
function formsOf(gpu: Gpu, family: Family<never>, problem: never): (WeightLayout | undefined)[] {
  const weights = weightsOf(family, problem)
  if (weights.length === 0) return [undefined]
  const fits = weights.every(({ tensor: { shape, dtype }, runs = 1 }) =>
    fitsPacked(gpu, { shape, dtype, runs }),
  )
  return fits ? ['rows', 'packed'] : [undefined]
}

/** The same problem with its weights in that form; for questions, not for running. */
function inForm(
  family: Family<never>,
  problem: never,
  form: WeightLayout | undefined,
  adapter: AdapterFacts,
): never {
  const runsOf = new Map(weightsOf(family, problem).map(({ tensor, runs = 1 }) => [tensor.storage, runs]))
  return mapTensors(problem, (x) => {
    const runs = runsOf.get(x.storage)
    if (form === undefined || runs === undefined) return x
    const { packed: _, ...plain } = x
    const { shape, dtype } = x
    return form === 'rows'
      ? plain
      : { ...plain, packed: packedAs({ shape, dtype, runs }, adapter.subgroupSize) }
  })
}

/** About how long trying it takes, by the speed seen so far. */
function secondsOf(gpu: Gpu, { weight, count }: Problem, comparisons: readonly Comparison[]): number {
  const variants = comparisons.reduce((sum, { candidates }) => sum + candidates.length, 0)
  const runs = variants * (2 + FEWEST_ROUNDS)
  return (runs * weight) / count / gpu.rate.flopsPerSecond
}

/** Whether there is something to choose. */
function isOpen({ candidates }: Comparison): boolean {
  return candidates.filter(({ predicted }) => predicted <= HOPELESS).length > 1
}

function comparisonOf(
  family: Family<never>,
  given: never,
  form: WeightLayout | undefined,
  adapter: AdapterFacts,
): Comparison {
  const problem = inForm(family, given, form, adapter)
  const able = ranked(family, problem, adapter)
  const costs = able.map((variant) => variant.cost(problem, adapter))
  const candidates = able.map((variant, i): Candidate => {
    const predicted = entryOf(costs, i) / entryOf(costs, 0)
    return { variant, predicted, verdict: 'untried', reason: undefined, flops: 0, samples: [] }
  })
  return { form, shapes: family.classOf(problem), candidates }
}

// ---------------------------------------------------------------------------------------------------------
// 2. Check and time

async function measure(
  gpu: Gpu,
  { family, problem, comparisons }: Problem,
  adapter: AdapterFacts,
  deadline: { readonly soft: number; readonly hard: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { vetoed } = adapter.choices
  const weights = weightsOf(family, problem)
  const rebuilts: Rebuilt<never>[] = []
  const running: { candidate: Candidate; trial: Trial<never> }[] = []
  try {
    // 1. What it should be, from a variant that runs anywhere; it wants weights in rows
    const plain = await rebuild(gpu, problem, weights, weights.length > 0 ? 'rows' : undefined)
    rebuilts.push(plain)
    const reference = family.variants.findLast(
      (v) => v.fits(plain.problem, PLAIN_ADAPTER) && !(v.forGpus && adapter.software),
    )
    const standard = reference && new Trial(gpu, plain, reference)
    const expected = standard && (await tryOut(standard, undefined, signal))

    // 2. Who gives that, and gives it again
    for (const { form, candidates } of comparisons) {
      const rebuilt = form === 'packed' ? await rebuild(gpu, problem, weights, form) : plain
      if (rebuilt !== plain) rebuilts.push(rebuilt)
      let least = Infinity
      for (const candidate of candidates) {
        signal?.throwIfAborted()
        if (performance.now() > deadline.hard) return
        const { variant, predicted } = candidate
        const name = `${family.name}/${variant.name}`
        if (vetoed.has(name)) candidate.verdict = 'vetoed'
        else if (predicted > HOPELESS * least) candidate.verdict = 'pruned'
        else {
          const isStandard = variant === reference && rebuilt === plain
          const trial = isStandard ? standard! : new Trial(gpu, rebuilt, variant)
          const { fault } = isStandard ? expected! : await tryOut(trial, expected?.outputs, signal)
          candidate.reason = fault
          candidate.flops = trial.flops
          if (candidate.reason === undefined) {
            running.push({ candidate, trial })
            least = Math.min(least, predicted)
          } else {
            candidate.verdict = 'vetoed'
            vetoed.add(name)
          }
        }
      }
    }

    // 3. In turns, so that what else the machine does hits all of them
    let still = running
    if (still.length === 0) return
    for (let round = 0; round < ROUNDS; round++) {
      for (const { candidate, trial } of still) candidate.samples.push(await trial.time(SAMPLE_MS, signal))
      if (round > 0) {
        const fastest = Math.min(...still.flatMap(({ candidate }) => candidate.samples))
        still = still.filter(({ candidate }) => Math.min(...candidate.samples) <= BEATEN * fastest)
      }
      const now = performance.now()
      if (now > deadline.hard || (round + 1 >= FEWEST_ROUNDS && (now > deadline.soft || still.length === 1)))
        break
    }
    for (const { candidate } of running) candidate.verdict = 'timed'
  } catch (error) {
    // This adapter can't hold it beside the model: the default stays
    if (!(error instanceof OutOfMemoryError || error instanceof LimitError)) throw error
    for (const { candidates } of comparisons) {
      for (const candidate of candidates) {
        if (candidate.verdict === 'untried') candidate.reason = error.message
      }
    }
  } finally {
    for (const { trial } of running) trial.release()
    for (const { release } of rebuilts) release()
  }
}

/** The result of a variant, and the fault in it; the reference itself is compared with nothing. */
async function tryOut(
  trial: Trial<never>,
  expected: Outputs | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly outputs?: Outputs; readonly fault?: string }> {
  try {
    const [outputs, again] = await trial.outputs(expected ? 2 : 1, signal)
    const error = expected ? distance(outputs, expected) : 0
    if (!(error <= TOLERANCE)) return { outputs, fault: `error ${error.toExponential(0)}` }
    return sameBits(outputs, again) ? { outputs } : { outputs, fault: 'a second run gives other bits' }
  } catch (error) {
    if (!isOfVariant(error)) throw error
    return { fault: error.message.split('\n')[0]! }
  }
}

/** It doesn't compile here, or the driver refuses it; no lack of memory, no loss, no abort. */
function isOfVariant(error: unknown): error is FlowSegError {
  const others = [DeviceLostError, OutOfMemoryError, LimitError]
  return error instanceof FlowSegError && !others.some((Other) => error instanceof Other)
}

// ---------------------------------------------------------------------------------------------------------
// 3. Choose

function conclude(gpu: Gpu, adapter: AdapterFacts, problems: readonly Problem[], seconds: number): Tuning {
  const { vetoed } = adapter.choices
  const all = problems.flatMap(({ family, count, comparisons }) =>
    comparisons.map((comparison) => ({
      family: family.name,
      count,
      comparison,
      decision: decide(comparison, family.name, vetoed),
    })),
  )
  const weights = decideWeights(adapter, problems, vetoed)
  const standard = formPreferred(adapter)

  const timed = all.filter(({ decision }) => decision.ms !== undefined)
  const choices = timed.map(
    ({ family, comparison, decision }) => [`${family} ${comparison.shapes}`, decision.choice!] as const,
  )
  const times = timed.map(({ family, comparison: { shapes, candidates } }) => {
    const rows = candidates.flatMap(({ variant, samples }) =>
      samples.length > 0 ? [[variant.name, Number(median(samples).toPrecision(4))] as const] : [],
    )
    return [`${family} ${shapes}`, Object.fromEntries(rows)] as const
  })
  const vetoes = all.flatMap(({ family, comparison: { shapes, candidates } }) =>
    candidates.flatMap(({ variant, reason }) => {
      const name = `${family}/${variant.name}`
      return vetoed.has(name) && reason ? [[name, `${reason} (${shapes})`] as const] : []
    }),
  )
  const sum = (wanted: WeightLayout, ms: (decision: Decision) => number | undefined): number =>
    all.reduce((total, { count, comparison, decision }) => {
      return isIn(comparison, wanted) ? total + count * (ms(decision) ?? 0) : total
    }, 0)
  return {
    tuned: makeTuned(gpu.identity, {
      choices: { ...Object.fromEntries(choices), ...(weights ? { weights: weights.choice } : {}) },
      vetoes: Object.fromEntries(vetoes),
      times: Object.fromEntries(times),
    }),
    classes: all.map(({ family, count, comparison, decision: { choice, why } }) => ({
      family,
      shapes: comparison.shapes,
      count,
      candidates: comparison.candidates.map(reportOf),
      choice,
      why,
      form: comparison.form,
      skipped: !isIn(comparison, weights?.choice ?? standard),
    })),
    weights,
    seconds,
    complete: all.every(
      ({ comparison }) => isReached(comparison) || !isIn(comparison, weights?.choice ?? standard),
    ),
    before: sum(standard, ({ defaultMs }) => defaultMs),
    after: sum(weights?.choice ?? standard, ({ ms }) => ms),
  }
}

/** Whether problems of this class come up when weights have that form. */
function isIn({ form }: Comparison, wanted: WeightLayout): boolean {
  return form === undefined || form === wanted
}

function formPreferred(adapter: AdapterFacts): WeightLayout {
  return prefersPacked(adapter) ? 'packed' : 'rows'
}

/** Tried, or known why not. */
export function isReached({ candidates }: Pick<Comparison | ClassReport, 'candidates'>): boolean {
  return candidates.every(({ verdict, reason }) => verdict !== 'untried' || reason !== undefined)
}

function reportOf({
  variant: { name, measuredOnGpu },
  predicted,
  samples,
  flops,
  verdict,
  reason,
}: Candidate): CandidateReport {
  const ms = samples.length > 0 ? median(samples) : undefined
  return {
    name,
    predicted,
    verdict,
    ...(ms === undefined ? {} : { ms, gflops: flops / ms / 1e6 }),
    ...(reason === undefined ? {} : { reason }),
    ...(measuredOnGpu === undefined ? {} : { measuredOnGpu }),
  }
}

interface Decision {
  readonly choice: string | undefined
  readonly why: string
  /** Milliseconds of the choice and of the default, if they were timed. */
  readonly ms?: number
  readonly defaultMs?: number
}

/** The default, which comes first, unless another is faster by more than noise. */
export function decide(
  { candidates, form }: Comparison,
  family: string,
  vetoed: ReadonlySet<string>,
): Decision {
  const left = candidates.filter(({ variant }) => !vetoed.has(`${family}/${variant.name}`))
  const [standard] = left
  if (!standard) return { choice: undefined, why: 'no variant is left: please report it' }
  const choice = standard.variant.name
  if (standard.samples.length === 0)
    return { choice, why: standard.reason ?? 'not reached: the default stays' }
  const defaultMs = median(standard.samples)
  const timed = left.filter(({ samples }) => samples.length > 0)
  if (timed.length === 1) {
    const { length } = candidates
    const out =
      left.length < length ? 'the others are vetoed' : `the others should take over ${HOPELESS}x as long`
    const only = form
      ? `the only one that reads ${form === 'packed' ? 'packed weights' : form}`
      : 'the only one that fits'
    return { choice, why: length === 1 ? only : out, ms: defaultMs, defaultMs }
  }

  const [best, next] = timed.sort((a, b) => median(a.samples) - median(b.samples))
  const ms = median(best!.samples)
  if (best === standard) {
    const { variant, samples } = next!
    return { choice, why: `${times(median(samples) / ms)} faster than ${variant.name}`, ms, defaultMs }
  }
  // Round by round, as two samples of one round saw the same machine; and at their best, as one of them may have been
  // disturbed in most rounds
  const shares = best!.samples.flatMap((sample, round) => {
    const own = standard.samples[round]
    return own === undefined ? [] : [sample / own]
  })
  const share = Math.max(median(shares), Math.min(...best!.samples) / Math.min(...standard.samples))
  const enough = shares.length >= FEWEST_ROUNDS ? MARGIN : shares.length > 1 ? LARGE_LEAD : 0
  if (!(share <= enough)) {
    return {
      choice,
      why: `${best!.variant.name} is within noise: the default stays`,
      ms: defaultMs,
      defaultMs,
    }
  }
  const why = `${times(defaultMs / ms)} faster than ${choice}, the default`
  return { choice: best!.variant.name, why, ms, defaultMs }
}

/** For the model as a whole: its weights are loaded once. */
function decideWeights(
  adapter: AdapterFacts,
  problems: readonly Problem[],
  vetoed: ReadonlySet<string>,
): WeightsReport | undefined {
  const both = problems.flatMap(({ family, count, comparisons }) => {
    if (comparisons.length < 2) return []
    const [rows, packed] = (['rows', 'packed'] as const).map((form) =>
      decide(comparisons.find((comparison) => comparison.form === form)!, family.name, vetoed),
    )
    return [{ count, rows: rows!, packed: packed! }]
  })
  if (both.length === 0) return undefined
  const standard = formPreferred(adapter)
  const report = (choice: WeightLayout, why: string, rowsMs?: number, packedMs?: number): WeightsReport => ({
    choice,
    why,
    rowsMs,
    packedMs,
  })
  if (both.some(({ packed }) => packed.choice === undefined)) {
    return report('rows', 'no variant is left that reads packed weights')
  }
  const timed = both.filter(({ rows, packed }) => rows.ms !== undefined && packed.ms !== undefined)
  if (timed.length === 0) return report(standard, 'not reached: the default stays')
  const total = (form: WeightLayout): number => timed.reduce((sum, one) => sum + one.count * one[form].ms!, 0)
  const [rowsMs, packedMs] = [total('rows'), total('packed')]
  const other: WeightLayout = standard === 'rows' ? 'packed' : 'rows'
  const [own, others] = standard === 'rows' ? [rowsMs, packedMs] : [packedMs, rowsMs]
  if (own <= others) return report(standard, `${times(others / own)} faster than ${other}`, rowsMs, packedMs)
  if (others > MARGIN * own) {
    return report(standard, `${other} are within 5 %: the default stays`, rowsMs, packedMs)
  }
  return report(other, `${times(own / others)} faster than ${standard}, the default`, rowsMs, packedMs)
}

/** The form that the rest needn't be timed without. */
function formSettled(problems: readonly Problem[], adapter: AdapterFacts): WeightLayout | undefined {
  const both = problems.filter(({ comparisons }) => comparisons.length > 1)
  const isTimed = ({ comparisons }: Problem): boolean =>
    comparisons.every(({ candidates }) => candidates.some(({ samples }) => samples.length > 0))
  const weightOf = (some: readonly Problem[]): number => some.reduce((sum, { weight }) => sum + weight, 0)
  if (both.length === 0 || weightOf(both.filter(isTimed)) < SETTLED_SHARE * weightOf(both)) return undefined
  const { choice, rowsMs = 1, packedMs = 1 } = decideWeights(adapter, problems, adapter.choices.vetoed)!
  const lead = choice === 'rows' ? packedMs / rowsMs : rowsMs / packedMs
  return lead > SETTLED_LEAD ? choice : undefined
}

function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 0)}x`
}

function median(values: readonly number[]): number {
  const sorted = values.filter((x) => !Number.isNaN(x)).sort((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2
}
