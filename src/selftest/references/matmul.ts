// Matrix products, in float64.

import { at } from './at.ts'

type ProductSize = readonly [M: number, N: number, K: number]

/** y[m, n] = sum_k a[m, k] b[n, k], or b[k, n] */
export function productReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  [M, N, K]: ProductSize,
  bIsNK = true,
): Float64Array {
  const y = new Float64Array(M * N)
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0
      // Indexed directly: see at.ts
      for (let k = 0; k < K; k++) sum += a[m * K + k]! * b[bIsNK ? n * K + k : k * N + n]!
      y[m * N + n] = sum
    }
  }
  return y
}

/** The products of B matrices each; an a or a b of one matrix is repeated. */
export function batchedReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  [M, N, K]: ProductSize,
  batches: number,
  bIsNK: boolean,
): Float64Array {
  const matrix = (x: ArrayLike<number>, i: number, size: number): number[] =>
    Array.from({ length: size }, (_, k) => at(x, (x.length > size ? i * size : 0) + k))
  const y = new Float64Array(batches * M * N)
  for (let i = 0; i < batches; i++) {
    y.set(productReference(matrix(a, i, M * K), matrix(b, i, N * K), [M, N, K], bIsNK), i * M * N)
  }
  return y
}
