// The grids of kernels that have no tiles: how many workgroups there are, and what each of them takes.

/** Threads of a workgroup whose threads work alone. */
export const THREADS = 64

/** Workgroups for `count` threads. */
export function groupsFor(count: number): number {
  return Math.ceil(count / THREADS)
}

/** More workgroups than this fill no adapter better. */
const MOST_GROUPS = 1024

/** The share of `count` pieces of work that a workgroup takes, at least `least` of them. */
export function perGroup(count: number, least: number): number {
  return Math.max(least, Math.ceil(count / MOST_GROUPS))
}

/**
 * The grid of kernels whose threads take one Elem after the other: a workgroup has a chunk of them. A workgroup costs
 * lavapipe 0.27 us, as much as 10 copied vec4s per thread, so a large tensor takes few of them: copies of 16 MB reach
 * 4.4 GB/s with one vec4 per thread, 8.6 with 4 and 12 with 16 (November 2026).
 *
 * @param count of Elem
 */
export function chunks(count: number): { readonly chunk: number; readonly workgroups: number } {
  const chunk = Math.ceil(perGroup(count, 4 * THREADS) / THREADS) * THREADS
  return { chunk, workgroups: Math.ceil(count / chunk) }
}

/**
 * The grid of kernels that move whole rows: `lanes` threads take a row, and a workgroup takes `run` rows.
 *
 * @param cols in Elem
 */
export function rowChunks(
  rows: number,
  cols: number,
): { readonly lanes: number; readonly run: number; readonly workgroups: number } {
  const lanes = Math.min(THREADS, 2 ** Math.ceil(Math.log2(cols)))
  const run = perGroup(rows, THREADS / lanes)
  return { lanes, run, workgroups: Math.ceil(rows / run) }
}

/**
 * The grid of kernels whose threads walk down a column: a workgroup has 64 Elem of `run` rows of each map.
 *
 * @param span Elem of a row
 */
export function strips(
  maps: number,
  rows: number,
  span: number,
): { readonly across: number; readonly run: number; readonly runs: number; readonly workgroups: number } {
  const across = Math.ceil(span / THREADS)
  const run = Math.min(64, perGroup(maps * rows * across, 8))
  const runs = Math.ceil(rows / run)
  return { across, run, runs, workgroups: maps * runs * across }
}
