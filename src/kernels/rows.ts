// Ops along the rows of a tensor, as families of two: a thread has rows of its own, or a team of threads shares one
// (shaders/lib/rows.wgsl). The kernels are the same, under other constants.

import { recorder } from '../gpu/recorder.ts'
import { lastDim, rowsOf, type Tensor } from '../tensor/tensor.ts'
import { THREADS, type Width, widthOf } from './elem.ts'
import { about, type Family, type Variant } from './variants.ts'

/** For the kernel's prelude. */
export interface RowTeams {
  /** Threads that share a row. */
  readonly LANES: number
  /** Rows that they take side by side; 1 unless LANES is 1. */
  readonly RUN: number
  readonly WG: number
}

/** The sizes and the grid that an op records its dispatch with. */
export interface Rows {
  readonly rows: number
  readonly width: Width
  /** In Elem. */
  readonly cols: number
  readonly teams: RowTeams
  readonly workgroups: number
}

/** Rows side by side, where they share operands such as a weight: then it is read once for all of them. */
const RUN = 4
/** Threads a workgroup where each works alone: so few that even 200 rows make some for each core. */
const ALONE = 16

/** A thread a row: no barrier, but neighbours read far apart, which only CPUs don't mind. */
function thread(share: boolean): RowTeams {
  return { LANES: 1, RUN: share ? RUN : 1, WG: ALONE }
}

/** Few rows take all threads each; many of them four, as a barrier costs CPUs more than what it waits for. */
export function team(rows: number, cols: number, software: boolean): RowTeams {
  const LANES = cols <= 16 ? 1 : cols >= 64 && (rows <= 8 || !software) ? THREADS : 4
  return { LANES, RUN: 1, WG: THREADS }
}

export function groupsForRows(rows: number, { LANES, RUN, WG }: RowTeams): number {
  return Math.ceil(rows / ((WG / LANES) * RUN))
}

/**
 * @param share   whether rows share operands
 * @param record  records the dispatch for x's rows, with the teams' constants in the kernel's prelude
 */
export function alongRows<P extends { readonly x: Tensor }>(
  name: string,
  share: boolean,
  record: (problem: P, rows: Rows) => void,
): Family<P> {
  const variant = (
    kind: string,
    cost: Variant<P>['cost'],
    teamsFor: (rows: number, cols: number, software: boolean) => RowTeams,
  ): Variant<P> => ({
    name: kind,
    fits: () => true,
    cost,
    record: (problem) => {
      const { x } = problem
      const width = widthOf(lastDim(x))
      const [rows, cols] = [rowsOf(x), lastDim(x) / width]
      const teams = teamsFor(rows, cols, recorder().adapter.software)
      record(problem, { rows, width, cols, teams, workgroups: groupsForRows(rows, teams) })
    },
  })
  return {
    name,
    variants: [
      variant(
        'thread',
        ({ x }, { software }) => (software && rowsOf(x) >= 64 ? 1 : 3),
        () => thread(share),
      ),
      variant('team', () => 2, team),
    ],
    classOf: ({ x }) => {
      return `${about(rowsOf(x))}x${about(lastDim(x))}`
    },
  }
}
