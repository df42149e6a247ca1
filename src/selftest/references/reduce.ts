// Reductions along rows, in float64.

import { addAt, at } from './at.ts'

/** Rows of C values each. */
export function rowsOf(values: ArrayLike<number>, C: number): number[][] {
  return Array.from({ length: values.length / C }, (_, r) =>
    Array.from({ length: C }, (_, c) => at(values, r * C + c)),
  )
}

/** e^(x - max) / sum of e^(x - max), of one row. */
export function softmaxReference(row: readonly number[]): number[] {
  const largest = Math.max(...row)
  const sum = row.reduce((total, v) => total + Math.exp(v - largest), 0)
  return row.map((v) => Math.exp(v - largest) / sum)
}

/** A row of length 1; its own length counts for at least 1e-12. */
export function normalizeReference(row: readonly number[]): number[] {
  const length = Math.max(Math.hypot(...row), 1e-12)
  return row.map((v) => v / length)
}

/** The sum of one row. */
export function sumReference(row: readonly number[]): number {
  return row.reduce((sum, v) => sum + v, 0)
}

/** The first place of the largest value. */
export function argmaxReference(row: readonly number[]): number {
  return row.indexOf(Math.max(...row))
}

/** The mean of the first `length` rows [N, C]; of none it is 0. */
export function meanRowsReference(x: ArrayLike<number>, C: number, length: number): Float64Array {
  const y = new Float64Array(C)
  const count = Math.min(length, x.length / C)
  for (let i = 0; i < count * C; i++) addAt(y, i % C, at(x, i) / count)
  return y
}
