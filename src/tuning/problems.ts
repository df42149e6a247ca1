// The problems that come up in plans, one per class of shapes, and the variants that are compared on each.

import { entryOf } from '../check.ts'
import { UsageError } from '../errors.ts'
import type { AdapterFacts } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { recordWith } from '../gpu/recorder.ts'
import { fitsPacked, packedAs, type WeightLayout } from '../kernels/packed.ts'
import {
  type FamilyWeight,
  type KernelFamily,
  problemsSeenIn,
  ranked,
  type SeenProblem,
  type Variant,
} from '../kernels/variants.ts'
import { isPromise } from '../tensor/check.ts'
import { waysIn } from '../tensor/plan.ts'
import type { CandidateReport } from './report.ts'
import { mapTensors } from './trial.ts'
import type { Build } from './tune.ts'

/** A variant isn't tried if the cost model predicts more than this many times the cheapest one's time. */
export const HOPELESS = 4
/** Fewer rounds of samples show a challenger's lead only where it is large. */
export const FEWEST_ROUNDS = 3

/** The problems of one class of shapes, of which one is tried. */
export interface ProblemClass {
  /** The family whose variants can solve the problem. */
  readonly family: KernelFamily<never>
  /** The one that is tried, with numbers for the sizes that each run gives. */
  readonly problem: never
  /** Number of them in the plans. */
  readonly count: number
  /** FLOPs and bytes of all of them: what to try first. */
  readonly weight: number
  /** One, or one per layout of the weights. */
  readonly comparisons: readonly Comparison[]
}

/** The variants that can solve one class of shapes, to be compared with each other. */
export interface Comparison {
  /** The layout of the weights, if both are tried. */
  readonly layout: WeightLayout | undefined
  /** The class of the problem, as its family names it. */
  readonly shapes: string
  /** The variant that the cost model prefers comes first. */
  readonly candidates: readonly ComparedVariant[]
}

/** A variant in a comparison, and what is known of it so far. */
export interface ComparedVariant {
  /** Able to solve the comparison's problem on this adapter. */
  readonly variant: Variant<never>
  /** The time by the cost model, relative to the cheapest candidate's 1. */
  readonly predicted: number
  /** 'untried' until `measure` reaches it. */
  verdict: CandidateReport['verdict']
  /** The reason why it was vetoed or couldn't be tried. */
  reason: string | undefined
  /** FLOPs of one run. */
  flops: number
  /** Milliseconds, round by round. */
  readonly samples: number[]
}

/** The problems of the plans, one per class, the largest first. */
export function collect(gpu: Gpu, adapter: AdapterFacts, builds: readonly Build[]): ProblemClass[] {
  const classes = new Map<string, { seen: SeenProblem; count: number; weight: number }>()
  for (const build of builds) {
    const record = (): unknown => recordWith((r) => expectSync(build(waysIn(r, 'tune').argument)), adapter)
    for (const seen of problemsSeenIn(record)) {
      const { family, problem } = seen
      const key = `${family.name} ${family.classOf(problem)}`
      const weight = workOf(seen, adapter)
      const known = classes.get(key)
      if (known) {
        known.count++
        known.weight += weight
      } else classes.set(key, { seen, count: 1, weight })
    }
  }
  return [...classes.values()]
    .sort((a, b) => b.weight - a.weight)
    .map(({ seen: { family, problem }, count, weight }) => {
      const concrete = family.concrete?.(problem) ?? problem
      const comparisons = layoutsOf(gpu, family, concrete).map((layout) =>
        comparisonOf(family, concrete, layout, adapter),
      )
      return { family, problem: concrete, count, weight, comparisons }
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
function workOf({ family, problem }: SeenProblem, adapter: AdapterFacts): number {
  const [best] = ranked(family, problem, adapter)
  const { dispatches } = recordWith(() => best?.record(problem), adapter, true).recorder
  return dispatches.reduce((sum, { flops, reads, writes }) => {
    const storages = new Set([...Object.values(reads), ...Object.values(writes)])
    return sum + flops + [...storages].reduce((bytes, storage) => bytes + (storage?.bytes ?? 0), 0)
  }, 0)
}

/** The weights of a problem that may take another layout: those that are resident. */
export function weightsOf(family: KernelFamily<never>, problem: never): readonly FamilyWeight[] {
  return (family.weights?.(problem) ?? []).filter(({ tensor }) => tensor.storage.kind === 'resident')
}

/** The layouts that its weights can have here. */
function layoutsOf(gpu: Gpu, family: KernelFamily<never>, problem: never): (WeightLayout | undefined)[] {
  const weights = weightsOf(family, problem)
  if (weights.length === 0) return [undefined]
  const fits = weights.every(({ tensor: { shape, dtype }, runs = 1 }) =>
    fitsPacked(gpu, { shape, dtype, runs }),
  )
  return fits ? ['rows', 'packed'] : [undefined]
}

/** The same problem with its weights in that layout; for questions, not for running. */
function inLayout(
  family: KernelFamily<never>,
  problem: never,
  layout: WeightLayout | undefined,
  adapter: AdapterFacts,
): never {
  const runsOf = new Map(weightsOf(family, problem).map(({ tensor, runs = 1 }) => [tensor.storage, runs]))
  return mapTensors(problem, (x) => {
    const runs = runsOf.get(x.storage)
    if (layout === undefined || runs === undefined) return x
    const { packed: _, ...plain } = x
    const { shape, dtype } = x
    return layout === 'rows'
      ? plain
      : { ...plain, packed: packedAs({ shape, dtype, runs }, adapter.subgroupSize) }
  })
}

/** About how long trying it takes, by the speed seen so far. */
export function secondsOf(
  gpu: Gpu,
  { weight, count }: ProblemClass,
  comparisons: readonly Comparison[],
): number {
  const variants = comparisons.reduce((sum, { candidates }) => sum + candidates.length, 0)
  const runs = variants * (2 + FEWEST_ROUNDS)
  return (runs * weight) / count / gpu.rate.flopsPerSecond
}

/** True if there is a choice: more than one candidate isn't hopeless by the cost model. */
export function isOpen({ candidates }: Comparison): boolean {
  return candidates.filter(({ predicted }) => predicted <= HOPELESS).length > 1
}

function comparisonOf(
  family: KernelFamily<never>,
  concrete: never,
  layout: WeightLayout | undefined,
  adapter: AdapterFacts,
): Comparison {
  const problem = inLayout(family, concrete, layout, adapter)
  const able = ranked(family, problem, adapter)
  const costs = able.map((variant) => variant.cost(problem, adapter))
  const candidates = able.map((variant, i): ComparedVariant => {
    const predicted = entryOf(costs, i) / entryOf(costs, 0)
    return { variant, predicted, verdict: 'untried', reason: undefined, flops: 0, samples: [] }
  })
  return { layout, shapes: family.classOf(problem), candidates }
}

/** True if problems of this class come up when weights have the wanted layout. */
export function isIn({ layout }: Comparison, wanted: WeightLayout): boolean {
  return layout === undefined || layout === wanted
}
