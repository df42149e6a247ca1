// Tiles of a product's outputs: the search for the size that takes the least time, and the grid of workgroups that
// covers them.

import { expectDefined } from '../check.ts'

/** A tile that a kernel offers. */
export interface TileSize {
  /** Rows of outputs of a tile. */
  readonly rows: number
  /** Columns of outputs of a tile. */
  readonly cols: number
  /** Threads, or whatever works side by side, per tile; 1 by default. */
  readonly workers?: number
  /** The cost of one k for a worker, in a unit that the kernel chooses. */
  readonly cycles: number
}

/** A tile, how many of it cover the outputs, and what one k of all of them costs. */
export type Tiling<T extends TileSize> = T & {
  readonly tilesM: number
  readonly tilesN: number
  readonly cost: number
}

/**
 * The tile with the least work. What lies past the edges is work too, and fewer workers than `parallel` take as long as
 * `parallel` of them. Of equals the first.
 *
 * @param sizes at least one
 */
export function leastWork<T extends TileSize>(
  sizes: readonly T[],
  { M, N, batch = 1 }: { readonly M: number; readonly N: number; readonly batch?: number },
  parallel: number,
): Tiling<T> {
  // A plan asks some ten thousand times, so one object is made, not one per size
  let best: T | undefined
  let cost = Infinity
  for (const size of sizes) {
    const workers = (size.workers ?? 1) * Math.ceil(M / size.rows) * Math.ceil(N / size.cols) * batch
    const own = Math.max(workers, parallel) * size.cycles
    if (best !== undefined && own >= cost) continue
    best = size
    cost = own
  }
  const size = expectDefined(best, 'the sizes of tiles')
  return { ...size, tilesM: Math.ceil(M / size.rows), tilesN: Math.ceil(N / size.cols), cost }
}

/** Workgroups in x and y: a few side by side, so that a plan can cut the grid along y. */
export function gridOf(groups: number): [x: number, y: number] {
  const x = Math.min(groups, Math.max(8, Math.ceil(groups / 65_535)))
  return [x, Math.ceil(groups / x)]
}
