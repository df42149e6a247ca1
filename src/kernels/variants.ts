// Kernel families: several ways to compute one thing, and the choice among them.
//
// Adapters differ tenfold in what is cheap: a barrier is free on a GPU and costs 272 cycles on a CPU behind Vulkan,
// where a subgroup shuffle of one f32 costs 3 (a broadcast of a vec4 13, a load of a vec4 60). So a family is a table
// of variants. Those that can't run a problem here, or gave wrong results here, are out; of the rest we take the one
// that is forced, else the one that was measured to be the fastest for this class of shapes (tune.ts), else the one
// that should take the least time.

import { KernelError } from '../errors.ts'
import type { AdapterFacts } from '../gpu/adapter.ts'
import { recorder } from '../gpu/recorder.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** One way to compute the problems of a family. */
export interface Variant<P> {
  /** The name within its family: 'registers'. */
  readonly name: string
  /** True if the variant can compute the problem on the adapter. */
  readonly fits: (problem: P, adapter: AdapterFacts) => boolean
  /** The predicted time of the problem on the adapter, in a unit of the family's own. */
  readonly cost: (problem: P, adapter: AdapterFacts) => number
  /** Records the dispatches that compute the problem. */
  readonly record: (problem: P) => void
  /** Made for GPUs: so slow on a CPU that there it isn't even worth being what others are checked against. */
  readonly forGpus?: boolean
  /** false: made for GPUs, and so far no GPU has measured it, only reasoned about. Tables for people say so. */
  readonly measuredOnGpu?: false
}

/** A kernel family: the variants that compute the same, of problems of type P. */
export interface KernelFamily<P> {
  /** The name by which variants are forced and measured: 'matmul'. */
  readonly name: string
  /** The variants, of which at least one fits any problem on any adapter. */
  readonly variants: readonly Variant<P>[]
  /** Problems of a class are best solved by the same variant: '1024x1024x1024 bf16'. */
  readonly classOf: (problem: P) => string
  /** The weights that could be in rows or packed (packed.ts), for the tuner. None by default. */
  readonly weights?: (problem: P) => readonly FamilyWeight[]
  /** The problem with numbers for the sizes that are params of a run, for the tuner. They are 1 by default. */
  readonly concrete?: (problem: P) => P
}

/** A weight of a problem, which the tuner may lay out in another way. */
export interface FamilyWeight {
  /** The weight, [N, ...] rows of outputs. */
  readonly tensor: Tensor
  /** The runs of a row, as in PackedShape. */
  readonly runs?: number
}

/** A problem that came up while ops were recorded; its type is known to its family only. */
export interface SeenProblem {
  /** The family of kernels that was asked for it. */
  readonly family: KernelFamily<never>
  /** The problem, of the family's own type. */
  readonly problem: never
}

let seen: SeenProblem[] | undefined

/** The problems that come up in `build`, in order; they are recorded as always. */
export function problemsSeenIn(build: () => unknown): SeenProblem[] {
  const outer = seen
  const own: SeenProblem[] = []
  seen = own
  try {
    build()
    return own
  } finally {
    seen = outer
  }
}

/** The power of two nearest to a size, for classes of shapes. */
export function about(size: number): number {
  return 2 ** Math.round(Math.log2(size))
}

/** The variants that can compute this here, the one to take first. */
export function ranked<P>(family: KernelFamily<P>, problem: P, adapter: AdapterFacts): Variant<P>[] {
  const { choices } = adapter
  const able = family.variants.filter(
    (v) => !choices.vetoed.has(`${family.name}/${v.name}`) && v.fits(problem, adapter),
  )
  const wanted =
    choices.forced.get(family.name) ?? choices.tuned.get(`${family.name} ${family.classOf(problem)}`)
  const priced = able.map((v) => ({ v, cost: v.name === wanted ? -1 : v.cost(problem, adapter) }))
  return priced.sort((a, b) => a.cost - b.cost).map(({ v }) => v)
}

/** Records the problem with the variant to take. */
export function recordBest<P>(family: KernelFamily<P>, problem: P): void {
  const { adapter } = recorder()
  const [best] = ranked(family, problem, adapter)
  if (!best) {
    throw new KernelError(
      `No variant of ${family.name} is left for ${family.classOf(problem)} on this adapter: ` +
        `${[...adapter.choices.vetoed].join(', ')} failed their tests here. Please report it.`,
    )
  }
  seen?.push({ family, problem } as unknown as SeenProblem)
  adapter.choices.note(family.name, family.classOf(problem), best.name)
  best.record(problem)
}
