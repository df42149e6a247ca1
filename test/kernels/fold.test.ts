// Grids longer than an adapter allows fold into a second dimension: ops give the same bits where only 6 workgroups
// fit along an axis.

import { expect, test } from 'vitest'
import type { Gpu } from '../../src/gpu/gpu.ts'
import { activate, add, mix, swiglu } from '../../src/ops/elementwise/elementwise.ts'
import { dilate } from '../../src/ops/image/morphology.ts'
import { resize } from '../../src/ops/image/resize.ts'
import { gather } from '../../src/ops/layout/gather.ts'
import {
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from '../../src/ops/layout/layout.ts'
import { groupNorm, layerNorm, rmsNorm } from '../../src/ops/norm/norm.ts'
import { argmax, meanRows, normalizeRows, softmax, sumLast } from '../../src/ops/reduce/reduce.ts'
import { plan } from '../../src/tensor/plan.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { rawDevice, withLimits } from '../gpu/devices.ts'
import { adapterNames, expectSameBits, gpuNamed, uniform } from '../support.ts'

type In = (...shape: number[]) => Tensor

/** Each folded kernel once, 8 to 36 workgroups each. */
const OPS: Record<string, (x: In, ids: Tensor) => Tensor> = {
  add: (x) => add(x(61, 37), x(61, 37)),
  activate: (x) => activate(x(2257), 'silu'),
  swiglu: (x) => swiglu(x(61, 37), x(61, 37)),
  mix: (x) => mix(x(2257), x(2257), x(2257)),
  layerNorm: (x) => layerNorm(x(1021, 3), x(3), x(3), 1e-6),
  rmsNorm: (x) => rmsNorm(x(1021, 3), x(3), 1e-6),
  groupNorm: (x) => groupNorm(x(15, 1022), 511, x(1022), x(1022), 1e-6),
  softmax: (x) => softmax(x(509, 3)),
  sumLast: (x) => sumLast(x(509, 3)),
  argmax: (x) => argmax(x(509, 3)),
  normalizeRows: (x) => normalizeRows(x(509, 3)),
  meanRows: (x) => meanRows(x(3, 1021)),
  gather: (x, ids) => gather(x(9, 67), ids),
  splitWindows: (x) => splitWindows(x(5, 15, 3), 4),
  joinWindows: (x) => joinWindows(x(8, 16, 3), 4, [5, 15]),
  spaceToDepth: (x) => spaceToDepth(x(18, 34, 3)),
  depthToSpace: (x) => depthToSpace(x(9, 17, 12)),
  transpose: (x) => transpose(x(23, 31)),
  sliceRows: (x) => sliceRows(x(801, 3), 1, 799),
  resize: (x) => resize(x(7, 9, 3), [70, 13]),
  dilate: (x) => dilate(x(131, 37)),
}

async function run(gpu: Gpu, build: (x: In, ids: Tensor) => Tensor) {
  const inputs: Record<string, Float32Array | Uint32Array> = {
    ids: Uint32Array.from([1, 4, 0, 7, 3, 3, 2, 1, 0]),
  }
  const made = await plan(gpu, 'fold', ({ input }) => {
    let count = 0
    const x: In = (...shape) => {
      const name = `x${count++}`
      inputs[name] = uniform(
        shape.reduce((n, m) => n * m, 1),
        count,
      )
      return input(name, shape)
    }
    return { read: { y: build(x, input('ids', [9], 'u32')) } }
  })
  const y = (await made.run({ inputs })).read.y
  made.release()
  return { y, isFolded: made.info.dispatches.every((d) => d.workgroups[1] > 1) }
}

for (const name of adapterNames()) {
  test(`folded grids on ${name || 'any adapter'}`, async () => {
    const { device, free } = await rawDevice(name)
    const narrow = await withLimits(device, { maxComputeWorkgroupsPerDimension: 6 })
    const gpu = await gpuNamed(name)
    for (const [op, build] of Object.entries(OPS)) {
      const whole = await run(gpu, build)
      const folded = await run(narrow, build)
      expect([whole.isFolded, folded.isFolded], op).toEqual([false, true])
      expectSameBits(folded.y, whole.y)
    }
    free()
  })
}
