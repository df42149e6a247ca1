// How fast this adapter is, in one number: a matmul of the default variant.

import type { Gpu } from '../gpu/gpu.ts'
import { matmul } from '../ops/matmul/matmul.ts'
import { plan } from '../tensor/plan.ts'

/** Rows, columns and summed axis. */
const SIZE = 512
const LEAST_MS = 400

/** GFLOP/s of a matmul of 512 x 512 x 512 in f32. */
export async function measureSpeed(gpu: Gpu, signal: AbortSignal): Promise<number> {
  const shape = [SIZE, SIZE]
  const made = await plan(gpu, 'speed', ({ input }) => ({
    read: { y: matmul(input('a', shape), input('b', shape), { transposeB: true }) },
  }))
  try {
    // Any numbers will do, but some drivers are faster at zeros
    const values = (step: number): Float32Array =>
      Float32Array.from({ length: SIZE ** 2 }, (_, i) => ((i * step) % 1021) / 1021 - 0.5)
    const inputs = { a: values(17), b: values(29) }
    await made.run({ inputs, signal })
    const started = performance.now()
    let runs = 0
    do {
      await made.run({ inputs, signal })
      runs++
    } while (performance.now() - started < LEAST_MS)
    return (2 * SIZE ** 3 * runs) / ((performance.now() - started) * 1e6)
  } finally {
    made.release()
  }
}
