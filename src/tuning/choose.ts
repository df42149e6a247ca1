// The choices of the tuner, from what was measured: a variant per class of shapes, and one layout for all weights.

import { entryOf } from '../check.ts'
import type { AdapterFacts } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { makeTuned } from '../gpu/tuned.ts'
import { prefersPacked, type WeightLayout } from '../kernels/packed.ts'
import { median } from '../statistics.ts'
import {
  type ComparedVariant,
  type Comparison,
  FEWEST_ROUNDS,
  HOPELESS,
  isIn,
  type ProblemClass,
} from './problems.ts'
import type { CandidateReport, ClassReport, Tuning, WeightsReport } from './report.ts'

/** A default stays unless another takes less than this share of its time: the same kernel moves by a few percent. */
const MARGIN = 0.95
/** The share of the default's time that a challenger must stay below, if there were fewer rounds than are needed. */
const LARGE_LEAD = 0.7
/** Weights have their layout once this share of the work was timed in both, and one is that much faster. */
const ENOUGH_SHARE = 0.5
const ENOUGH_LEAD = 1.25

/** The report, and the choices for `openGpu`, from all that was measured. */
export function conclude(
  gpu: Gpu,
  adapter: AdapterFacts,
  problems: readonly ProblemClass[],
  seconds: number,
): Tuning {
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
  const standard = defaultLayout(adapter)

  const timed = all.filter(({ decision }) => decision.ms !== undefined)
  const choices = timed.flatMap(({ family, comparison: { shapes }, decision: { choice } }) =>
    choice === undefined ? [] : [[`${family} ${shapes}`, choice] as const],
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
      layout: comparison.layout,
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

/** The layout of weights on an adapter that nothing was measured on. */
function defaultLayout(adapter: AdapterFacts): WeightLayout {
  return prefersPacked(adapter) ? 'packed' : 'rows'
}

/** True if each candidate was tried, or has a reason why it couldn't be. */
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
}: ComparedVariant): CandidateReport {
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

/** The variant to take for one comparison. */
interface Decision {
  /** Its name; undefined where none is left. */
  readonly choice: string | undefined
  readonly why: string
  /** Milliseconds of the choice and of the default, if they were timed. */
  readonly ms?: number
  readonly defaultMs?: number
}

/** The default, which comes first, unless another is faster by more than noise. */
export function decide(
  { candidates, layout }: Comparison,
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
    const only = layout ? `the only one that reads ${inWords(layout)}` : 'the only one that fits'
    return { choice, why: length === 1 ? only : out, ms: defaultMs, defaultMs }
  }

  const ordered = timed.sort((a, b) => median(a.samples) - median(b.samples))
  const [best, next] = [entryOf(ordered, 0), entryOf(ordered, 1)]
  const ms = median(best.samples)
  if (best === standard) {
    const lead = times(median(next.samples) / ms)
    return { choice, why: `${lead} faster than ${next.variant.name}`, ms, defaultMs }
  }
  // Round by round, as two samples of one round saw the same machine; and at their best, as one of them may have been
  // disturbed in most rounds
  const shares = best.samples.flatMap((sample, round) => {
    const own = standard.samples[round]
    return own === undefined ? [] : [sample / own]
  })
  const share = Math.max(median(shares), Math.min(...best.samples) / Math.min(...standard.samples))
  const enough = shares.length >= FEWEST_ROUNDS ? MARGIN : shares.length > 1 ? LARGE_LEAD : 0
  if (!(share <= enough)) {
    return {
      choice,
      why: `${best.variant.name} is within noise: the default stays`,
      ms: defaultMs,
      defaultMs,
    }
  }
  const why = `${times(defaultMs / ms)} faster than ${choice}, the default`
  return { choice: best.variant.name, why, ms, defaultMs }
}

/** Chooses the layout of the weights for the model as a whole, as they are loaded once. */
function decideWeights(
  adapter: AdapterFacts,
  problems: readonly ProblemClass[],
  vetoed: ReadonlySet<string>,
): WeightsReport | undefined {
  const both = problems.flatMap(({ family, count, comparisons }) => {
    const decided = (layout: WeightLayout): Decision[] =>
      comparisons
        .filter((comparison) => comparison.layout === layout)
        .map((comparison) => decide(comparison, family.name, vetoed))
    const [[rows], [packed]] = [decided('rows'), decided('packed')]
    return rows && packed ? [{ count, rows, packed }] : []
  })
  if (both.length === 0) return undefined
  const standard = defaultLayout(adapter)
  const report = (choice: WeightLayout, why: string, rowsMs?: number, packedMs?: number): WeightsReport => ({
    choice,
    why,
    rowsMs,
    packedMs,
  })
  if (both.some(({ packed }) => packed.choice === undefined)) {
    return report('rows', 'no variant is left that reads packed weights')
  }
  let [rowsMs, packedMs, timed] = [0, 0, 0]
  for (const { count, rows, packed } of both) {
    if (rows.ms === undefined || packed.ms === undefined) continue
    rowsMs += count * rows.ms
    packedMs += count * packed.ms
    timed++
  }
  if (timed === 0) return report(standard, 'not reached: the default stays')
  const other: WeightLayout = standard === 'rows' ? 'packed' : 'rows'
  const [own, others] = standard === 'rows' ? [rowsMs, packedMs] : [packedMs, rowsMs]
  if (own <= others) {
    return report(standard, `${times(others / own)} faster than ${inWords(other)}`, rowsMs, packedMs)
  }
  if (others > MARGIN * own) {
    return report(standard, `${inWords(other)} are within 5 %: the default stays`, rowsMs, packedMs)
  }
  const why = `${times(own / others)} faster than ${inWords(standard)}, the default`
  return report(other, why, rowsMs, packedMs)
}

function inWords(layout: WeightLayout): string {
  return layout === 'rows' ? 'rows' : 'packed weights'
}

/** The layout that is known to be the faster one, so that the rest needn't be timed with the other. */
export function layoutDecided(
  problems: readonly ProblemClass[],
  adapter: AdapterFacts,
): WeightLayout | undefined {
  const both = problems.filter(({ comparisons }) => comparisons.length > 1)
  const isTimed = ({ comparisons }: ProblemClass): boolean =>
    comparisons.every(({ candidates }) => candidates.some(({ samples }) => samples.length > 0))
  const weightOf = (some: readonly ProblemClass[]): number =>
    some.reduce((sum, { weight }) => sum + weight, 0)
  if (both.length === 0 || weightOf(both.filter(isTimed)) < ENOUGH_SHARE * weightOf(both)) return undefined
  const report = decideWeights(adapter, problems, adapter.choices.vetoed)
  if (!report) return undefined
  const { choice, rowsMs = 1, packedMs = 1 } = report
  const lead = choice === 'rows' ? packedMs / rowsMs : rowsMs / packedMs
  return lead > ENOUGH_LEAD ? choice : undefined
}

function times(ratio: number): string {
  return `${ratio.toFixed(ratio < 10 ? 2 : 0)}x`
}
