// The cost of a plan, for reports to users and for predictions of its time.

import { roundUp } from '../memory.ts'
import type { MemoryLayout } from './liveness.ts'
import type { PlanSpec, RecordedStep } from './steps.ts'

/** One line of a plan's description. */
export interface DispatchInfo {
  /** Its place in the model: 'sam/layers.3/attn'. */
  readonly scope: string
  /** The kernel's name and constants. */
  readonly kernel: string
  /** The grid, along x, y and z. */
  readonly workgroups: readonly [number, number, number]
  /** Floating-point operations. */
  readonly flops: number
  /** The least bytes that must move: operands read once, results written once. */
  readonly bytes: number
  /** True if the output takes the memory of an input that nobody reads afterwards. */
  readonly inPlace: boolean
}

/** The cost of a plan, known before it runs. */
export interface PlanInfo {
  /** The name that was given to `plan`. */
  readonly name: string
  /** The dispatches, in the order in which they run. */
  readonly dispatches: readonly DispatchInfo[]
  /** Floating-point operations of a run. */
  readonly flops: number
  /** The sum of the least bytes that the dispatches of a run must move. */
  readonly bytes: number
  /** Number of different kernels that are compiled for the plan. */
  readonly kernels: number
  /** Bytes that the plan allocates: slots, inputs, outputs, sizes, readback. */
  readonly ownBytes: number
  /** Bytes of the kept outputs of a run without `into`; they are the caller's. */
  readonly keptBytes: number
  /** Bytes of the buffers that intermediate tensors share. */
  readonly slotBytes: number
}

/** @param ownBytes what the plan allocates */
export function infoOf(
  { name, keep }: PlanSpec,
  steps: readonly RecordedStep[],
  layout: MemoryLayout,
  ownBytes: number,
): PlanInfo {
  return {
    name,
    dispatches: steps.map((s) => ({
      scope: s.dispatch.scope,
      kernel: s.kernel.key,
      workgroups: s.grid,
      flops: s.flops,
      bytes: s.bytes,
      inPlace: s.kernel !== s.dispatch.kernel,
    })),
    flops: steps.reduce((sum, s) => sum + s.flops, 0),
    bytes: steps.reduce((sum, s) => sum + s.bytes, 0),
    kernels: new Set(steps.map((s) => s.kernel.code)).size,
    ownBytes,
    keptBytes: [...keep.values()].reduce((sum, { bytes }) => sum + roundUp(Math.max(bytes, 4), 4), 0),
    slotBytes: layout.slots.reduce((sum, bytes) => sum + bytes, 0),
  }
}
