// Ops along the rows of a tensor, as families of two: a thread has rows of its own, or the threads of a row share it
// (shaders/lib/rows.wgsl). The kernels are the same, under other constants.

import { recorder } from '../gpu/recorder.ts'
import { lastDim, rowsOf, type Tensor } from '../tensor/tensor.ts'
import { type Width, widthOf } from './elem.ts'
import { THREADS } from './grids.ts'
import { about, type KernelFamily, type Variant } from './variants.ts'

/** The assignment of threads to rows, as constants of the kernel's prelude. */
export interface RowThreads {
  /** Threads that share a row. */
  readonly LANES: number
  /** Rows that they take side by side; 1 unless LANES is 1. */
  readonly RUN: number
  /** Threads of a workgroup, a multiple of LANES. */
  readonly WG: number
}

/** The sizes and the grid that an op records its dispatch with. */
export interface Rows {
  /** Number of rows. */
  readonly rows: number
  /** Numbers of an Elem: 4 where the length of a row allows it. */
  readonly width: Width
  /** Length of a row, in Elem. */
  readonly cols: number
  /** The assignment of threads to rows. */
  readonly threads: RowThreads
  /** Workgroups that all rows take. */
  readonly workgroups: number
}

/** Rows side by side, where they share operands such as a weight: then it is read once for all of them. */
const RUN = 4
/** Threads per workgroup where each works alone: so few that even 200 rows make some for each core. */
const ALONE = 16
/** The threads per workgroup that every WebGPU adapter allows. */
const MOST_THREADS = 256
/** Loads of a row that keep so many busy. */
const MANY = 4096

/** One thread per row: no barrier, but neighbours read far apart, which only CPUs don't mind. */
function thread(isShared: boolean): RowThreads {
  return { LANES: 1, RUN: isShared ? RUN : 1, WG: ALONE }
}

/** A few rows take all threads each; many of them four, as a barrier costs CPUs more than the threads it waits for. */
export function sharedRows(rows: number, cols: number, software: boolean): RowThreads {
  const LANES = cols <= 16 ? 1 : cols >= 64 && (rows <= 8 || !software) ? THREADS : 4
  return { LANES, RUN: 1, WG: THREADS }
}

/**
 * The same; a few rows as long as a vocabulary take as many threads as any GPU has per workgroup. Predicted: 64 threads
 * that wait 600 ns for 16 bytes each read 1.7 GB/s, and so 150,000 logits in 0.35 ms; 256 in a quarter of that.
 */
function longRows(rows: number, cols: number, software: boolean): RowThreads {
  const isLong = rows <= 8 && cols >= MANY && !software
  return isLong ? { LANES: MOST_THREADS, RUN: 1, WG: MOST_THREADS } : sharedRows(rows, cols, software)
}

/** Workgroups for `rows` rows. */
export function groupsForRows(rows: number, { LANES, RUN, WG }: RowThreads): number {
  return Math.ceil(rows / ((WG / LANES) * RUN))
}

/**
 * @param isShared whether rows share operands
 * @param record  records the dispatch for x's rows, with `threads` as constants in the kernel's prelude
 */
export function alongRows<P extends { readonly x: Tensor }>(
  name: string,
  isShared: boolean,
  record: (problem: P, rows: Rows) => void,
): KernelFamily<P> {
  const variant = (
    kind: string,
    cost: Variant<P>['cost'],
    threadsFor: (rows: number, cols: number, software: boolean) => RowThreads,
    more: Pick<Variant<P>, 'measuredOnGpu'> = {},
  ): Variant<P> => ({
    ...more,
    name: kind,
    fits: () => true,
    cost,
    record: (problem) => {
      const { x } = problem
      const width = widthOf(lastDim(x))
      const [rows, cols] = [rowsOf(x), lastDim(x) / width]
      const threads = threadsFor(rows, cols, recorder().adapter.software)
      record(problem, { rows, width, cols, threads, workgroups: groupsForRows(rows, threads) })
    },
  })
  return {
    name,
    variants: [
      variant(
        'thread',
        ({ x }, { software }) => (software && rowsOf(x) >= 64 ? 1 : 3),
        () => thread(isShared),
      ),
      // What GPUs take, as predicted
      variant('shared', () => 2, longRows, { measuredOnGpu: false }),
    ],
    classOf: ({ x }) => {
      return `${about(rowsOf(x))}x${about(lastDim(x))}`
    },
  }
}
