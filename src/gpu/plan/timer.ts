// Timestamps: the time that each dispatch of a plan takes on the device. Each gets a compute pass of its own, which
// is what timestamps are taken around, so the sum is a little more than a replay takes.

import { entryOf } from '../../check.ts'
import type { Gpu } from '../gpu.ts'
import type { Pipeline } from '../kernel.ts'
import { readBack } from '../transfer.ts'

/** A dispatch ready to be encoded. */
export interface TimedStep {
  /** The compiled kernel. */
  readonly pipeline: Pipeline
  /** Its tensors and sizes; undefined until a run has bound them. */
  readonly bindGroup: GPUBindGroup | undefined
  /** Workgroups along x, y and z. */
  readonly grid: readonly [number, number, number]
}

/** Queries of one set: WebGPU allows no more. */
const PER_SET = 4096

/** @returns milliseconds by step; NaN where the driver's clock ran backwards */
export async function timeEach(gpu: Gpu, all: readonly TimedStep[]): Promise<number[]> {
  const { device, buffers } = gpu
  const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage
  const request = (usage: GPUBufferUsageFlags) => ({
    label: 'timestamps',
    bytes: PER_SET * 8,
    usage,
    owner: 'profile',
  })
  const owned = await buffers.allocate([request(QUERY_RESOLVE | COPY_SRC), request(MAP_READ | COPY_DST)])
  const [resolve, host] = [entryOf(owned, 0), entryOf(owned, 1)]
  const querySet = device.createQuerySet({ type: 'timestamp', count: PER_SET })
  const times: number[] = []
  try {
    for (let first = 0; first < all.length; first += PER_SET / 2) {
      const steps = all.slice(first, first + PER_SET / 2)
      const encoder = device.createCommandEncoder({ label: 'profile' })
      steps.forEach(({ pipeline, bindGroup, grid }, i) => {
        const pass = encoder.beginComputePass({
          timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
        })
        pass.setPipeline(pipeline.pipeline)
        pass.setBindGroup(0, bindGroup)
        pass.dispatchWorkgroups(...grid)
        pass.end()
      })
      encoder.resolveQuerySet(querySet, 0, steps.length * 2, resolve, 0)
      encoder.copyBufferToBuffer(resolve, 0, host, 0, steps.length * 16)
      device.queue.submit([encoder.finish()])
      const ticks = new DataView(await readBack(gpu, host, steps.length * 16))
      for (let at = 0; at < ticks.byteLength; at += 16) {
        const elapsed = Number(ticks.getBigUint64(at + 8, true) - ticks.getBigUint64(at, true))
        times.push(elapsed >= 0 ? elapsed / 1e6 : Number.NaN)
      }
    }
  } finally {
    querySet.destroy()
    buffers.release(resolve)
    buffers.release(host)
  }
  return times
}
