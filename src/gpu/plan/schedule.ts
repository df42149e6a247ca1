// The launches of a dispatch on this adapter: its grid within the limits, and in pieces when one submission
// would take too long.

import { LimitError, UsageError } from '../../errors.ts'
import type { Gpu } from '../gpu.ts'
import { formatBytes } from '../memory.ts'
import type { RecordedDispatch } from '../recorder.ts'
import { withoutComments } from '../wgsl.ts'

/** Longest time we let one submission take, by estimate (Windows resets a driver after 2 s). */
export const SUBMIT_SECONDS = 0.2

/** A dispatch, or a part of one that was cut. */
export interface DispatchPiece {
  /** Workgroups along x, y and z. */
  readonly grid: readonly [number, number, number]
  /** First workgroup along y. */
  readonly firstGroup: number
  /** The piece's share of the dispatch's floating-point operations, by workgroups. */
  readonly flops: number
  /** The piece's share of the bytes that the dispatch moves at the least. */
  readonly bytes: number
}

/** A dispatch's grid, in pieces along y when it is too long for one submission and allows it. */
export function cut(dispatch: RecordedDispatch, gpu: Gpu): DispatchPiece[] {
  const limit = gpu.device.limits.maxComputeWorkgroupsPerDimension
  const [x, y, z] = toGrid(dispatch, limit)
  if (x > limit || y > limit || z > limit) {
    throw new LimitError(
      `${dispatch.scope || 'plan'}: kernel ${dispatch.kernel.name} needs ${x} x ${y} x ${z} workgroups, ` +
        `this adapter allows ${limit} along each axis.`,
    )
  }
  const seconds = dispatch.flops / gpu.rate.flopsPerSecond
  const pieces = dispatch.cut ? Math.min(y, Math.max(1, Math.ceil(seconds / SUBMIT_SECONDS))) : 1
  const rows = Math.ceil(y / pieces)
  const result: DispatchPiece[] = []
  for (let first = 0; first < y; first += rows) {
    const height = Math.min(rows, y - first)
    const share = height / y
    const [flops, bytes] = [dispatch.flops * share, bytesMoved(dispatch) * share]
    result.push({ grid: [x, height, z], firstGroup: first, flops, bytes })
  }
  return result
}

function toGrid({ kernel, workgroups }: RecordedDispatch, limit: number): [number, number, number] {
  if (typeof workgroups !== 'number') return [...workgroups]
  if (workgroups <= limit) return [workgroups, 1, 1]
  // A thread that doesn't know how wide the grid is takes the place of one in the first row
  if (kernel.own && !/\bnum_workgroups\b/.test(withoutComments(kernel.code))) {
    throw new UsageError(
      `Your kernel '${kernel.name}' is launched with ${workgroups} workgroups: more than ${limit} are folded into y, of which ` +
        'its text knows nothing. Take @builtin(workgroup_id) group and @builtin(num_workgroups) groups, of which ' +
        '`group.x + group.y * groups.x` is the number of a workgroup, let each thread compute several values, or pass a grid.',
    )
  }
  const y = Math.ceil(workgroups / limit)
  return [Math.ceil(workgroups / y), y, 1]
}

/** @throws LimitError if a tensor of the dispatch is larger than the adapter binds */
export function checkBindings(dispatch: RecordedDispatch, gpu: Gpu): void {
  const limit = gpu.bindingLimit
  for (const [name, storage] of Object.entries({ ...dispatch.reads, ...dispatch.writes })) {
    if (!storage || storage.texture || storage.bytes <= limit) continue
    throw new LimitError(
      `${dispatch.scope || 'plan'}: '${name}' of kernel ${dispatch.kernel.name} is ${formatBytes(storage.bytes)}, ` +
        `this adapter binds at most ${formatBytes(limit)} at once. Use a smaller image or model, or another adapter.`,
    )
  }
}

/**
 * Counts a tensor that is bound twice as read once: a product without a second weight binds its only weight in both
 * places.
 */
function bytesMoved({ bytes, reads, writes }: RecordedDispatch): number {
  if (bytes !== undefined) return bytes
  const moved = [...new Set(Object.values(reads)), ...Object.values(writes)]
  return moved.reduce((sum, storage) => sum + (storage?.bytes ?? 0), 0)
}
