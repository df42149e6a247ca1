// Times a piece, dispatch by dispatch, and sums up what that says about each kernel.

import { availableParallelism } from 'node:os'
import { entryOf } from '../../check.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import type { TaskOptions } from '../../progress.ts'
import { release, type Tensor } from '../../tensor/tensor.ts'
import type { Ceilings } from '../../tuning/ceilings.ts'
import type { BenchPiece } from './pieces.ts'
import { idealSeconds, type Work } from './roofline.ts'

/** The work of a dispatch, and the time it took. */
export interface DispatchTime extends Work {
  /** Its file in shaders/. */
  readonly kernel: string
  /** Its place in the model: 'sam/layers.3/attn'. */
  readonly scope: string
  /** NaN where the adapter has no timestamps. */
  readonly ms: number
}

/** A piece's times. */
export interface MeasuredPiece extends Pick<BenchPiece, 'name' | 'title' | 'step' | 'count'> {
  /** In the order in which they run; each `ms` is a median over the profiles. */
  readonly dispatches: readonly DispatchTime[]
  /** Bytes of its weights on the device; absent of pieces of the small model. */
  readonly weightBytes?: number | undefined
  /** From start to finish, the median of `runs`. */
  readonly runMs: number
  /** How often it ran after the first time, 25 times at most. */
  readonly runs: number
  /**
   * Processor time of such a run, by all cores at once: on a software adapter, what it takes when nothing else runs.
   */
  readonly processorMs: number
  /** The time of a first run, with whatever drivers put off until then. */
  readonly firstMs: number
}

/** Runs of a piece, at the most. */
const MOST_RUNS = 25

/** Runs and profiles in turns until the time is used up, once at least. */
export async function measure(
  gpu: Gpu,
  piece: BenchPiece,
  seconds: number,
  task: TaskOptions,
): Promise<MeasuredPiece> {
  const prepared = await piece.prepare(gpu, task)
  // Runs write their kept outputs to the same place, as we don't time the making of new ones
  let kept: Readonly<Record<string, Tensor>> = {}
  try {
    const timeRun = async (): Promise<number> => {
      const started = performance.now()
      const result = await prepared.plan.run({ ...prepared.values, into: kept, signal: task.signal })
      kept = result.kept
      return performance.now() - started
    }
    const firstMs = await timeRun()
    const { info } = prepared.plan
    const runs: number[] = []
    const processor: number[] = []
    const profiles: number[][] = []
    const until = performance.now() + 1000 * seconds
    do {
      const before = process.cpuUsage()
      runs.push(await timeRun())
      const { user, system } = process.cpuUsage(before)
      processor.push((user + system) / 1000 / availableParallelism())
      if (gpu.features.timestamps)
        profiles.push(await prepared.plan.profile({ ...prepared.values, into: kept }))
      task.signal?.throwIfAborted()
    } while (performance.now() < until && runs.length < MOST_RUNS)
    const { name, title, step, count } = piece
    const dispatches = info.dispatches.map(
      ({ kernel, scope, flops, bytes }, i): DispatchTime => ({
        kernel: kernel.replace(/ .*/s, ''),
        scope,
        flops,
        bytes,
        ms: median(profiles.map((times) => entryOf(times, i)).filter(Number.isFinite)),
      }),
    )
    return {
      name,
      title,
      step,
      count,
      dispatches,
      weightBytes: prepared.weightBytes,
      runMs: median(runs),
      runs: runs.length,
      processorMs: median(processor),
      firstMs,
    }
  } finally {
    for (const x of Object.values(kept)) release(gpu, x)
    prepared.release()
  }
}

/** NaN of nothing. */
function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = entryOf(sorted, middle)
  return sorted.length % 2 === 1 ? upper : (entryOf(sorted, middle - 1) + upper) / 2
}

/** Dispatches together: of a piece, of a kernel. */
export interface Total extends Work {
  /** Number of dispatches that are summed. */
  readonly dispatches: number
  /** Their sum; NaN without timestamps. */
  readonly ms: number
  /** At the ceiling of this adapter. */
  readonly idealMs: number
}

/** The sums over dispatches, beside the time they would take at the adapter's ceilings. */
export function totalOf(dispatches: readonly DispatchTime[], ceilings: Ceilings): Total {
  const sum = (of: (d: DispatchTime) => number): number => dispatches.reduce((all, d) => all + of(d), 0)
  return {
    dispatches: dispatches.length,
    flops: sum((d) => d.flops),
    bytes: sum((d) => d.bytes),
    ms: sum((d) => d.ms),
    idealMs: sum((d) => 1000 * idealSeconds(d, ceilings)),
  }
}

/** Totals by kernel, the one that takes the longest first. */
export function byKernel(dispatches: readonly DispatchTime[], ceilings: Ceilings): Map<string, Total> {
  const groups = new Map<string, DispatchTime[]>()
  for (const one of dispatches) groups.set(one.kernel, [...(groups.get(one.kernel) ?? []), one])
  const totals = [...groups].map(([kernel, group]): [string, Total] => [kernel, totalOf(group, ceilings)])
  return new Map(totals.sort(([, a], [, b]) => (b.ms || b.idealMs) - (a.ms || a.idealMs)))
}
