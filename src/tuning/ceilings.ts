// The upper bounds of an adapter: multiply-adds from registers, bytes copied, and the cost of a dispatch that does
// next to nothing. A kernel's rate is compared with these; no model uses this file.

import ceilingCopyShader from '#shaders/tuning/ceiling-copy.wgsl'
import ceilingMultiplyAddShader from '#shaders/tuning/ceiling-multiply-add.wgsl'
import type { Gpu } from '../gpu/gpu.ts'
import { kernel } from '../gpu/kernel.ts'
import type { TaskOptions } from '../progress.ts'
import { plan, type RunValues } from '../tensor/plan.ts'
import { allocate, param, record, release, type Tensor, upload } from '../tensor/tensor.ts'

/** The upper bounds of an adapter. */
export interface Ceilings {
  /** f32; a multiply-add is two. */
  readonly flopsPerSecond: number
  /** Read plus written. */
  readonly bytesPerSecond: number
  /** A dispatch of one workgroup, among many. */
  readonly dispatchSeconds: number
}

const WG = 64
/** The number of chains that suits an adapter differs: with few it waits for results, with many registers spill. */
const CHAINS = [10, 24]
/** 131,072 threads: enough for the largest GPU. */
const THREADS = 2048 * WG
/** The bytes that a workgroup copies. */
const CHUNK_BYTES = 8 * WG * 16
/** More than the caches of most GPUs hold. */
const COPY_BYTES = 64 * 2 ** 20
const DISPATCHES = 500
/** So long that waiting for it doesn't count, too short for any watchdog. */
const RUN_SECONDS = 0.06
const RUNS = 5
/** Nobody should learn from these how fast a model runs here (Rate in gpu.ts). */
const UNCOUNTED = { flops: 0, bytes: 0 }

/** Measures; takes a second or two. */
export async function measureCeilings(gpu: Gpu, task: TaskOptions = {}): Promise<Ceilings> {
  const bytes = Math.min(COPY_BYTES, gpu.bindingLimit - (gpu.bindingLimit % CHUNK_BYTES))
  const label = { label: 'ceiling', owner: 'ceilings' }
  const y = await allocate(gpu, [bytes / 4], 'f32', label)
  try {
    const x = await upload(gpu, new Float32Array(bytes / 4).fill(1), y.shape, 'f32', label)
    try {
      let flopsPerSecond = 0
      for (const chains of CHAINS) {
        let steps = 64
        const once = (runs?: number): Promise<number> =>
          timed(gpu, () => multiplyAdds(y, THREADS, chains), { ...task, params: { steps } }, runs)
        while ((await once(1)) < RUN_SECONDS && steps < 2 ** 22) steps *= 4
        flopsPerSecond = Math.max(flopsPerSecond, (16 * steps * chains * THREADS) / (await once()))
      }
      const copySeconds = await timed(gpu, () => copyChunks(x, y, bytes), task)
      const tiny = (): void => {
        for (let i = 0; i < DISPATCHES; i++) copyChunks(x, y, CHUNK_BYTES)
      }
      const dispatchSeconds = (await timed(gpu, tiny, task)) / DISPATCHES
      return { flopsPerSecond, bytesPerSecond: (2 * bytes) / copySeconds, dispatchSeconds }
    } finally {
      release(gpu, x)
    }
  } finally {
    release(gpu, y)
  }
}

/** y[t] for `threads` threads; run it with the param `steps`. */
export function multiplyAdds(y: Tensor, threads: number, chains: number): void {
  record({
    kernel: kernel(ceilingMultiplyAddShader, { WG, ACCUMULATORS: chains }),
    reads: {},
    writes: { y },
    sizes: { steps: param('steps'), scale: 0.999, shift: 0.001 },
    workgroups: threads / WG,
    ...UNCOUNTED,
  })
}

/** The first `bytes`, a multiple of 8 KiB, of resident tensors. */
export function copyChunks(x: Tensor, y: Tensor, bytes: number): void {
  record({
    kernel: kernel(ceilingCopyShader, { WG }),
    reads: { x },
    writes: { y },
    sizes: {},
    workgroups: bytes / CHUNK_BYTES,
    ...UNCOUNTED,
  })
}

/**
 * Seconds of the shortest of several runs after a first one: what others do on this machine is no part of a ceiling.
 */
async function timed(gpu: Gpu, build: () => void, values: RunValues, runs = RUNS): Promise<number> {
  const ready = await plan(
    gpu,
    'ceiling',
    () => {
      build()
      return {}
    },
    { signal: values.signal },
  )
  try {
    await ready.run(values)
    const seconds: number[] = []
    for (let i = 0; i < runs; i++) {
      const started = performance.now()
      await ready.run(values)
      seconds.push((performance.now() - started) / 1000)
    }
    return Math.min(...seconds)
  } finally {
    ready.release()
  }
}
