// How many numbers a thread takes at once. Kernels written for `Elem` (shaders/lib/elem-*.wgsl) run with vec4f
// where every row starts on a multiple of four, which is almost always, and with f32 where not.

import scalar from '../../shaders/lib/elem-f32.wgsl' with { type: 'text' }
import vector from '../../shaders/lib/elem-vec4.wgsl' with { type: 'text' }

export type Width = 1 | 4

/** 4 if all these counts, strides and offsets allow it. */
export function widthOf(...counts: readonly number[]): Width {
  return counts.every((n) => n % 4 === 0) ? 4 : 1
}

/** WGSL that defines Elem. The kernel's constants must name WIDTH as well. */
export function elem(width: Width): string {
  return width === 4 ? vector : scalar
}

/** Threads of a workgroup whose threads work alone. */
export const THREADS = 64

/** Workgroups for `count` threads. */
export function groupsFor(count: number): number {
  return Math.ceil(count / THREADS)
}

/**
 * Kernels that do little with an Elem take several a thread: 4 instead of 1 made an addition 1.6 times faster on
 * lavapipe and 1.4 times on SwiftShader (November 2026), 16 no faster still.
 */
export const CHUNKS: { readonly WG: number; readonly CHUNK: number } = { WG: THREADS, CHUNK: 4 * THREADS }

/** Workgroups for `count` Elem in chunks. */
export function chunksFor(count: number): number {
  return Math.ceil(count / CHUNKS.CHUNK)
}

/** How kernels with lib/rows.wgsl spread: LANES threads take a row of `cols` Elem together. */
export interface RowTeams {
  readonly LANES: number
  readonly WG: number
}

/**
 * How many threads share a row: few rows need many, many short rows need one each and then no barrier at all
 * (4,096 rows of 256: 1 thread 10 ms, 4 threads 24, 8 threads 35, on SwiftShader, November 2026). Three variants
 * and no more, as SwiftShader takes 0.1 s to compile one.
 *
 * @param cols in Elem
 */
export function rowTeams(rows: number, cols: number): RowTeams {
  if (cols <= 16 || (rows >= 1024 && cols <= 64)) return { LANES: 1, WG: THREADS }
  return { LANES: rows <= 8 && cols >= 256 ? THREADS : 4, WG: THREADS }
}

/** Workgroups for `rows` rows. */
export function groupsForRows(rows: number, { LANES, WG }: RowTeams): number {
  return Math.ceil(rows / (WG / LANES))
}
